// A mutex, as it lies in memory: by itself, or inside a value or an array. docs/algorithms/mutex.md has the protocol.
#pragma once
#include <warren/layout/lane.h>

namespace warren::layout {

// The state word: who holds the mutex, and whether its last owner died holding it. One CAS claims it with its owner.
//   bits 63..48 lane index + 1 | 47..32 lane generation | 31..8 thread | 0 inconsistent;  0 in 63..8: nobody holds it
struct MutexState {
  std::uint32_t lane = 0;
  std::uint16_t generation = 0;
  std::uint32_t thread = 0;  // 24 bits: tells threads that share a lane from each other
  bool held = false;
  bool inconsistent = false;

  static constexpr std::uint32_t kThreadMask = (1u << 24) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    const std::uint64_t owner =
        std::uint64_t{lane + 1} << 48 | std::uint64_t{generation} << 32 | std::uint64_t{thread & kThreadMask} << 8;
    return (held ? owner : 0) | static_cast<std::uint64_t>(inconsistent);
  }
  [[nodiscard]] static constexpr MutexState from(std::uint64_t word) noexcept {
    const bool inconsistent = (word & 1) != 0;
    if (word >> 48 == 0) return {.inconsistent = inconsistent};
    return {.lane = static_cast<std::uint32_t>(word >> 48) - 1,
            .generation = static_cast<std::uint16_t>(word >> 32),
            .thread = static_cast<std::uint32_t>(word >> 8) & kThreadMask,
            .held = true,
            .inconsistent = inconsistent};
  }
  [[nodiscard]] constexpr bool held_by(const MutexState& other) const noexcept {
    return held && lane == other.lane && generation == other.generation && thread == other.thread;
  }
};

struct alignas(kLine) Mutex {
  std::atomic<std::uint64_t> state;    // MutexState
  std::atomic<std::uint32_t> waiters;  // wait word
  std::uint32_t depth;                 // of a recursive mutex: its owner's
  std::atomic<std::uint64_t> holder;   // ThreadName of who holds it
  std::atomic<std::uint64_t> dead;     // ThreadName of the owner that died; 0: none, or not known
  std::atomic<std::uint64_t> died_ns;  // CLOCK_REALTIME, when that was found
  std::byte reserved[24];
};
static_assert(sizeof(Mutex) == kLine && offsetof(Mutex, holder) == 16 && offsetof(Mutex, died_ns) == 32);

}  // namespace warren::layout
