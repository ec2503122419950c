// An event, as it lies in memory. docs/algorithms/event.md has the protocol.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// The state word: how often it was set, and whether it is.   bits 63..1 sets, modulo 2^63 | 0 set
struct EventState {
  std::uint64_t sets = 0;
  bool set = false;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return sets << 1 | static_cast<std::uint64_t>(set); }
  [[nodiscard]] static constexpr EventState from(std::uint64_t word) noexcept {
    return {.sets = word >> 1, .set = (word & 1) != 0};
  }
  // One that is set already was not set once more.
  [[nodiscard]] constexpr EventState when_set() const noexcept { return {.sets = sets + (set ? 0 : 1), .set = true}; }
};

struct alignas(kLine) Event {
  std::atomic<std::uint64_t> state;    // EventState
  std::atomic<std::uint32_t> waiters;  // wait word
  std::byte reserved[52];
};
static_assert(sizeof(Event) == kLine && offsetof(Event, state) == 0 && offsetof(Event, waiters) == 8);

}  // namespace warren::layout
