#include "pipe_outgoing.h"

#include <algorithm>

#include "pipe_turn.h"

namespace warren::detail {
namespace {

using Room = ByteRing::Room;

absl::Status no_receiver() {
  return absl::UnavailableError("no reader is left: nobody holds the other end of the pipe any more");
}
absl::Status corrupt() { return absl::DataLossError("the pipe is corrupt: its positions"); }

}  // namespace

absl::Status Outgoing::send(std::uint32_t type, std::span<const std::byte> message) {
  if (line_.cut_lately(words_.departures.load(std::memory_order_relaxed))) return no_receiver();
  const bool whole = ring_.holds(message.size());
  const layout::PieceHead head{
      .length = static_cast<std::uint32_t>(whole ? message.size() : std::min(message.size(), ring_.piece_bytes())),
      .type = type,
      .first = true,
      .last = whole};
  const std::uint64_t record = ByteRing::record_bytes(head);
  for (;;) {
    if (!await_room(record)) return no_receiver();
    const Turn turn(attachment_, lock_, Deadline::never());
    if (!turn.taken()) return turn.status();
    const Room room = ring_.room_for(record);
    if (room == Room::kCorrupt) return corrupt();
    if (room == Room::kTooLittle) continue;  // another one came first
    put(head, message.size(), message.first(head.length));
    return whole ? absl::OkStatus() : stream(message.subspan(head.length));
  }
}

// The lock is kept, so that nobody's message comes in between.
absl::Status Outgoing::stream(std::span<const std::byte> rest) {
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.size(), ring_.piece_bytes());
    const layout::PieceHead head{.length = static_cast<std::uint32_t>(length), .last = length == rest.size()};
    if (!await_room(ByteRing::record_bytes(head))) return no_receiver();
    if (ring_.room_for(ByteRing::record_bytes(head)) != Room::kEnough) return corrupt();
    put(head, 0, rest.first(length));
    rest = rest.subspan(length);
  }
  return absl::OkStatus();
}

void Outgoing::put(layout::PieceHead head, std::uint64_t total, std::span<const std::byte> payload) noexcept {
  ring_.put(head, total, payload);
  WARREN_CRASH_POINT(pipe_committed);  // before the ring: slices bound a recv's sleep
  door_.notify();
}

// False: nobody is left who would make room. True where the positions cannot be, too: who holds the lock tells.
bool Outgoing::await_room(std::uint64_t record) {
  const auto test = [&] { return ring_.room_for(record) == Room::kTooLittle ? Progress::kBlocked : Progress::kDone; };
  if (test() == Progress::kDone || spin_until_done(spinner_, test)) return true;
  bool cut = false;
  (void)sleep_until_done(
      words_.room, attachment_.wait_mode(), Deadline::never(),
      [&] {
        if (test() == Progress::kDone) return Progress::kDone;
        cut = line_.cut();
        return cut ? Progress::kDone : Progress::kBlocked;
      },
      [&] { return std::min(attachment_.slice(), line_look_period()); }, [&] { (void)attachment_.sweep(); });
  return !cut;
}

}  // namespace warren::detail
