#include <warren/ipc/detail/high_water.h>

namespace warren::detail {

void HighWater::look(Seat& seat, std::uint64_t position) const noexcept {
  seat.cached_head = layout::HeadWord::position(
      header_->head.load(std::memory_order_acquire));  // [Q29] as Q1, which reads the copy; pairs with Q7
  const auto size = static_cast<std::int64_t>(position + 1 - seat.cached_head);
  if (size > 0) raise(std::min(static_cast<std::uint64_t>(size), capacity_));
}

void HighWater::raise(std::uint64_t size) const noexcept {
  std::uint64_t mark = header_->high_water.load(std::memory_order_relaxed);
  while (mark < size && !header_->high_water.compare_exchange_weak(mark, size, std::memory_order_relaxed)) {
  }
}

}  // namespace warren::detail
