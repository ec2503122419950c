// A priority queue and a stack, as they lie in memory: slots that change under one lock.
// docs/algorithms/locked_slots.md has the protocol.
//   priority queue   LockedSlotsHeader, `capacity` numbers of 4 bytes: the heap, and behind it the free slots; from the
//                    next line on `capacity` slots: PrioritySlot, payload
//   stack            LockedSlotsHeader, then `capacity` slots: StackSlot, payload
//   parcels          on the next page: as in layout/queue.h
#pragma once
#include <warren/layout/mutex.h>

namespace warren::layout {

// The holder of the lock writes, and whoever closes.
struct LockedSlotsHeader {
  Mutex lock;
  std::uint64_t capacity;
  std::uint32_t slot_bytes;
  std::uint32_t payload_bytes;  // sizeof(T)
  std::byte reserved0[48];
  alignas(kLine) std::atomic<std::uint64_t> pushed;  // items ever committed; bit 63: CLOSED
  std::atomic<std::uint64_t> popped;                 // items ever taken
  std::atomic<std::uint32_t> not_empty;              // wait words: consumers sleep here,
  std::atomic<std::uint32_t> not_full;               // producers here
  std::atomic<std::uint64_t> high_water;             // the most items that were there at once
  std::byte reserved1[32];
};
static_assert(offsetof(LockedSlotsHeader, capacity) == 64 && offsetof(LockedSlotsHeader, pushed) == 128);
static_assert(offsetof(LockedSlotsHeader, not_empty) == 144 && offsetof(LockedSlotsHeader, high_water) == 152 &&
              sizeof(LockedSlotsHeader) == 192);

// An item's ticket is `pushed` before its push: its place among equals, and its name as the owner of a block.
struct StackSlot {
  std::uint64_t ticket;
};

// Which item the slot holds follows from three words: one whose push is committed, and whose pop is not.
struct PrioritySlot {
  std::uint64_t ticket;  // + 1; 0: none. Committed once `pushed` is as large
  std::uint64_t taken;   // + 1: the number of its pop; 0: none. Committed once `popped` is as large
  std::int64_t priority;

  [[nodiscard]] static constexpr bool holds_item(std::uint64_t ticket, std::uint64_t taken, std::uint64_t pushed,
                                                 std::uint64_t popped) noexcept {
    return ticket != 0 && ticket <= pushed && (taken == 0 || taken > popped);
  }
};
static_assert(sizeof(PrioritySlot) == 24 && sizeof(StackSlot) == 8);

}  // namespace warren::layout
