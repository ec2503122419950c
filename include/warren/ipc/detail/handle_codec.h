// Handles travel as values: in a task's arguments, through a queue or a pipe. What arrives is a handle to the same
// object. Included by factory.h at its end.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/handle_value.h>

namespace warren {

// The receiver opens the sender's descriptor (/proc/PID/fd), so the sender, or some handle of its process to the
// object, has to be there until then, and both are processes of one user and one PID namespace. Errors: Unavailable
// (the sender has ended or let go), PermissionDenied (it cannot be looked into), FailedPrecondition (another type).
template <class H>
  requires(IsHandle<H> && detail::Openable<H>)
struct Codec<H> {
  static void encode(Writer& w, const H& handle) {
    const auto value = detail::Factory::value_of(handle);
    if (!value.ok()) return w.fail(value.status());
    w.put(*value);
  }
  static absl::StatusOr<H> decode(Reader& r) {
    const auto value = r.get<detail::HandleValue>();
    if (!value.ok()) return value.status();
    absl::StatusOr<H> handle = detail::Factory::open<H>(*value);
    if (!handle.ok()) return r.fail(handle.status());
    return handle;
  }
};

}  // namespace warren
