// The queue of many producers and consumers, as it lies in memory. docs/algorithms/mpmc_ring.md has the protocol.
//   bounded    MpmcRingHeader, then slot_count slots of slot_bytes each: {sequence word, payload rounded up to 8 bytes}
//   unbounded  MpmcRingHeader, a directory of chunk_count entries, chunk_count owner words, and from the next page on
//              the chunks, of chunk_slots slots each: docs/algorithms/elastic_slots.md
// Who carries more than plain bytes has a header of its own right behind MpmcRingHeader, before all else: queue.h.
#pragma once
#include <warren/layout/take_ledger.h>

namespace warren::layout {

// tail: producers claim by CAS. head: consumers take by CAS. Each on its own line.
//   tail  bit 63 CLOSED | 51..0 next position to claim
//   head  HeadWord
struct MpmcRingHeader {
  std::uint64_t capacity;    // items it may hold: exactly what was asked for
  std::uint64_t slot_count;  // a power of two, at least capacity; unbounded: 0
  std::uint32_t slot_bytes;
  std::uint32_t payload_bytes;                  // sizeof(T)
  std::uint64_t chunk_count;                    // a power of two; bounded: 0
  std::uint64_t chunk_slots;                    // likewise
  std::atomic<std::uint64_t> chunks_committed;  // chunks whose memory is there
  std::byte reserved0[16];
  alignas(kLine) std::atomic<std::uint64_t> tail;       // next position to claim; bit 63: CLOSED
  alignas(kLine) std::atomic<std::uint64_t> head;       // next position to take; HeadWord
  alignas(kLine) std::atomic<std::uint32_t> not_empty;  // wait words: consumers sleep here,
  std::atomic<std::uint32_t> not_full;                  // producers here
  std::atomic<std::uint64_t> burials;                   // Burials
  std::atomic<std::uint64_t> high_water;                // the most items that a producer has seen here
  std::atomic<std::uint64_t> returned;                  // leases that ended without ack(); lease_cells.h
  std::atomic<std::uint32_t> lease_cells;               // that there are: as many as were ever in use at one time
  TakeLedger takes;                                     // of a queue: a pool's hints have none
};
static_assert(offsetof(MpmcRingHeader, tail) == 64 && offsetof(MpmcRingHeader, head) == 128);
static_assert(offsetof(MpmcRingHeader, not_empty) == 192 && offsetof(MpmcRingHeader, high_water) == 208);
static_assert(offsetof(MpmcRingHeader, returned) == 216 && offsetof(MpmcRingHeader, lease_cells) == 224);
static_assert(offsetof(MpmcRingHeader, takes) == 256 && sizeof(MpmcRingHeader) == 320);

// Claims of dead producers that are skipped. Each is counted once, before head passes it: the word says which one was
// counted last.
//   bits 63..24 its position + 1, as far as it goes | 23..0 how many
struct Burials {
  std::uint64_t last = 0;
  std::uint64_t count = 0;

  static constexpr std::uint64_t kCountMask = (std::uint64_t{1} << 24) - 1;
  static constexpr std::uint64_t kLastMask = (std::uint64_t{1} << 40) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return last << 24 | (count & kCountMask); }
  [[nodiscard]] static constexpr Burials from(std::uint64_t word) noexcept {
    return {.last = word >> 24, .count = word & kCountMask};
  }
  [[nodiscard]] constexpr bool counted(std::uint64_t position) const noexcept {
    return count != 0 && last == ((position + 1) & kLastMask);
  }
  [[nodiscard]] constexpr Burials with(std::uint64_t position) const noexcept {
    return {.last = (position + 1) & kLastMask, .count = count + 1};
  }
  // Of those, how many `head` has passed.
  [[nodiscard]] constexpr std::uint64_t passed(std::uint64_t head) const noexcept {
    return count - (counted(head) ? 1 : 0);
  }
};

// Which chunk holds the positions of a run: those whose number, divided by chunk_slots, is `run`.
//   bits 63..20 run, as far as they go | 19..0 chunk + 1;  0: none yet
struct ChunkEntry {
  std::uint64_t run = 0;
  std::uint64_t chunk = 0;  // what reads as none has one beyond all there are

  static constexpr std::uint64_t kRunMask = (std::uint64_t{1} << 44) - 1;
  static constexpr std::uint64_t kChunkMask = (std::uint64_t{1} << 20) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return (run & kRunMask) << 20 | ((chunk + 1) & kChunkMask);
  }
  [[nodiscard]] static constexpr ChunkEntry from(std::uint64_t word) noexcept {
    return {.run = word >> 20, .chunk = (word & kChunkMask) - 1};
  }
  [[nodiscard]] constexpr bool is_of(std::uint64_t other) const noexcept {
    return run == (other & kRunMask) && chunk < kChunkMask;
  }
  // Of a run behind that one: who asks for that one has an old position in hand.
  [[nodiscard]] constexpr bool is_newer_than(std::uint64_t other) const noexcept {
    const std::uint64_t ahead = (run - other) & kRunMask;
    return chunk < kChunkMask && ahead != 0 && ahead <= kRunMask / 2;
  }
};
inline constexpr std::uint64_t kMaxChunks = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kMaxChunkSlots = std::uint64_t{1} << 20;

inline constexpr std::uint64_t kClosedBit = std::uint64_t{1} << 63;
// Positions stay below it: a ring that has carried so many items takes no more, as if it had been closed. At 10^8 items
// a second that is 260 days.
inline constexpr std::uint64_t kMaxPosition = std::uint64_t{1} << 51;
inline constexpr std::uint64_t kPositionMask = (std::uint64_t{1} << 52) - 1;

// Mostly a position and nothing else. Marked, it is no position that any slot's sequence word tells of, so that
// consumers need not ask.
//   bit 62 RETURNED | 61..52 the lease cell, + 1, that holds the item before the position | 51..0 next position to take
struct HeadWord {
  static constexpr std::uint64_t kReturned = std::uint64_t{1} << 62;  // a lease cell may hold an item to take first
  static constexpr std::uint32_t kCellShift = 52;
  static constexpr std::uint64_t kCellMask = std::uint64_t{0x3ff} << kCellShift;

  [[nodiscard]] static constexpr std::uint64_t naming(std::uint32_t cell, std::uint64_t position) noexcept {
    return std::uint64_t{cell + 1} << kCellShift | position;
  }
  [[nodiscard]] static constexpr std::uint64_t position(std::uint64_t word) noexcept { return word & kPositionMask; }
  // True also for bits that mean nothing, which are a peer's.
  [[nodiscard]] static constexpr bool marked(std::uint64_t word) noexcept { return word > kPositionMask; }
  [[nodiscard]] static constexpr bool names_any(std::uint64_t word) noexcept { return (word & kCellMask) != 0; }
  [[nodiscard]] static constexpr bool names(std::uint64_t word, std::uint32_t cell) noexcept {
    return (word & kCellMask) >> kCellShift == cell + 1;
  }
  [[nodiscard]] static constexpr std::uint32_t cell(std::uint64_t word) noexcept {  // where it names any
    return static_cast<std::uint32_t>((word & kCellMask) >> kCellShift) - 1;
  }
};

// A slot's sequence word: what happened at position p, and p itself, so that no lap can be taken for another.
[[nodiscard]] constexpr std::uint64_t committed(std::uint64_t position) noexcept { return 2 * (position + 1); }
[[nodiscard]] constexpr std::uint64_t buried(std::uint64_t position) noexcept { return 2 * (position + 1) + 1; }

}  // namespace warren::layout
