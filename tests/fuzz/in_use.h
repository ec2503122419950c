// Objects in use whose memory somebody else writes into: where that memory is, and what must not be called then.
#pragma once
#include <warren/layout/mutex.h>
#include <warren/layout/segment.h>

#include "fuzz/input.h"
#include "support/reach.h"

namespace warren::fuzz {

// Waits are short, and claims that stand are looked into at once.
inline void hurry() noexcept {
  detail::WaitTuning& tuning = detail::wait_tuning();
  tuning.spins = false;
  tuning.stall_ns = 0;
  tuning.short_look_ticks = 0;
  tuning.slice_min_ns = tuning.slice_max_ns = 100'000;
}

// A blocking verb on a mutex waits as long as a living thread holds it, and stops the program where that is the caller:
// so it may not be called where the words say so.
inline bool held_by_living(const Handle& handle, const layout::Mutex& mutex) noexcept {
  detail::Attachment& attachment = test::Reach::attachment(handle);
  (void)attachment.seat();  // whose lane the verb would claim, and the words may name it
  const auto owner = layout::MutexState::from(mutex.state.load(std::memory_order_relaxed));
  return owner.held && attachment.holds_lane(owner.lane, owner.generation);
}

// Writes one word somewhere into the segment's header, its first lanes, or the first `object_bytes` of the object. What
// is written is a number, or one near a number that stands there already: so positions and generations are met.
inline void spoil_word(Input& input, const Handle& handle, std::size_t object_bytes) noexcept {
  constexpr std::size_t kLaneBytes = 8 * sizeof(layout::Lane);
  std::byte* const object = test::Reach::attachment(handle).object();
  const auto pick = [&](std::size_t bytes) { return input.take<std::uint16_t>() % (bytes / 8) * 8; };
  const auto place = [&]() -> std::byte* {
    switch (input.below(4)) {
      case 0: return object - layout::kObjectOffset + pick(sizeof(layout::SegmentHeader));
      case 1: return object - layout::kObjectOffset + layout::kLanesOffset + pick(kLaneBytes);
      default: return object + pick(object_bytes);
    }
  };
  std::atomic_ref to(*reinterpret_cast<std::uint64_t*>(place()));
  switch (input.below(3)) {
    case 0: to.store(input.take<std::uint64_t>(), std::memory_order_relaxed); break;
    case 1: {
      const std::uint64_t there = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place())).load();
      to.store(there * (1 + input.below(2)) + static_cast<std::uint64_t>(std::int64_t{input.take<std::int8_t>()}),
               std::memory_order_relaxed);
      break;
    }
    default: to.fetch_xor(std::uint64_t{1} << input.below(64), std::memory_order_relaxed);
  }
}

}  // namespace warren::fuzz
