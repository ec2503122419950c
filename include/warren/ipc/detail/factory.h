// create, open and open_or_create of an object that has a segment to itself. An Object gives
//   static absl::StatusOr<SegmentPlan> plan(const Options&)     what to make, InvalidArgument for what cannot be
//   static absl::StatusOr<Object> attach(Attachment::Pointer)   checks the object's geometry and copies it
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/segment.h>

#include <string_view>
#include <utility>

namespace warren::detail {

class Factory {
 public:
  template <class Object, class Options>
  static absl::StatusOr<Object> create(const Options& options) {
    absl::StatusOr<SegmentPlan> plan = Object::plan(options);
    if (!plan.ok()) return plan.status();
    return attached<Object>(Attachment::create({}, *plan, {.lifetime = options.lifetime}));
  }

  template <class Object, class Options>
  static absl::StatusOr<Object> create(std::string_view name, const Options& options) {
    if (name.empty()) return absl::InvalidArgumentError("an empty name: leave it out for an anonymous object");
    absl::StatusOr<SegmentPlan> plan = Object::plan(options);
    if (!plan.ok()) return plan.status();
    return attached<Object>(Attachment::create(name, *plan, {.lifetime = options.lifetime}));
  }

  template <class Object, class Options>
  static absl::StatusOr<Object> open_or_create(std::string_view name, const Options& options) {
    absl::StatusOr<SegmentPlan> plan = Object::plan(options);
    if (!plan.ok()) return plan.status();
    return attached<Object>(Attachment::open_or_create(name, *plan, {.lifetime = options.lifetime}));
  }

  template <class Object>
  static absl::StatusOr<Object> open(std::string_view name) {
    return attached<Object>(Attachment::open(name, Object::expectation()));
  }

 private:
  template <class Object>
  static absl::StatusOr<Object> attached(absl::StatusOr<Attachment::Pointer> attachment) {
    if (!attachment.ok()) return attachment.status();
    return Object::attach(*std::move(attachment));
  }
};

}  // namespace warren::detail
