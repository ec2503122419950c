// A latch, as it lies in memory. docs/algorithms/barrier.md has the protocol.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

struct alignas(kLine) Latch {
  std::atomic<std::uint32_t> count;    // 0: open, for good
  std::atomic<std::uint32_t> waiters;  // wait word
  std::byte reserved[56];
};
static_assert(sizeof(Latch) == kLine && offsetof(Latch, waiters) == 4);

}  // namespace warren::layout
