#include <warren/ipc/pipe.h>

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <warren/ipc/detail/connections.h>
#include <warren/ipc/detail/first_descriptor.h>
#include <warren/ipc/segment.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>

#include "backing_file.h"
#include "live_ends.h"
#include "pipe_end.h"

namespace warren {

using detail::PipeEnd;

namespace detail {

void keep_connections(std::span<const Connection* const> passed) noexcept {
  std::vector<const PipeEnd*> kept;
  for (const Connection* const connection : passed) kept.push_back(ConnectionAccess::end(*connection));
  LiveEnds::instance().abandon_all_but(kept);
}

absl::Status left_over(std::size_t bytes) {
  return absl::DataLossError(absl::StrCat("a message has ", bytes, " bytes more than the value in it"));
}

}  // namespace detail

namespace {

// What a sweep wakes: who waits for a dead sender's or receiver's turn. Who waits for room looks often enough.
constexpr std::array<std::uint32_t, 4> lock_words() {
  std::array<std::uint32_t, 4> words{};
  for (std::uint32_t i = 0; i < 4; ++i) {
    words[i] = static_cast<std::uint32_t>(
        offsetof(layout::PipeHeader, direction) + i / 2 * sizeof(layout::PipeDirection) +
        (i % 2 == 0 ? offsetof(layout::PipeDirection, sending) : offsetof(layout::PipeDirection, receiving)) +
        offsetof(layout::Mutex, waiters));
  }
  return words;
}

absl::Status closed() { return absl::FailedPreconditionError("the connection is closed, or was moved from"); }

}  // namespace

// --- Pipe ------------------------------------------------------------------------------------------------------------

absl::StatusOr<std::pair<Connection, Connection>> Pipe::create(const PipeOptions& options) {
  if (options.capacity == 0 || options.capacity > layout::kMaxPipeCapacity) {
    return absl::InvalidArgumentError(absl::StrCat("a pipe of ", options.capacity,
                                                   " bytes: ask for at least one, and for 1 GiB at most; a message may "
                                                   "be larger than the pipe"));
  }
  const std::uint64_t capacity = std::max(std::bit_ceil(std::uint64_t{options.capacity}), layout::kMinPipeCapacity);
  const std::uint32_t directions = options.duplex ? 2 : 1;
  const detail::SegmentPlan plan{.kind = layout::ObjectKind::kPipe,
                                 .size = detail::PipeGeometry::bytes_for(capacity, directions),
                                 .wait_words = lock_words(),
                                 .initialise = [&](std::span<std::byte> object) {
                                   auto& header = *reinterpret_cast<layout::PipeHeader*>(object.data());
                                   header.capacity = capacity;
                                   header.directions = directions;
                                 }};
  absl::StatusOr<detail::Attachment::Pointer> attachment = detail::Attachment::create({}, plan, SegmentOptions());
  if (!attachment.ok()) return attachment.status();
  const absl::StatusOr<detail::PipeGeometry> geometry = detail::PipeGeometry::check(**attachment);
  if (!geometry.ok()) return geometry.status();
  absl::StatusOr<PipeEnd::Pair> ends = PipeEnd::make_pair(*attachment, *geometry);
  if (!ends.ok()) return ends.status();
  return std::pair(Connection(std::move(ends->first)), Connection(std::move(ends->second)));
}

// --- Connection ------------------------------------------------------------------------------------------------------

Connection::Connection(std::shared_ptr<PipeEnd> end) noexcept
    : Handle(end ? end->attachment() : nullptr), end_(std::move(end)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Connection Connection::share() const { return Connection(end_); }

void Connection::close() {
  end_.reset();
  attachment_.reset();
}

absl::Status Connection::send_message(std::uint32_t type, std::span<const std::byte> message) {
  if (!end_) return closed();
  const absl::StatusOr<detail::Outgoing*> to = end_->outgoing();
  return to.ok() ? (*to)->send(type, message) : to.status();
}

absl::Status Connection::recv_message(const detail::Wanted& wanted, detail::MessageBuffer& out, Deadline t) {
  if (!end_) return closed();
  const absl::StatusOr<detail::Incoming*> from = end_->incoming();
  return from.ok() ? (*from)->recv(wanted, out, t) : from.status();
}

absl::Status Connection::recv_typed(std::uint32_t type, detail::MessageBuffer& out, Deadline t) {
  return recv_message({.type = type}, out, t);
}

absl::Status Connection::send_bytes(std::span<const std::byte> message) { return send_message(0, message); }

absl::StatusOr<std::vector<std::byte>> Connection::recv_bytes(std::size_t max) {
  detail::MessageBuffer message;
  if (absl::Status status = recv_message({.most = max}, message, Deadline::never()); !status.ok()) return status;
  return std::move(message).release();
}

absl::StatusOr<std::size_t> Connection::recv_bytes_into(std::span<std::byte> out) {
  detail::MessageBuffer message(out);
  if (absl::Status status = recv_message({.most = out.size()}, message, Deadline::never()); !status.ok()) return status;
  return message.bytes().size();
}

bool Connection::poll(Timeout d) { return !end_ || end_->poll(Deadline::after(d)); }

int Connection::fileno() const { return end_ ? end_->fileno() : -1; }

// Quietens a bell that was rung for nothing.
bool Waitable::connection_ready(const void* connection) {
  PipeEnd* const end = detail::ConnectionAccess::end(*static_cast<const Connection*>(connection));
  return end == nullptr || end->poll(Deadline::after(std::chrono::nanoseconds::zero()));
}

// --- Descriptor ------------------------------------------------------------------------------------------------------

class Descriptor::File : public detail::UniqueFd {
  using UniqueFd::UniqueFd;
};

absl::StatusOr<Descriptor> Descriptor::dup(int fd) {
  auto file = std::make_shared<const File>(::fcntl(fd, F_DUPFD_CLOEXEC, detail::kFirstDescriptor));
  if (*file) return Descriptor(std::move(file));
  if (errno == EBADF) return absl::InvalidArgumentError(absl::StrCat(fd, " is not an open descriptor"));
  return detail::errno_status(errno, absl::StrCat("cannot duplicate the descriptor ", fd));
}

int Descriptor::fileno() const noexcept { return file_ ? file_->get() : -1; }

}  // namespace warren
