// A lane: one attached thread's place in a segment. It says who the thread is, so that its death can be confirmed, and
// what it is in the middle of, so that somebody else can finish or undo it.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// The identity word. One CAS claims a lane and records its owner; there is no ownerless moment.
//   bits 63..42 pid | 41..18 low bits of the start time | 17..2 generation | 1..0 phase
struct LaneIdentity {
  enum class Phase : std::uint8_t { kFree = 0, kLive = 1, kSweeping = 2 };

  std::uint32_t pid = 0;         // 22 bits: the kernel's PID_MAX_LIMIT
  std::uint32_t start_low = 0;   // 24 bits of the start time, in clock ticks since boot
  std::uint16_t generation = 0;  // grows by one each time the lane is freed
  Phase phase = Phase::kFree;

  static constexpr std::uint32_t kStartMask = (1u << 24) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{pid & 0x3fffffu} << 42 | std::uint64_t{start_low & kStartMask} << 18 |
           std::uint64_t{generation} << 2 | static_cast<std::uint64_t>(phase);
  }
  [[nodiscard]] static constexpr LaneIdentity from(std::uint64_t word) noexcept {
    return {.pid = static_cast<std::uint32_t>(word >> 42),
            .start_low = static_cast<std::uint32_t>(word >> 18) & kStartMask,
            .generation = static_cast<std::uint16_t>(word >> 2),
            .phase = static_cast<Phase>(word & 3)};
  }
};

// A thread of a process, for people.
struct ThreadName {
  std::uint32_t pid = 0;  // 0: not known
  std::uint32_t tid = 0;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return std::uint64_t{pid} << 32 | tid; }
  [[nodiscard]] static constexpr ThreadName from(std::uint64_t word) noexcept {
    return {.pid = static_cast<std::uint32_t>(word >> 32), .tid = static_cast<std::uint32_t>(word)};
  }
};

// Written by its owner, read by all; freed by its owner or by a sweep.
struct Lane {
  std::atomic<std::uint64_t> identity;       // LaneIdentity
  std::atomic<std::uint64_t> start_time;     // in full; 0 between the claim and the store after it
  std::atomic<std::uint32_t> pid_namespace;  // inode of /proc/thread-self/ns/pid; 0 likewise
  std::atomic<std::uint32_t> thread_id;      // for ipc-inspect
  std::atomic<std::uint64_t> announcement;   // a ring position + 1 that this thread is about to claim or has claimed
  std::atomic<std::uint64_t> take;  // a ring position + 1 whose block this thread is about to take or has taken
  std::atomic<std::uint32_t>
      time_namespace;  // inode of /proc/thread-self/ns/time: start times are shown shifted by it; 0 likewise
  // Of a queue, docs/algorithms/join.md. The last two only grow, whoever has the lane; equal in a free one.
  std::atomic<std::uint32_t> taking;    // items that this thread is about to take or to settle, or has just
  std::atomic<std::uint64_t> taken;     // items that its threads took: their owner raises it
  std::atomic<std::uint64_t> finished;  // of those, not its own any more: done, handed on, or gone with a thread
};
static_assert(sizeof(Lane) == kLine && offsetof(Lane, announcement) == 24 && offsetof(Lane, time_namespace) == 40);
static_assert(offsetof(Lane, taking) == 44 && offsetof(Lane, taken) == 48 && offsetof(Lane, finished) == 56);

inline constexpr std::uint32_t kMaxLanes = 65535;
inline constexpr std::uint32_t kLanesPerPage = kPage / sizeof(Lane);

}  // namespace warren::layout
