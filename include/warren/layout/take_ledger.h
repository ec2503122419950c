// Who has items of a queue that are not done, as it lies in memory. docs/algorithms/join.md has the protocol. How many
// each thread took stands in its lane.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// What joins compare with the items taken. One word, so that a loss is written off and told in one step.
//   bits 63..20 items that are done or written off, as far as they go | 19..0 of these, written off, as far as counted
struct Settled {
  std::uint64_t items = 0;
  std::uint32_t lost = 0;

  static constexpr std::uint64_t kOne = std::uint64_t{1} << 20;
  static constexpr std::uint32_t kLostMask = (1u << 20) - 1;
  static constexpr std::uint64_t kItemsMask = (std::uint64_t{1} << 44) - 1;
  // Of one loss no more are counted: whatever a dead consumer had taken at once, the count does not go round to where
  // it was when somebody last asked.
  static constexpr std::uint32_t kMostOfOneLoss = 4095;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return items << 20 | (lost & kLostMask); }
  [[nodiscard]] static constexpr Settled from(std::uint64_t word) noexcept {
    return {.items = word >> 20, .lost = static_cast<std::uint32_t>(word) & kLostMask};
  }
  // Of `total` items how many are not settled.
  [[nodiscard]] constexpr std::uint64_t open_of(std::uint64_t total) const noexcept {
    return (total - items) & kItemsMask;
  }
  // How many were written off since there were `then`.
  [[nodiscard]] constexpr std::uint32_t lost_since(std::uint32_t then) const noexcept {
    return (lost - then) & kLostMask;
  }
};

// The last consumer that ended with items, for people.
//   bits 63..44 Settled::lost as it was then | 43 it surely had some | 31..0 pid
struct Loser {
  std::uint32_t lost = 0;
  bool surely = false;
  std::uint32_t pid = 0;  // 0: none yet

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{lost & Settled::kLostMask} << 44 | std::uint64_t{surely} << 43 | pid;
  }
  [[nodiscard]] static constexpr Loser from(std::uint64_t word) noexcept {
    return {.lost = static_cast<std::uint32_t>(word >> 44),
            .surely = (word >> 43 & 1) != 0,
            .pid = static_cast<std::uint32_t>(word)};
  }
};

struct alignas(kLine) TakeLedger {
  std::atomic<std::uint64_t> settled;  // Settled
  std::atomic<std::uint32_t> joiners;  // wait word: who waits until all is done
  std::atomic<std::uint32_t> blind;    // 1 once somebody took or acknowledged an item and had no lane to say so
  std::atomic<std::uint64_t> loser;    // Loser
  std::byte reserved[40];
};
static_assert(sizeof(TakeLedger) == kLine && offsetof(TakeLedger, joiners) == 8 && offsetof(TakeLedger, loser) == 16);

}  // namespace warren::layout
