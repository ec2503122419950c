#include <warren/ipc/detail/high_water.h>

namespace warren::detail {

std::uint64_t HighWater::near_up_to() const noexcept {
  if (header_ == nullptr) return capacity_;
  const std::uint64_t mark = header_->high_water.load(std::memory_order_relaxed);
  return std::max(mark, std::min(mark + margin(mark), capacity_ - 1));
}

void HighWater::claimed(std::uint64_t position, std::uint64_t head) const noexcept {
  if (position + 1 - head <= near_up_to()) return;
  head = layout::HeadWord::position(header_->head.load(std::memory_order_relaxed));
  const auto size = static_cast<std::int64_t>(position + 1 - head);
  if (size > 0) raise(std::min(static_cast<std::uint64_t>(size), capacity_));
}

void HighWater::raise(std::uint64_t size) const noexcept {
  if (header_ == nullptr) return;
  std::uint64_t mark = header_->high_water.load(std::memory_order_relaxed);
  while (mark < size && !header_->high_water.compare_exchange_weak(mark, size, std::memory_order_relaxed)) {
  }
}

}  // namespace warren::detail
