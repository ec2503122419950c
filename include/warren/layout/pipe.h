// A pipe, as it lies in memory: one ring of bytes for each direction. docs/algorithms/pipe.md has the protocol.
//   PipeHeader, then `directions` rings of `capacity` bytes each
#pragma once
#include <warren/layout/mutex.h>

namespace warren::layout {

// Every record of a ring begins with this word, at a multiple of 8. A message is one record that is first and last, or
// a run of them from a first to a last one; then the payload of the first begins with the length of it all (u64).
//   bits 63..32 type, of the first one | 31 last | 30 first | 29..0 length of the payload
struct PieceHead {
  std::uint32_t length = 0;
  std::uint32_t type = 0;  // what the message is; 0: bytes
  bool first = false;
  bool last = false;

  static constexpr std::uint32_t kLengthMask = (1u << 30) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{type} << 32 | std::uint64_t{last} << 31 | std::uint64_t{first} << 30 | (length & kLengthMask);
  }
  [[nodiscard]] static constexpr PieceHead from(std::uint64_t word) noexcept {
    return {.length = static_cast<std::uint32_t>(word) & kLengthMask,
            .type = static_cast<std::uint32_t>(word >> 32),
            .first = (word >> 30 & 1) != 0,
            .last = (word >> 31 & 1) != 0};
  }
};

// From one end to the other. Positions count bytes and only grow.
struct PipeDirection {
  alignas(kLine) std::atomic<std::uint64_t> tail;  // committed so far; whoever holds `sending` writes it
  alignas(kLine) std::atomic<std::uint64_t> head;  // taken so far; whoever holds `receiving` writes it
  std::atomic<std::uint64_t> dropped;              // messages that were begun and given up; likewise
  alignas(kLine) std::atomic<std::uint32_t> door;  // DoorState: whether a commit has to ring the receivers' bell
  std::atomic<std::uint32_t> room;                 // wait word of senders
  std::atomic<std::uint32_t> watched;              // 1: the receivers' bell stands in somebody's loop of events
  std::atomic<std::uint32_t> departures;           // of receiving processes, in good order: look whether one is left
  alignas(kLine) Mutex sending;
  alignas(kLine) Mutex receiving;
};
static_assert(offsetof(PipeDirection, head) == 64 && offsetof(PipeDirection, door) == 128);
static_assert(offsetof(PipeDirection, sending) == 192 && sizeof(PipeDirection) == 320);

// bits 31..2 a number that grows with each arming | 1 arming | 0 ring
inline constexpr std::uint32_t kDoorRing = 1;
inline constexpr std::uint32_t kDoorArming = 2;
inline constexpr std::uint32_t kDoorNext = 4;

inline constexpr std::uint64_t kMinPipeCapacity = 64;
inline constexpr std::uint64_t kMaxPipeCapacity = std::uint64_t{1} << 30;

struct PipeHeader {
  std::uint64_t capacity;    // of each ring: a power of two
  std::uint32_t directions;  // 2; 1: only from the second end to the first
  std::uint32_t reserved0;
  std::byte reserved1[48];
  PipeDirection direction[2];  // to the first end, to the second
};
static_assert(offsetof(PipeHeader, direction) == 64 && sizeof(PipeHeader) == 704);

}  // namespace warren::layout
