#include <warren/ipc/detail/standing.h>

namespace warren::detail {

Stood stood(Seat& seat, std::uint64_t word) noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (seat.stalled_position != word) {
    seat.stalled_position = word;
    seat.stalled_since = now;
    return Stood::kNew;
  }
  const std::chrono::nanoseconds stall(wait_tuning().stall_ns.load(std::memory_order_relaxed));
  if (now - seat.stalled_since < stall) return Stood::kShort;
  seat.stalled_since = now;
  return Stood::kTooLong;
}

Standing standing(const Attachment& attachment, Seat& seat, std::uint32_t index, std::uint16_t generation,
                  std::uint64_t word) noexcept {
  if (attachment.lane_given_back(index, generation)) return Standing::kGone;
  const SeatUse use(seat);
  switch (stood(seat, word)) {
    case Stood::kNew: return Standing::kNew;
    case Stood::kShort: return Standing::kWaiting;
    case Stood::kTooLong: break;
  }
  return attachment.holds_lane(index, generation) ? Standing::kAlive : Standing::kGone;
}

}  // namespace warren::detail
