// A barrier, as it lies in memory. docs/algorithms/barrier.md has the protocol.
#pragma once
#include <warren/layout/lane.h>

namespace warren::layout {

inline constexpr std::uint32_t kMaxParties = kMaxLanes;

// In the announcement of a lane of a barrier's segment, in that generation of the lane: its owner is a party.
[[nodiscard]] constexpr std::uint64_t barrier_party(std::uint16_t lane_generation) noexcept {
  return std::uint64_t{lane_generation} << 1 | 1;
}

// The state word: all that is to know. One CAS arrives, completes, breaks or resets.
//   bits 63..32 generation | 31..26 how the last six generations ended | 25..22 broken | 21..0 arrived, or who broke it
struct BarrierState {
  enum class Broken : std::uint8_t { kNo = 0, kByDeath = 1, kByTimeout = 2, kByAbort = 3 };

  std::uint32_t generation = 0;  // grows whenever one completes, and with reset()
  std::uint8_t voided = 0;       // bit i: generation - 1 - i ended by reset()
  Broken broken = Broken::kNo;
  std::uint32_t value = 0;  // so many have arrived; where it is broken: the pid of who broke it

  static constexpr std::uint32_t kRemembered = 6;  // generations
  static constexpr std::uint32_t kValueMask = (1u << 22) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{generation} << 32 | std::uint64_t{voided & 63u} << 26 |
           (static_cast<std::uint64_t>(broken) & 15) << 22 | (value & kValueMask);
  }
  [[nodiscard]] static constexpr BarrierState from(std::uint64_t word) noexcept {
    return {.generation = static_cast<std::uint32_t>(word >> 32),
            .voided = static_cast<std::uint8_t>(word >> 26 & 63),
            .broken = static_cast<Broken>(word >> 22 & 15),
            .value = static_cast<std::uint32_t>(word) & kValueMask};
  }
  // The next generation, in which nobody has arrived.
  [[nodiscard]] constexpr BarrierState after(bool completed) const noexcept {
    return {.generation = generation + 1,
            .voided = static_cast<std::uint8_t>((voided << 1 | (completed ? 0 : 1)) & 63)};
  }
};

struct alignas(kLine) Barrier {
  std::atomic<std::uint64_t> state;    // BarrierState
  std::atomic<std::uint32_t> waiters;  // wait word
  std::uint32_t parties;               // written before anybody else sees it
  std::byte reserved[48];
};
static_assert(sizeof(Barrier) == kLine && offsetof(Barrier, waiters) == 8 && offsetof(Barrier, parties) == 12);

}  // namespace warren::layout
