// The ring that everybody reads: writers take turns, readers take nothing. docs/algorithms/broadcast.md.
//
// A slot is words and nothing else: `tail` alone says which positions stand, [tail - capacity, tail). The next item
// goes into a slot that holds none of them, so whoever dies while it writes has destroyed nothing, and the next writer
// writes that position anew. A reader copies and then looks at `tail`: where its position still stands, the copy is
// whole.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/mutex_core.h>
#include <warren/ipc/detail/words.h>
#include <warren/layout/broadcast.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

namespace warren::detail {

// kBusy: it did not get its turn among the writers in time.
enum class Sent { kPushed, kFull, kClosed, kNoLane, kBusy };
enum class Received { kItem, kNothing, kEnd };

// This process's copy of what the header says, made once.
struct BroadcastGeometry {
  std::uint64_t capacity = 0;
  std::uint32_t cells = 0;

  [[nodiscard]] std::uint64_t slots() const noexcept { return capacity + 1; }
  [[nodiscard]] std::size_t slots_offset() const noexcept {
    return sizeof(layout::BroadcastHeader) + cells * sizeof(layout::BroadcastCell);
  }
  [[nodiscard]] std::size_t bytes(std::size_t slot_bytes) const noexcept {
    return slots_offset() + slots() * slot_bytes;
  }
};

// Of one subscriber, in its process's memory.
struct BroadcastPlace {
  std::uint64_t position = 0;  // of the item that it reads next
  std::uint64_t seen = 0;      // a tail that was there
  std::uint64_t lost = 0;
  std::atomic<std::uint64_t>* cursor = nullptr;  // what writers wait for; null: they do not
};

class BroadcastRing {
 public:
  static constexpr std::uint32_t kMostOverruns = 64;
  static constexpr std::array<std::uint32_t, 4> kWaitWords = {
      offsetof(layout::BroadcastHeader, not_empty), offsetof(layout::BroadcastHeader, not_full),
      offsetof(layout::BroadcastHeader, writer) + offsetof(layout::Mutex, waiters)};

  static absl::Status check_capacity(std::size_t capacity, std::size_t slot_bytes);
  static void initialise(layout::BroadcastHeader& header, const BroadcastGeometry& geometry, std::size_t payload_bytes,
                         std::size_t slot_bytes) noexcept;
  // DataLoss where the header cannot be what initialise() wrote into `available` bytes.
  static absl::StatusOr<BroadcastGeometry> check(const layout::BroadcastHeader& header, std::size_t available,
                                                 std::size_t payload_bytes, std::size_t slot_bytes);

  // In the segment of `attachment`, which must outlive it. `geometry` is what check() found.
  BroadcastRing(Attachment& attachment, layout::BroadcastHeader& header, const BroadcastGeometry& geometry,
                std::size_t slot_bytes) noexcept;

  // Waits for its turn until `turn`, never for room. `write(place, position)` fills the slot; it may be called for a
  // position that then is not pushed.
  template <class Write>
  Sent try_push(Deadline turn, Write&& write);
  // False: the deadline passed, and the slowest subscriber is still as far behind. True also where it was closed.
  // `swept()` runs when a slice is over and lanes of the dead were found.
  template <class Swept>
  bool wait_for_room(Deadline deadline, Swept&& swept) noexcept;
  // Copies what stands at the subscriber's place by `read(place in the ring, position)`, perhaps more than once, and
  // moves on behind it; what was copied last is whole where it returns kItem. What was overwritten is passed and
  // counted. Waits for nobody, and tries kMostOverruns times: kNothing where writers were faster than every copy.
  template <class Read>
  Received try_read(BroadcastPlace& reader, Read&& read) const;

  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] bool at_end(const BroadcastPlace& reader) const noexcept;
  // Is there something for a reader at `position`: an item, whether it stands or was overwritten, or the end?
  [[nodiscard]] bool something_at(std::uint64_t position) const noexcept;
  [[nodiscard]] std::uint64_t pushed() const noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept { return geometry_.capacity; }
  [[nodiscard]] std::uint64_t slots() const noexcept { return geometry_.slots(); }
  [[nodiscard]] bool waits_for_readers() const noexcept { return geometry_.cells != 0; }
  [[nodiscard]] bool room() const noexcept;

  // A place behind the last item, of a subscriber that nobody waits for,
  [[nodiscard]] BroadcastPlace last() const noexcept;
  // or of one that writers wait for: in a cell that this process owns until it leaves it. ResourceExhausted: none free.
  struct Cell {
    std::uint32_t index = 0;
    std::uint64_t word = 0;  // of its owner
  };
  absl::StatusOr<Cell> join(BroadcastPlace& place);
  void leave(const Cell& cell) noexcept;
  [[nodiscard]] std::uint32_t joined() const noexcept;

  [[nodiscard]] Attachment& attachment() const noexcept { return *attachment_; }
  [[nodiscard]] layout::BroadcastHeader& header() const noexcept { return *header_; }
  [[nodiscard]] std::atomic<std::uint32_t>& not_empty() const noexcept { return header_->not_empty; }

 private:
  struct Slowest {
    std::uint64_t cursor;
    std::uint32_t cell;
    std::uint64_t owner;  // 0: there are no subscribers
  };
  [[nodiscard]] std::byte* slot(std::uint64_t position) const noexcept {
    return slots_ + position % geometry_.slots() * slot_bytes_;
  }
  [[nodiscard]] layout::BroadcastCell* cells() const noexcept {
    return reinterpret_cast<layout::BroadcastCell*>(header_ + 1);
  }
  [[nodiscard]] std::uint32_t cells_high() const noexcept {
    return std::min(header_->cells_high.load(std::memory_order_relaxed), geometry_.cells);
  }
  // How far `position` is behind `tail`; a peer's words may have it in front.
  [[nodiscard]] static std::int64_t lag(std::uint64_t position, std::uint64_t tail) noexcept {
    return static_cast<std::int64_t>(tail - position);
  }
  [[nodiscard]] bool overrun(std::uint64_t position, std::uint64_t tail) const noexcept {
    return lag(position, tail) > static_cast<std::int64_t>(geometry_.capacity);
  }
  void skip(BroadcastPlace& reader, std::uint32_t overruns) const noexcept;
  void moved(const BroadcastPlace& reader) const noexcept;

  bool take_turn(Deadline deadline) noexcept;
  [[nodiscard]] Slowest slowest(std::uint64_t tail) const noexcept;
  bool make_room(std::uint64_t tail) noexcept;
  bool free_cell(std::uint32_t cell, std::uint64_t owner) noexcept;
  std::optional<Cell> claim(LaneRef lane, std::uint64_t cursor) noexcept;

  Attachment* attachment_;
  layout::BroadcastHeader* header_;
  std::byte* slots_;
  BroadcastGeometry geometry_;
  std::size_t slot_bytes_;
  MutexCore turn_;
};

// Words that a reader may copy while they are overwritten: who has copied one of the next item but some sees, by the
// tail that it then looks at, that there was a next.
inline void store_overtaking(std::byte* to, std::span<const std::uint64_t> from) noexcept {
  auto* words = reinterpret_cast<std::uint64_t*>(to);
  for (std::size_t i = 0; i < from.size(); ++i)
    std::atomic_ref(words[i]).store(from[i], std::memory_order_release);  // [BC3] pairs with BC4
}
// The 8 bytes of `from` at `at`, or as many as it still has.
inline void store_overtaking(std::span<std::byte> to, std::span<const std::byte> from, std::size_t at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from.data() + at, std::min(sizeof word, from.size() - at));
  store_overtaking(to.data() + at, std::span(&word, 1));
}
inline void load_overtaken(const std::byte* from, std::span<std::uint64_t> to) noexcept {
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(from));
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = std::atomic_ref(words[i]).load(std::memory_order_acquire);  // [BC4] pairs with BC3
}

template <class Write>
Sent BroadcastRing::try_push(Deadline turn, Write&& write) {
  if (attachment_->seat().lane == nullptr) return Sent::kNoLane;
  if (closed()) return Sent::kClosed;  // also where a stopped writer has the turn
  if (!take_turn(turn)) return Sent::kBusy;
  Sent sent = Sent::kClosed;
  std::uint64_t t = header_->tail.load(std::memory_order_relaxed);
  if ((t & layout::kClosedBit) == 0) {
    sent = Sent::kFull;
    if (make_room(t)) {
      write(slot(t), t);
      WARREN_CRASH_POINT(broadcast_written);  // the next writer writes the position anew
      // By CAS: close() needs no turn.
      sent = header_->tail.compare_exchange_strong(t, t + 1, std::memory_order_release,  // [BC1] COMMIT; pairs with BC2
                                                   std::memory_order_relaxed)
                 ? Sent::kPushed
                 : Sent::kClosed;
      WARREN_CRASH_POINT(broadcast_committed);  // nobody is woken: slices bound the wait
    }
  }
  turn_.unlock();
  if (sent == Sent::kPushed) notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  return sent;
}

template <class Swept>
bool BroadcastRing::wait_for_room(Deadline deadline, Swept&& swept) noexcept {
  return attachment_->wait_for_change(
      header_->not_full, attachment_->seat().push_spinner, deadline,
      [this] { return room() ? Progress::kDone : Progress::kBlocked; },
      [&] {
        (void)attachment_->sweep();
        if (attachment_->remains()) swept();
      });
}

template <class Read>
Received BroadcastRing::try_read(BroadcastPlace& reader, Read&& read) const {
  for (std::uint32_t overruns = 0;; ++overruns) {
    if (lag(reader.position, reader.seen) <= 0) {
      const std::uint64_t tail =
          header_->tail.load(std::memory_order_acquire);  // [BC2] payload after commit; pairs with BC1
      reader.seen = tail & ~layout::kClosedBit;
      if (lag(reader.position, reader.seen) <= 0)
        return (tail & layout::kClosedBit) != 0 ? Received::kEnd : Received::kNothing;
    }
    if (overrun(reader.position, reader.seen)) skip(reader, overruns);
    if (overruns == kMostOverruns) return Received::kNothing;
    read(slot(reader.position), reader.position);
    WARREN_CRASH_POINT(broadcast_copied);  // nothing taken
    reader.seen = header_->tail.load(std::memory_order_acquire) &
                  ~layout::kClosedBit;  // [BC15] as BC2, for the next item; and not before what was copied: BC4
    if (!overrun(reader.position, reader.seen)) break;
  }
  ++reader.position;
  moved(reader);
  return Received::kItem;
}

// To the oldest item that stands; where writers were faster than a copy before, nearer to the newest, so that there is
// time for one.
inline void BroadcastRing::skip(BroadcastPlace& reader, std::uint32_t overruns) const noexcept {
  const std::uint64_t kept = std::max<std::uint64_t>(geometry_.capacity >> std::min(overruns, 63u), 1);
  reader.lost += reader.seen - kept - reader.position;
  reader.position = reader.seen - kept;
}

inline void BroadcastRing::moved(const BroadcastPlace& reader) const noexcept {
  if (reader.cursor == nullptr) return;
  reader.cursor->store(reader.position, std::memory_order_release);  // [BC5] copied before it; pairs with BC6
  WARREN_CRASH_POINT(broadcast_passed);                              // nobody is woken: slices bound the wait
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

}  // namespace warren::detail
