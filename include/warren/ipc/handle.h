// Handle: what every shared object is reached through.
#pragma once
#include <concepts>
#include <memory>

namespace warren {

namespace detail {
class Attachment;
class Factory;
}  // namespace detail

// A copy of a handle is another handle to the same object, like shared_ptr. Operations on the object are safe from any
// thread and any process; assigning one handle object from two threads is not. A forked child may go on using the
// handles that it inherited. The last handle of a process detaches it.
//
// A handle is also a value: an argument of a task, an item of a queue. What arrives, in a process that may have existed
// before the object did, is a handle to the same object; a process that has the object already gets what it has. The
// sender keeps a handle until it has arrived. Both are processes of one user and one PID namespace, and the sender may
// be looked into (prctl PR_SET_DUMPABLE), else it is names only. Errors of receiving: Unavailable (the sender has ended
// or let go), PermissionDenied, FailedPrecondition (another type). The last process that lets go of an object frees it.
class Handle {
  friend class detail::Factory;

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

namespace detail {
// What belongs to the process that made it, though it is no handle: true where it is defined.
template <class T>
inline constexpr bool kOfItsProcess = false;
}  // namespace detail

}  // namespace warren
