// LockedSlots: what a priority queue and a stack have in common. Whoever changes one holds its lock, which passes from
// a dead holder to the next who comes; every change is committed by one store to the header, so what the dead left is
// whole or did not happen. docs/algorithms/locked_slots.md has contract, ordering table and crash table.
#pragma once
#include <absl/functional/function_ref.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/detail/mutex_core.h>
#include <warren/layout/locked_slots.h>

#include <optional>
#include <span>

namespace warren::detail {

// This process's copy of what the header says, made once.
struct LockedGeometry {
  std::uint64_t capacity = 0;
  std::size_t slot_bytes = 0;
  std::size_t payload_bytes = 0;
  std::size_t slots_offset = 0;

  [[nodiscard]] std::size_t bytes() const noexcept { return slots_offset + capacity * slot_bytes; }
};

// Why a push is refused, kClosed, kNoLane or kFull, by a container that is called `what`.
absl::Status push_refused(Push why, const char* what);

class LockedSlots {
 public:
  // Called by the holder of the lock with an item's ticket.
  using OfTicket = absl::FunctionRef<void(std::uint64_t ticket)>;
  using Payload = std::span<std::uint64_t>;
  using ConstPayload = std::span<const std::uint64_t>;

  [[nodiscard]] std::size_t capacity() const noexcept { return geometry_.capacity; }
  [[nodiscard]] std::size_t approx_size() const noexcept;
  [[nodiscard]] bool closed() const noexcept;
  // Closed, and nothing will ever be taken again. Waits for nobody.
  [[nodiscard]] bool drained() const noexcept { return front() == Front::kDrained; }
  // Without the lock. kItem: there may be one, which a look with the lock tells; else there is none.
  [[nodiscard]] Front front() const noexcept;
  // Waits for nobody: CLOSED lies in the word that pushes commit by.
  void close() noexcept;
  // kFull or kClosed: what a push would be told now.
  [[nodiscard]] std::optional<Push> refusal() const noexcept;
  [[nodiscard]] std::uint64_t pushed() const noexcept;
  [[nodiscard]] std::uint64_t popped() const noexcept { return header_->popped.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t high_water() const noexcept;
  [[nodiscard]] std::atomic<std::uint32_t>& not_empty() const noexcept { return header_->not_empty; }
  [[nodiscard]] std::atomic<std::uint32_t>& not_full() const noexcept { return header_->not_full; }

  // Waits until `turn` for the lock, and never for room or an item; without the lock by then, there is no room and
  // no item. `give` is called before the commit, `own` after it.
  Push try_push(std::int64_t priority, ConstPayload payload, Deadline turn, OfTicket give) noexcept;
  Front try_pop(Payload payload, Deadline turn, OfTicket own) noexcept;
  // Calls `f` with the lock held, and the tickets of all that is there, sorted. False: not by then, or no memory.
  bool with_tickets(Deadline turn, absl::FunctionRef<void(ConstPayload tickets)> f) noexcept;

 protected:
  // In the segment of `attachment`, which must outlive it.
  LockedSlots(Attachment& attachment, const LockedGeometry& geometry) noexcept;
  LockedSlots(const LockedSlots&) = default;
  LockedSlots& operator=(const LockedSlots&) = default;
  ~LockedSlots() = default;

  // What each kind has in a slot before the payload, and for each slot before the slots.
  static absl::StatusOr<LockedGeometry> plan(std::size_t capacity, std::size_t payload_bytes, std::size_t head_bytes,
                                             std::size_t index_bytes);
  static void initialise(layout::LockedSlotsHeader& header, const LockedGeometry& geometry) noexcept;
  static absl::StatusOr<LockedGeometry> check(const Attachment& attachment, std::size_t available,
                                              std::size_t payload_bytes, std::size_t head_bytes,
                                              std::size_t index_bytes);

  // --- by the holder of the lock. `size`: how many items there are. What a peer's false words make impossible is
  // repaired; where that does not help, false or nullopt.

  // Writes an item that is none yet; takes it back; it was committed.
  virtual bool write(std::uint64_t size, std::uint64_t ticket, std::int64_t priority,
                     ConstPayload payload) noexcept = 0;
  virtual void take_back(std::uint64_t size) noexcept = 0;
  virtual void added(std::uint64_t size) noexcept = 0;
  // Copies the item whose turn it is and returns its ticket, and with pop `number` + 1 marks it; it was taken.
  virtual std::optional<std::uint64_t> first(std::uint64_t size, std::uint64_t number, Payload payload) noexcept = 0;
  virtual void removed(std::uint64_t size) noexcept = 0;
  // Whatever a dead holder left, and whatever a peer wrote, is in order afterwards.
  virtual void repair() noexcept = 0;
  // Writes up to `to.size()` tickets, and returns how many.
  [[nodiscard]] virtual std::size_t tickets(std::uint64_t size, Payload to) const noexcept = 0;

  [[nodiscard]] std::byte* slot(std::uint64_t index) const noexcept {
    return object() + geometry_.slots_offset + index * geometry_.slot_bytes;
  }
  [[nodiscard]] std::byte* object() const noexcept { return reinterpret_cast<std::byte*>(header_); }
  void set_popped(std::uint64_t popped) noexcept { header_->popped.store(popped, std::memory_order_relaxed); }

 private:
  class Turn;
  [[nodiscard]] std::uint64_t size_in_turn() noexcept;
  void note(std::uint64_t size) noexcept;

  Attachment* attachment_;
  layout::LockedSlotsHeader* header_;
  LockedGeometry geometry_;
  MutexCore lock_;
};

// Words of shared memory that only the holder of the lock writes: relaxed, but never torn, whatever a peer does.
[[nodiscard]] inline std::uint64_t load_word(const std::byte* from) noexcept {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(from)))
      .load(std::memory_order_relaxed);
}
inline void store_word(std::byte* to, std::uint64_t word) noexcept {
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to)).store(word, std::memory_order_relaxed);
}
void load_payload(const std::byte* from, LockedSlots::Payload to) noexcept;
void store_payload(std::byte* to, LockedSlots::ConstPayload from) noexcept;

}  // namespace warren::detail
