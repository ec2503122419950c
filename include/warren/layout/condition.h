// A condition, as it lies in memory. docs/algorithms/condition.md has the protocol.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

struct alignas(kLine) Condition {
  std::atomic<std::uint64_t> notified;  // how often, of one or of all
  std::atomic<std::uint32_t> waiters;   // wait word
  std::byte reserved[52];
};
static_assert(sizeof(Condition) == kLine && offsetof(Condition, notified) == 0 && offsetof(Condition, waiters) == 8);

}  // namespace warren::layout
