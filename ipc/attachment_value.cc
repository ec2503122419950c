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
  absl::StatusOr<OpenedPeerFile> file = open_of_peer(pid, value.descriptor, value.id);
  if (!file.ok()) return file.status();
  if (file->file.size <= layout::kObjectOffset) return absl::DataLossError("a handle to a truncated segment arrived");
  return attach(std::move(file->file), file->name, expected, /*read_only=*/false);
}

}  // namespace warren::detail
