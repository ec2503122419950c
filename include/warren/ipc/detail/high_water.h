// The most items that were in a ring at once, as its producers see it. A push compares its position with its own old
// copy of head, which says at most how many there are; only where that is well above the mark is head itself read.
#pragma once
#include <warren/ipc/detail/mpmc_ring.h>

#include <algorithm>

namespace warren::detail {

class HighWater {
 public:
  HighWater(layout::MpmcRingHeader& header, std::uint64_t capacity) noexcept : header_(&header), capacity_(capacity) {}

  // `push(claimed)` tries a push from `seat`, and calls claimed(position) when it has claimed one.
  template <class TryPush>
  Push mark_push(Seat& seat, TryPush&& push) const noexcept {
    const SeatUse use(seat);
    std::uint64_t position = 0;
    const Push result = push([&](std::uint64_t claimed) { position = claimed; });
    if (result == Push::kPushed) pushed(seat, position);
    if (result == Push::kFull) full();
    return result;
  }
  // A push was told so.
  void full() const noexcept { raise(capacity_); }

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
  // After the push to `position`.
  void pushed(Seat& seat, std::uint64_t position) const noexcept {
    const std::uint64_t most = position + 1 - seat.cached_head;
    const std::uint64_t mark = header_->high_water.load(std::memory_order_relaxed);
    if (most > mark && (most > mark + margin(mark) || most >= capacity_)) [[unlikely]]
      look(seat, position);
  }
  void look(Seat& seat, std::uint64_t position) const noexcept;
  void raise(std::uint64_t size) const noexcept;

  layout::MpmcRingHeader* header_;
  std::uint64_t capacity_;
};

}  // namespace warren::detail
