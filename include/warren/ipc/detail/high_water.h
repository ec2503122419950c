// The most items that were in a ring at once, as its producers see it. A push goes by its thread's own old copy of
// head, which says at most how many there are; only where that is well above the mark is head itself read.
#pragma once
#include <warren/layout/mpmc_ring.h>

#include <algorithm>
#include <cstdint>

namespace warren::detail {

class HighWater {
 public:
  HighWater() noexcept = default;  // of a ring that keeps no mark
  HighWater(layout::MpmcRingHeader& header, std::uint64_t capacity) noexcept : header_(&header), capacity_(capacity) {}

  // A push was told so.
  void full() const noexcept { raise(capacity_); }
  // After the claim of `position`, which went by `head`.
  void claimed(std::uint64_t position, std::uint64_t head) const noexcept;
  // How many there may be, by an old copy of head, and the mark is still near enough: 0 where that is never sure.
  [[nodiscard]] std::uint64_t near_up_to() const noexcept;

  // How far the mark may be behind.
  [[nodiscard]] std::uint64_t margin(std::uint64_t mark) const noexcept {
    return std::min(capacity_ / 8, std::max<std::uint64_t>(8, mark / 8));
  }
  // What was seen so far; `size` is seen now.
  [[nodiscard]] std::uint64_t mark_of_at_least(std::uint64_t size) const noexcept {
    raise(size);
    return header_->high_water.load(std::memory_order_relaxed);
  }

 private:
  void raise(std::uint64_t size) const noexcept;

  layout::MpmcRingHeader* header_ = nullptr;
  std::uint64_t capacity_ = ~std::uint64_t{0};
};

}  // namespace warren::detail
