// A semaphore, as it lies in memory. docs/algorithms/semaphore.md has the protocol.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

struct alignas(kLine) Semaphore {
  std::atomic<std::uint32_t> permits;  // that nobody has
  std::atomic<std::uint32_t> waiters;  // wait word
  std::byte reserved[56];
};
static_assert(sizeof(Semaphore) == kLine && offsetof(Semaphore, permits) == 0 && offsetof(Semaphore, waiters) == 4);

}  // namespace warren::layout
