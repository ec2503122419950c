#include <fcntl.h>
#include <warren/ipc/detail/first_descriptor.h>
#include <warren/ipc/detail/passage.h>
#include <warren/ipc/detail/process.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "backing_file.h"
#include "pipe_end.h"

namespace warren::detail {
namespace {

struct Passage {
  HandleValue segment;
  PipeEnd::Numbers files;
};

absl::StatusOr<UniqueFd> own(int inherited) {
  if (inherited < 0) return UniqueFd();
  UniqueFd fd(::fcntl(inherited, F_DUPFD_CLOEXEC, kFirstDescriptor));
  if (!fd) return errno_status(errno, "a descriptor did not arrive");
  return fd;
}

absl::StatusOr<PipeEnd::Bell> own_bell(int inherited) {
  absl::StatusOr<UniqueFd> fd = own(inherited);
  if (!fd.ok()) return fd.status();
  return *fd ? std::make_shared<const UniqueFd>(*std::move(fd)) : nullptr;
}

// As if this very process had sent it: it is behind a descriptor of its own.
absl::StatusOr<Attachment::Pointer> attach(HandleValue value, const SegmentExpectation& expected) {
  const ProcessIdentity& self = this_process();
  value.pid = static_cast<std::uint32_t>(self.pid);
  value.start_time = self.start_time;
  value.pid_namespace = self.pid_namespace;
  return Attachment::open(value, expected);
}

}  // namespace

void pass(Writer& w, const Descriptor& descriptor, Luggage& luggage) {
  w.put(descriptor.fileno());
  if (descriptor.fileno() >= 0) luggage.push_back(descriptor.fileno());
}

void pass(Writer& w, const Connection& connection, Luggage& luggage) {
  const PipeEnd* const end = ConnectionAccess::end(connection);
  w.put(end != nullptr);
  if (end == nullptr) return;
  const absl::StatusOr<PipeEnd::Numbers> files = end->numbers();
  if (!files.ok()) return w.fail(files.status());
  const absl::StatusOr<HandleValue> segment = end->attachment()->value();
  if (!segment.ok()) return w.fail(segment.status());
  w.put(Passage{.segment = *segment, .files = *files});
  for (const int fd : {segment->descriptor, files->socket, files->own, files->peers}) {
    if (fd >= 0) luggage.push_back(fd);
  }
}

absl::Status pass(Writer& w, const Attachment& attachment, Luggage& luggage) {
  const absl::StatusOr<HandleValue> value = attachment.value();
  if (!value.ok()) return value.status();
  w.put(*value);
  luggage.push_back(value->descriptor);
  return absl::OkStatus();
}

absl::StatusOr<Descriptor> arrived_descriptor(Reader& r) {
  const auto fd = r.get<int>();
  if (!fd.ok()) return fd.status();
  if (*fd >= 0) return Descriptor::dup(*fd);
  return ConnectionAccess::no_descriptor();
}

absl::StatusOr<Connection> arrived_connection(Reader& r) {
  const auto open = r.get<bool>();
  if (!open.ok()) return open.status();
  if (!*open) return ConnectionAccess::make(nullptr);
  const auto passage = r.get<Passage>();
  if (!passage.ok()) return passage.status();
  const absl::StatusOr<Attachment::Pointer> segment =
      attach(passage->segment, {.kind = layout::ObjectKind::kPipe, .element = {}});
  if (!segment.ok()) return segment.status();
  absl::StatusOr<UniqueFd> socket = own(passage->files.socket);
  if (!socket.ok()) return socket.status();
  absl::StatusOr<PipeEnd::Bell> mine = own_bell(passage->files.own), theirs = own_bell(passage->files.peers);
  if (!mine.ok()) return mine.status();
  if (!theirs.ok()) return theirs.status();
  auto end = PipeEnd::arrive(*segment, passage->files.side, {*std::move(socket), *std::move(mine), *std::move(theirs)});
  if (!end.ok()) return end.status();
  return ConnectionAccess::make(*std::move(end));
}

absl::StatusOr<Attachment::Pointer> arrived_attachment(Reader& r, const SegmentExpectation& expected) {
  const auto value = r.get<HandleValue>();
  if (!value.ok()) return value.status();
  return attach(*value, expected);
}

}  // namespace warren::detail
