// The bounded queue of many producers and consumers, as it lies in memory. docs/algorithms/mpmc_ring.md has the
// protocol.
//   RingHeader, then slot_count slots of slot_bytes each: { sequence word, payload rounded up to 8 bytes }
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// tail: producers claim by CAS. head: consumers take by CAS. Each on its own line.
struct MpmcRingHeader {
  std::uint64_t capacity;    // items it may hold: exactly what was asked for
  std::uint64_t slot_count;  // a power of two, at least capacity
  std::uint32_t slot_bytes;
  std::uint32_t payload_bytes;  // sizeof(T)
  std::byte reserved0[40];
  alignas(kLine) std::atomic<std::uint64_t> tail;       // next position to claim; bit 63: CLOSED
  alignas(kLine) std::atomic<std::uint64_t> head;       // next position to take
  alignas(kLine) std::atomic<std::uint32_t> not_empty;  // wait words: consumers sleep here,
  std::atomic<std::uint32_t> not_full;                  // producers here
  std::atomic<std::uint64_t> buried;                    // claims of dead producers that were skipped
};
static_assert(offsetof(MpmcRingHeader, tail) == 64 && offsetof(MpmcRingHeader, head) == 128);
static_assert(offsetof(MpmcRingHeader, not_empty) == 192 && sizeof(MpmcRingHeader) == 256);

inline constexpr std::uint64_t kClosedBit = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kMaxPosition = std::uint64_t{1} << 62;

// A slot's sequence word: what happened at position p, and p itself, so that no lap can be taken for another.
[[nodiscard]] constexpr std::uint64_t committed(std::uint64_t position) noexcept { return 2 * (position + 1); }
[[nodiscard]] constexpr std::uint64_t buried(std::uint64_t position) noexcept { return 2 * (position + 1) + 1; }

}  // namespace warren::layout
