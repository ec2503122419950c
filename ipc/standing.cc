#include <warren/ipc/detail/standing.h>

namespace warren::detail {

Standing standing(const Attachment& attachment, Seat& seat, std::uint32_t index, std::uint16_t generation,
                  std::uint64_t word) noexcept {
  if (attachment.lane_given_back(index, generation)) return Standing::kGone;
  const SeatUse use(seat);
  const auto now = std::chrono::steady_clock::now();
  if (seat.stalled_position != word) {
    seat.stalled_position = word;
    seat.stalled_since = now;
    return Standing::kNew;
  }
  const std::chrono::nanoseconds stall(wait_tuning().stall_ns.load(std::memory_order_relaxed));
  if (now - seat.stalled_since < stall) return Standing::kWaiting;
  seat.stalled_since = now;
  return attachment.holds_lane(index, generation) ? Standing::kAlive : Standing::kGone;
}

}  // namespace warren::detail
