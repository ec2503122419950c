// A broadcast, as it lies in memory. docs/algorithms/broadcast.md has the protocol.
//   0    BroadcastHeader
//   256  BroadcastCell[cells]: where writers wait for slow subscribers, a cell for each of these; else none
//   then slot_count slots of slot_bytes each: the words of the payload, or of a parcel, and nothing else
//   where items are parcels, the next pages: ParcelHeader, and the heap of blocks (layout/queue.h)
#pragma once
#include <warren/layout/mpmc_ring.h>  // kClosedBit
#include <warren/layout/mutex.h>
#include <warren/layout/owned_cell.h>

namespace warren::layout {

inline constexpr std::uint32_t kMaxSubscribers = 1024;                  // that writers wait for
inline constexpr std::uint64_t kMaxBroadcast = std::uint64_t{1} << 62;  // items: nobody ever gets there

// slot_count is one more than capacity: what stands is never where the next item is being written.
struct BroadcastHeader {
  std::uint64_t capacity;  // items that a subscriber may be behind
  std::uint64_t slot_count;
  std::uint32_t slot_bytes;
  std::uint32_t payload_bytes;  // sizeof(T); parcels: of the words they travel in
  std::uint32_t cells;          // kMaxSubscribers, or 0: nobody waits for subscribers
  std::byte reserved0[36];
  Mutex writer;                                         // who pushes holds it
  alignas(kLine) std::atomic<std::uint64_t> tail;       // items ever pushed; bit 63: CLOSED
  alignas(kLine) std::atomic<std::uint32_t> not_empty;  // wait words: subscribers sleep here,
  std::atomic<std::uint32_t> not_full;                  // writers here
  std::atomic<std::uint64_t> lowest;                    // no cursor is below it; the holder's of `writer`
  std::atomic<std::uint32_t> cells_high;                // cells that were ever used
  std::byte reserved1[44];
};
static_assert(offsetof(BroadcastHeader, writer) == 64 && offsetof(BroadcastHeader, tail) == 128);
static_assert(offsetof(BroadcastHeader, not_empty) == 192 && offsetof(BroadcastHeader, cells_high) == 208);
static_assert(sizeof(BroadcastHeader) == 256);

// A subscriber that writers wait for.
struct alignas(kLine) BroadcastCell {
  std::atomic<std::uint64_t> owner;   // OwnedCell of a process lane; the note counts how often it was taken
  std::atomic<std::uint64_t> cursor;  // the next position it reads
  std::byte reserved[48];
};
static_assert(sizeof(BroadcastCell) == kLine);

}  // namespace warren::layout
