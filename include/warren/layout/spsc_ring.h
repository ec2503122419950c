// The ring of one producer and one consumer, as it lies in memory. docs/algorithms/spsc_ring.md has the protocol.
//   SpscRingHeader, then capacity slots of slot_bytes each
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// Who owns a side: {lane index + 1, lane generation}, 0 while nobody does. Claimed and taken over by CAS.
struct SideOwner {
  std::uint32_t lane = 0;
  std::uint16_t generation = 0;
  bool owned = false;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return owned ? (std::uint64_t{lane} + 1) << 16 | generation : 0;
  }
  [[nodiscard]] static constexpr SideOwner from(std::uint64_t word) noexcept {
    if (word >> 16 == 0) return {};
    return {.lane = static_cast<std::uint32_t>((word >> 16) - 1),
            .generation = static_cast<std::uint16_t>(word),
            .owned = true};
  }
};

inline constexpr std::uint32_t kRingClosed = 1;
inline constexpr std::uint32_t kRingDrained = 2;
inline constexpr std::uint32_t kRingCorrupt = 4;  // of records: the consumer found what none can be, and gave up

// What the other side reads, tail or head, has a line of its own: its owner waits for that line whenever it was read.
// The first line is the producer's alone while the ring is used.
struct SpscRingHeader {
  std::uint64_t capacity;    // a power of two
  std::uint32_t slot_bytes;  // sizeof(T)
  std::uint32_t reserved0;
  std::atomic<std::uint64_t> producer;    // SideOwner
  std::atomic<std::uint64_t> committing;  // from before the producer looks at `closed`, the tail that it will store
  std::byte reserved1[32];
  alignas(kLine) std::atomic<std::uint64_t> tail;       // items ever committed
  alignas(kLine) std::atomic<std::uint64_t> head;       // items ever consumed
  std::atomic<std::uint64_t> consumer;                  // SideOwner
  alignas(kLine) std::atomic<std::uint32_t> not_empty;  // wait words
  std::atomic<std::uint32_t> not_full;
  std::atomic<std::uint32_t> closed;  // kRingClosed, and kRingDrained, kRingCorrupt once that was seen
};
static_assert(offsetof(SpscRingHeader, producer) == 16 && offsetof(SpscRingHeader, committing) == 24);
static_assert(offsetof(SpscRingHeader, tail) == 64 && offsetof(SpscRingHeader, head) == 128);
static_assert(offsetof(SpscRingHeader, not_empty) == 192 && sizeof(SpscRingHeader) == 256);

}  // namespace warren::layout
