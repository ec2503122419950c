#include "pipe_end.h"

#include <absl/strings/str_cat.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <warren/ipc/detail/words.h>

#include <array>
#include <bit>
#include <cerrno>
#include <mutex>

#include "live_ends.h"

namespace warren::detail {
namespace {

absl::Status no_descriptors() {
  return errno_status(errno, "no descriptors for a pipe (it takes five); is their number limited (ulimit -n)?");
}

PipeEnd::Bell make_bell() {
  auto bell = std::make_shared<const UniqueFd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return *bell ? bell : nullptr;
}

int descriptor_of(const PipeEnd::Bell& bell) noexcept { return bell ? bell->get() : -1; }

absl::Status not_passed() {
  return absl::FailedPreconditionError(
      "this process was not passed this end of the pipe: it belongs to the process that forked it");
}

// The first end receives from direction 0, the second from direction 1.
std::uint32_t received_by(std::uint32_t side) noexcept { return side; }
std::uint32_t sent_by(std::uint32_t side) noexcept { return 1 - side; }

}  // namespace

// --- geometry --------------------------------------------------------------------------------------------------------

std::size_t PipeGeometry::bytes_for(std::uint64_t capacity, std::uint32_t directions) noexcept {
  return sizeof(layout::PipeHeader) + directions * capacity;
}

absl::StatusOr<PipeGeometry> PipeGeometry::check(const Attachment& attachment) {
  const absl::Status corrupt = absl::DataLossError("the header of the pipe is corrupt: its geometry");
  const std::size_t available = attachment.size();
  if (available < sizeof(layout::PipeHeader)) return corrupt;
  PipeGeometry geometry{.header = reinterpret_cast<layout::PipeHeader*>(attachment.object())};
  geometry.capacity = read_once(geometry.header->capacity);
  geometry.directions = read_once(geometry.header->directions);
  const bool possible = std::has_single_bit(geometry.capacity) && geometry.capacity >= layout::kMinPipeCapacity &&
                        geometry.capacity <= layout::kMaxPipeCapacity &&
                        (geometry.directions == 1 || geometry.directions == 2) &&
                        bytes_for(geometry.capacity, geometry.directions) <= available;
  if (!possible) return corrupt;
  return geometry;
}

std::byte* PipeGeometry::ring(std::uint32_t direction) const noexcept {
  return reinterpret_cast<std::byte*>(header) + bytes_for(capacity, direction);
}

// --- life ------------------------------------------------------------------------------------------------------------

absl::StatusOr<PipeEnd::Pair> PipeEnd::make_pair(const Attachment::Pointer& attachment, const PipeGeometry& geometry) {
  LiveEnds& live = LiveEnds::instance();
  const std::scoped_lock lock(live.mutex());
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets.data()) != 0)
    return no_descriptors();
  UniqueFd first(sockets[0]), second(sockets[1]);
  const Bell to_first = make_bell();
  if (!to_first) return no_descriptors();
  const Bell to_second = geometry.directions == 2 ? make_bell() : nullptr;
  if (!to_second && geometry.directions == 2) return no_descriptors();
  Pair ends{new PipeEnd(attachment, geometry, 0, {std::move(first), to_first, to_second}),
            new PipeEnd(attachment, geometry, 1, {std::move(second), to_second, to_first})};
  live.add(*ends.first);
  live.add(*ends.second);
  return ends;
}

absl::StatusOr<std::shared_ptr<PipeEnd>> PipeEnd::arrive(const Attachment::Pointer& attachment, std::uint32_t side,
                                                         Files files) {
  const absl::StatusOr<PipeGeometry> geometry = PipeGeometry::check(*attachment);
  if (!geometry.ok()) return geometry.status();
  const bool has_bells = (files.own != nullptr) == (received_by(side) < geometry->directions) &&
                         (files.peers != nullptr) == (sent_by(side) < geometry->directions);
  if (side > 1 || !files.socket || !has_bells)
    return absl::DataLossError("an end of a pipe arrived, but not what belongs to it");
  LiveEnds& live = LiveEnds::instance();
  const std::scoped_lock lock(live.mutex());
  std::shared_ptr<PipeEnd> end(new PipeEnd(attachment, *geometry, side, std::move(files)));
  live.add(*end);
  return end;
}

absl::StatusOr<PipeEnd::Numbers> PipeEnd::numbers() const {
  if (abandoned_) return not_passed();
  return Numbers{.side = side_,
                 .socket = files_.socket.get(),
                 .own = descriptor_of(files_.own),
                 .peers = descriptor_of(files_.peers)};
}

PipeEnd::PipeEnd(Attachment::Pointer attachment, const PipeGeometry& geometry, std::uint32_t side, Files files)
    : attachment_(std::move(attachment)), side_(side), files_(std::move(files)), line_(files_.socket.get()) {
  const auto words = [&](std::uint32_t direction) -> layout::PipeDirection& {
    return geometry.header->direction[direction];
  };
  if (const std::uint32_t from = received_by(side); from < geometry.directions) {
    incoming_.emplace(*attachment_, words(from), geometry.ring(from), geometry.capacity, line_,
                      descriptor_of(files_.own));
  }
  if (const std::uint32_t to = sent_by(side); to < geometry.directions) {
    outgoing_.emplace(*attachment_, words(to), geometry.ring(to), geometry.capacity, line_,
                      descriptor_of(files_.peers));
  }
}

PipeEnd::~PipeEnd() {
  {
    LiveEnds& live = LiveEnds::instance();
    const std::scoped_lock lock(live.mutex());
    live.remove(*this);
    close_files();
  }
  if (incoming_ && !abandoned_) incoming_->depart();
}

void PipeEnd::close_files() noexcept {
  if (const int epoll = epoll_.exchange(-1, std::memory_order_relaxed); epoll >= 0) ::close(epoll);
  files_ = Files();
}

void PipeEnd::abandon() noexcept {
  close_files();
  abandoned_ = true;
}

// --- use -------------------------------------------------------------------------------------------------------------

absl::StatusOr<Incoming*> PipeEnd::incoming() {
  if (abandoned_) return not_passed();
  if (incoming_) return &*incoming_;
  return absl::FailedPreconditionError("this end of the simplex pipe only sends: the first one receives");
}

absl::StatusOr<Outgoing*> PipeEnd::outgoing() {
  if (abandoned_) return not_passed();
  if (outgoing_) return &*outgoing_;
  return absl::FailedPreconditionError("this end of the simplex pipe only receives: the second one sends");
}

bool PipeEnd::poll(Deadline deadline) {
  const absl::StatusOr<Incoming*> from = incoming();
  return !from.ok() || (*from)->poll(deadline);
}

int PipeEnd::fileno() noexcept {
  if (abandoned_) return -1;
  if (const int made = epoll_.load(std::memory_order_relaxed); made >= 0) return made;
  UniqueFd epoll;
  {
    LiveEnds& live = LiveEnds::instance();
    const std::scoped_lock lock(live.mutex());
    if (const int made = epoll_.load(std::memory_order_relaxed); made >= 0) return made;
    epoll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return -1;
    epoll_event line{.events = 0, .data = {}};  // its end is always told
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, files_.socket.get(), &line) != 0) return -1;
    epoll_event bell{.events = EPOLLIN, .data = {}};
    if (incoming_ && ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, files_.own->get(), &bell) != 0) return -1;
    epoll_.store(epoll.release(), std::memory_order_relaxed);
  }
  if (incoming_) incoming_->watch();
  return epoll_.load(std::memory_order_relaxed);
}

}  // namespace warren::detail
