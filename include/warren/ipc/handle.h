// Handle: what every shared object is reached through.
#pragma once
#include <concepts>
#include <memory>

namespace warren {

namespace detail {
class Attachment;
}

// A copy of a handle is another handle to the same object, like shared_ptr. Operations on the object are safe from any
// thread and any process; assigning one handle object from two threads is not. A forked child may go on using the
// handles that it inherited. The last handle of a process detaches it.
class Handle {
 protected:
  Handle() noexcept = default;
  explicit Handle(std::shared_ptr<detail::Attachment> attachment) noexcept : attachment_(std::move(attachment)) {}
  Handle(const Handle&) = default;
  Handle(Handle&&) noexcept = default;
  Handle& operator=(const Handle&) = default;
  Handle& operator=(Handle&&) noexcept = default;
  ~Handle() = default;

  std::shared_ptr<detail::Attachment> attachment_;
};

template <class T>
concept IsHandle = std::derived_from<T, Handle>;

}  // namespace warren
