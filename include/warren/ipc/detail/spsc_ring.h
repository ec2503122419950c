// The ring of one producer and one consumer, each of which may be killed at any instruction and replaced.
// docs/algorithms/spsc_ring.md has contract, ordering table and crash table.
//
// One word commits on each side: tail, head. The owner of a side keeps its own index and an old copy of the other's in
// private memory, so that the line of the other side is read only when the ring looks full or empty.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/words.h>
#include <warren/layout/spsc_ring.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace warren::detail {

enum class Side { kProducer, kConsumer };

// How long who finds the ring empty (full) leaves the other side alone before the next look, which takes a line from
// it: as long as that brings two items for each `pause`. So who waits for one answer never rests.
class Pace {
 public:
  void rest(Spinner& spinner) const noexcept {
    if (rests_ == 0) return;
    for (std::uint32_t i = 0; i < rests_; ++i) cpu_relax();
    spinner.paused(rests_);
  }
  void found(std::uint64_t items) noexcept {
    rests_ = items < 2 * std::uint64_t{rests_} + 2 ? 0 : std::clamp(2 * rests_, 1u, kMost);
  }

 private:
  static constexpr std::uint32_t kMost = 32;  // about a microsecond
  std::uint32_t rests_ = 0;
};

// What this process remembers of a side; all its handles share it.
struct alignas(layout::kLine) SpscSide {
  std::atomic<std::uint64_t> owner{0};  // the thread_word() of the thread that owns the side: each looks for its own
  std::uint64_t own = 0;                // the owner's index,
  std::uint64_t other = 0;              // and what it last saw of the other side's
  Spinner spinner;
  Pace pace;
  std::atomic<std::uint64_t> lent{0};  // the number of what the owner has lent in place; 0: nothing. RecordRing's,
  std::uint64_t lends = 0;             // and the last number that it gave
  bool astray = false;                 // the consumer's: the last tail that it read cannot be

  [[nodiscard]] bool mine() const noexcept { return owner.load(std::memory_order_relaxed) == thread_word(); }
};

struct SpscSides {
  SpscSide producer, consumer;
};

class SpscRing {
 public:
  // `capacity` is what check() found: from then on the header's is not looked at.
  SpscRing(Attachment& attachment, layout::SpscRingHeader& header, std::uint64_t capacity, std::size_t slot_bytes);
  static std::size_t bytes_for(std::size_t capacity, std::size_t slot_bytes) noexcept;
  static void initialise(layout::SpscRingHeader& header, std::size_t capacity, std::size_t slot_bytes) noexcept;
  // The capacity; DataLoss where the header cannot be what initialise() wrote into `available` bytes.
  static absl::StatusOr<std::uint64_t> check(const layout::SpscRingHeader& header, std::size_t available,
                                             std::size_t slot_bytes);

  // Makes the calling thread the owner of the side, if nobody is or the owner is dead. AlreadyExists names the owner;
  // DataLoss: the indices cannot be.
  absl::Status claim(Side which) noexcept;
  // What claim() would say now.
  [[nodiscard]] absl::Status claimable(Side which) noexcept;
  [[nodiscard]] bool owns(Side which) noexcept {
    if (side(which).mine()) [[likely]]
      return true;
    return claim_quietly(which);
  }

  // The owner's: how many slots from its index on may be written or read in one run, up to `most`.
  std::size_t writable(std::size_t most) noexcept {
    const SpscSide& mine = sides_->producer;
    return capacity_ - (mine.own - mine.other) >= most ? most : look_for_room(most);
  }
  std::size_t readable(std::size_t most) noexcept {
    const SpscSide& mine = sides_->consumer;
    return mine.other - mine.own >= most ? most : look_for_items(most);
  }
  [[nodiscard]] std::byte* write_place(std::size_t ahead = 0) const noexcept {
    return slot(sides_->producer.own + ahead);
  }
  [[nodiscard]] std::byte* read_place(std::size_t ahead = 0) const noexcept {
    return slot(sides_->consumer.own + ahead);
  }
  // Slots from the place to the end of the memory, where a run has to break.
  [[nodiscard]] std::size_t until_wrap(Side which, std::size_t ahead = 0) const noexcept;
  // Publishes `count` slots; false: closed, nothing was published.
  bool commit(std::size_t count) noexcept;
  void consume(std::size_t count) noexcept;
  // The consumer's: head as it knows it, which a peer may have overwritten. Else drained() would never be true of it.
  void restore_head() noexcept {
    header_->head.store(sides_->consumer.own, std::memory_order_release);  // [S4] pairs with S1
  }

  void close(std::uint32_t also = 0) noexcept;  // kRingCorrupt
  [[nodiscard]] bool corrupt() const noexcept {
    return (header_->closed.load(std::memory_order_relaxed) & layout::kRingCorrupt) != 0;
  }
  [[nodiscard]] bool closed() const noexcept {
    return header_->closed.load(std::memory_order_seq_cst) != 0;  // [S8] in one order with S18, S9; pairs with S7
  }
  [[nodiscard]] bool drained() const noexcept;
  // What the consumer would find, by any thread: kDone for slots that are filled, or the end. Indices that cannot be
  // are `astray`: of some rings' consumers that is something to look at.
  [[nodiscard]] Progress look(Progress astray) const noexcept;
  // For a descriptor that says so (readiness.h).
  [[nodiscard]] int readable_when_filled(Progress astray) const;
  // After a look of the consumer's in vain, by any thread.
  void found_nothing() noexcept {
    if (attachment_->mirrored()) [[unlikely]]
      quieten();
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t approx_size() const noexcept;
  [[nodiscard]] SpscSide& side(Side which) const noexcept {
    return which == Side::kProducer ? sides_->producer : sides_->consumer;
  }
  [[nodiscard]] std::atomic<std::uint32_t>& not_empty() const noexcept { return header_->not_empty; }
  [[nodiscard]] std::atomic<std::uint32_t>& not_full() const noexcept { return header_->not_full; }

 private:
  [[nodiscard]] std::byte* slot(std::uint64_t index) const noexcept {
    return slots_ + (index & (capacity_ - 1)) * slot_bytes_;
  }
  [[nodiscard]] std::atomic<std::uint64_t>& owner_word(Side which) const noexcept {
    return which == Side::kProducer ? header_->producer : header_->consumer;
  }
  void quieten() noexcept;
  absl::Status claimable(Side which, std::uint64_t found) noexcept;
  // Out of the way of what mostly happens, as the next three.
  [[gnu::noinline]] bool claim_quietly(Side which) noexcept;
  [[gnu::noinline]] std::size_t look_for_room(std::size_t most) noexcept {
    SpscSide& mine = sides_->producer;
    const bool full = mine.own - mine.other == capacity_;
    if (full) mine.pace.rest(mine.spinner);
    mine.other = header_->head.load(std::memory_order_acquire);  // [S1] the slots were read; pairs with S4
    const std::uint64_t free = capacity_ - (mine.own - mine.other);
    if (full) mine.pace.found(free);
    if (free > capacity_) [[unlikely]] {  // a head that cannot be
      mine.other = mine.own - capacity_;  // full: the next look reads it again
      return 0;
    }
    return static_cast<std::size_t>(std::min<std::uint64_t>(free, most));
  }
  [[gnu::noinline]] std::size_t look_for_items(std::size_t most) noexcept {
    SpscSide& mine = sides_->consumer;
    const bool empty = mine.other == mine.own;
    if (empty) mine.pace.rest(mine.spinner);
    mine.other = header_->tail.load(std::memory_order_acquire);  // [S3] the slots were written; pairs with S2
    const std::uint64_t filled = mine.other - mine.own;
    if (empty) mine.pace.found(filled);
    mine.astray = filled > capacity_;
    if (mine.astray) [[unlikely]] {  // nothing: the next look reads it again
      mine.other = mine.own;
      return 0;
    }
    return static_cast<std::size_t>(std::min<std::uint64_t>(filled, most));
  }
  [[gnu::noinline]] bool refuse() noexcept;
  absl::Status adopt_index(Side which) noexcept;
  struct Indices {
    std::uint64_t tail, head;
  };
  // What a new owner of the side goes on from. nullopt: they cannot be.
  [[nodiscard]] std::optional<Indices> indices() const noexcept;

  Attachment* attachment_;
  layout::SpscRingHeader* header_;
  std::byte* slots_;
  std::uint64_t capacity_;
  std::size_t slot_bytes_;
  std::shared_ptr<SpscSides> sides_;
};

[[gnu::always_inline]] inline bool SpscRing::commit(std::size_t count) noexcept {
  SpscSide& mine = sides_->producer;
  const std::uint64_t tail = mine.own + count;
  if (attachment_->wait_mode() == layout::WaitMode::kMembarrier) {
    header_->committing.store(tail, std::memory_order_relaxed);
    std::atomic_signal_fence(
        std::memory_order_seq_cst);  // [S5] before `closed` is read; pairs with the membarrier at S9
  } else {
    header_->committing.exchange(tail, std::memory_order_seq_cst);  // [S6] likewise, where there is no membarrier
  }
  const bool open = header_->closed.load(std::memory_order_seq_cst) == 0;  // [S18] pairs with S7
  WARREN_CRASH_POINT(spsc_written);  // not committed: whoever takes the side over writes the slot again
  if (!open) [[unlikely]]
    return refuse();
  mine.own = tail;
  header_->tail.store(tail, std::memory_order_release);  // [S2] COMMIT, and the end of `committing`; pairs with S3, S16
  WARREN_CRASH_POINT(spsc_committed);                    // delivered
  return true;
}

[[gnu::always_inline]] inline void SpscRing::consume(std::size_t count) noexcept {
  SpscSide& mine = sides_->consumer;
  mine.own += count;
  header_->head.store(mine.own, std::memory_order_release);  // [S4] COMMIT, frees the slots; pairs with S1
  WARREN_CRASH_POINT(spsc_taken);                            // the items were this consumer's
}

}  // namespace warren::detail
