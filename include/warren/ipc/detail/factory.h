// create, open and open_or_create of an object that has a segment to itself. An Object gives
//   static absl::StatusOr<SegmentPlan> plan(const Options&)     what to make, InvalidArgument for what cannot be
//   static absl::StatusOr<Object> attach(Attachment::Pointer)   checks the object's geometry and copies it
//   static SegmentExpectation expectation()                     what an opened segment must hold
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/handle_value.h>
#include <warren/ipc/handle.h>
#include <warren/ipc/segment_options.h>

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

  // As a value for another process: handle_codec.h.
  static absl::StatusOr<HandleValue> value_of(const Handle& handle) {
    if (handle.attachment_ == nullptr) return absl::InvalidArgumentError("a handle that was moved from");
    return handle.attachment_->value();
  }
  template <class Object>
  static absl::StatusOr<Object> open(const HandleValue& value) {
    return attached<Object>(Attachment::open(value, Object::expectation()));
  }
  template <class Object>
  static consteval bool can_open() {
    return requires { Object::expectation(); };
  }

 private:
  template <class Object>
  static absl::StatusOr<Object> attached(absl::StatusOr<Attachment::Pointer> attachment) {
    if (!attachment.ok()) return attachment.status();
    return Object::attach(*std::move(attachment));
  }
};

template <class Object>
concept Openable = Factory::can_open<Object>();

}  // namespace warren::detail

#include <warren/ipc/detail/handle_codec.h>
