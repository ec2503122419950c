// Attachments that travel: a handle's value, and what is opened by it.
#include <absl/strings/str_cat.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/process.h>

#include "attachment_list.h"
#include "backing_file.h"

namespace warren::detail {

absl::StatusOr<HandleValue> Attachment::value() const {
  if (read_only_) return absl::InvalidArgumentError("a segment that is mapped read-only: send its name");
  const ProcessIdentity& self = this_process();
  return HandleValue{.id = id_,
                     .start_time = self.start_time,
                     .pid = static_cast<std::uint32_t>(self.pid),
                     .pid_namespace = self.pid_namespace,
                     .descriptor = fd_};
}

absl::StatusOr<Attachment::Pointer> Attachment::open(const HandleValue& value, const SegmentExpectation& expected) {
  if (Pointer known = AttachmentList::instance().find(value.id)) {
    if (known->kind_ == expected.kind && known->element_hash_ == expected.element.hash) return known;
    return absl::FailedPreconditionError(absl::StrCat("a handle of another type arrived: not a ",
                                                      layout::kind_name(expected.kind), " of ",
                                                      expected.element.readable()));
  }
  if (value.pid_namespace != this_process().pid_namespace) {
    return absl::UnavailableError("a handle from a process of another PID namespace. Remedy: a name");
  }
  const auto pid = static_cast<pid_t>(value.pid);
  if (pid <= 0 || confirmed_dead(pid, value.start_time)) {
    return absl::UnavailableError(absl::StrCat("process ", pid, ", which sent a handle, has ended"));
  }
  absl::StatusOr<OpenedPeerFile> file = open_of_peer(pid, value.descriptor);
  if (!file.ok()) return file.status();
  if (file->size <= layout::kObjectOffset) return absl::DataLossError("a handle to a truncated segment arrived");
  const Pointer attachment(new Attachment);
  if (absl::Status status = attachment->map(file->fd.release(), file->size, /*read_only=*/false); !status.ok())
    return status;
  if (!file->name.empty()) {
    attachment->bear_name(file->name);
    attachment->keep_name_ = true;  // until the header is known to be the right one
  }
  const bool named = !file->name.empty();
  if (absl::Status status = attachment->adopt(expected, file->size); !status.ok()) return status;
  if (attachment->id_ != value.id) {  // the descriptor is another object's by now
    attachment->keep_name_ = attachment->keep_name_ || named;
    return absl::UnavailableError(absl::StrCat(
        "process ", pid, ", which sent a handle, has let go of it: a sender keeps one until it has arrived"));
  }
  if (absl::Status status = attachment->join(); !status.ok()) return status;
  return attachment;
}

}  // namespace warren::detail
