// Lease cells: where an item of a queue lies while somebody has it on lease. docs/algorithms/lease.md has the protocol.
// They lie behind everything else that the queue has, from the next page on; each is a LeaseCell and the words of a
// slot's payload.
#pragma once
#include <warren/layout/mpmc_ring.h>

namespace warren::layout {

// Whose the cell is.
//   bits 63..62 state | 61..46 lane, 45..30 its generation, of the lane that stands for a process | 29..0 version
struct LeaseWord {
  enum class State : std::uint8_t {
    kEmpty = 0,
    kTaking = 1,    // a process fills it; it has taken the item once `head` has named the cell
    kHeld = 2,      // on lease
    kReturned = 3,  // to be taken again, before what is in the ring
  };
  State state = State::kEmpty;
  std::uint32_t lane = 0;        // kTaking, kHeld: 16 bits
  std::uint16_t generation = 0;  // likewise
  std::uint32_t version = 0;  // grows with each claim and each further delivery: a word comes back after 2^30 of them

  static constexpr std::uint32_t kVersionMask = (1u << 30) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(state) << 62 | std::uint64_t{lane & 0xffffu} << 46 |
           std::uint64_t{generation} << 30 | (version & kVersionMask);
  }
  [[nodiscard]] static constexpr LeaseWord from(std::uint64_t word) noexcept {
    return {.state = static_cast<State>(word >> 62),
            .lane = static_cast<std::uint32_t>(word >> 46) & 0xffffu,
            .generation = static_cast<std::uint16_t>(word >> 30),
            .version = static_cast<std::uint32_t>(word) & kVersionMask};
  }
};

struct LeaseCell {
  std::atomic<std::uint64_t> word;      // LeaseWord
  std::atomic<std::uint64_t> position;  // that the item had in the ring
  std::atomic<std::uint32_t> first;     // the version of the first delivery: what it has grown since is its attempts
  std::byte reserved[4];
  // the payload follows
};
static_assert(sizeof(LeaseCell) == 24 && offsetof(LeaseCell, first) == 16);

inline constexpr std::uint32_t kMostLeases = 1023;  // at one time: what HeadWord can name

}  // namespace warren::layout
