// A bounded semaphore, as it lies in memory: this header, then a cell for each permit. The protocol is in
// docs/algorithms/bounded_semaphore.md.
#pragma once
#include <warren/layout/owned_cell.h>

namespace warren::layout {

inline constexpr std::uint32_t kMaxBoundedPermits = 65'536;

// The cells follow: std::atomic<std::uint64_t>[permits], OwnedCells of process lanes. Their notes count how often each
// was taken.
struct alignas(kLine) BoundedSemaphore {
  std::uint32_t permits;               // written before anybody else sees it
  std::atomic<std::uint32_t> waiters;  // wait word
  std::byte reserved[56];
};
static_assert(sizeof(BoundedSemaphore) == kLine && offsetof(BoundedSemaphore, waiters) == 4);

}  // namespace warren::layout
