// The lane-announced bounded queue: many producers, many consumers, any of which may be killed between any two
// instructions. docs/algorithms/mpmc_ring.md has contract, ordering table and crash table.
//
// Producers announce a position in their lane, claim it by CAS on tail, write, commit by one store to the slot's
// sequence word, and only then take the announcement back: a claim that no living lane announces is dead, and is
// buried. Consumers copy first and take by CAS on head, whose success proves the copy whole; they leave nothing half
// done.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/high_water.h>
#include <warren/ipc/detail/lease_cells.h>
#include <warren/ipc/detail/mpmc_ring_base.h>
#include <warren/ipc/detail/words.h>
#include <warren/layout/mpmc_ring.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace warren::detail {

struct Nothing {
  void operator()(const auto&...) const noexcept {}
};

// The ring of payloads of N words, at `header` in the segment of `attachment`, which must outlive it. Its own begins
// kRingFront behind that.
template <std::size_t N, std::size_t kRingFront = sizeof(layout::MpmcRingHeader)>
class MpmcRing : public MpmcRingBase {
 public:
  static constexpr std::size_t kSlotBytes = sizeof(std::uint64_t) * (N + 1);
  static constexpr std::size_t kFront = kRingFront;

  // `geometry` is what check() found.
  MpmcRing(Attachment& attachment, layout::MpmcRingHeader& header, const MpmcGeometry& geometry) noexcept
      : MpmcRingBase(attachment, header, geometry, kSlotBytes) {}
  // `cells`: where items on lease lie. Keeps a high-water mark.
  MpmcRing(Attachment& attachment, layout::MpmcRingHeader& header, const MpmcGeometry& geometry,
           std::uint64_t cells) noexcept
      : MpmcRing(attachment, header, geometry) {
    cells_ = LeaseCells(attachment, header, cells, N);
    high_water_ = HighWater(header, geometry.capacity);
  }
  // Of a header that this process, or the one it was forked from, wrote itself.
  MpmcRing(Attachment& attachment, layout::MpmcRingHeader& header) noexcept
      : MpmcRing(attachment, header,
                 {.capacity = header.capacity,
                  .slot_count = header.slot_count,
                  .elastic = {.chunk_count = header.chunk_count, .chunk_slots = header.chunk_slots},
                  .front = kFront}) {}
  static void initialise(layout::MpmcRingHeader& header, const MpmcGeometry& geometry,
                         std::size_t payload_bytes) noexcept {
    MpmcRingBase::initialise(header, geometry, payload_bytes, kSlotBytes);
  }
  // DataLoss where the header cannot be what initialise() wrote into `available` bytes.
  static absl::StatusOr<MpmcGeometry> check(const layout::MpmcRingHeader& header, std::size_t available,
                                            std::size_t payload_bytes) {
    return MpmcRingBase::check(header, available, payload_bytes, kSlotBytes, kFront);
  }

  // `claimed(position)` runs between the claim and the commit.
  template <class Claimed = Nothing>
  Push try_push(Seat& seat, const Words<N>& item, Claimed&& claimed = {}) noexcept;
  // `copied(position, item)` runs before each attempt to take what was copied; if that succeeds, `item` is whole.
  template <class Copied = Nothing>
  Front try_pop(Seat& seat, Words<N>& item, Copied&& copied = {}) noexcept;
  // One attempt to take the item at the front. False: none is committed there, or somebody else was faster.
  template <class Copied = Nothing>
  bool try_pop_at_once(Words<N>& item, Copied&& copied = {}) noexcept;
  // Takes up to `most` items, at least one, that stand in a row, by one CAS; hands each to `out(index, words)`, perhaps
  // more than once.
  template <class Out>
  std::size_t try_pop_run(Seat& seat, std::size_t most, Out&& out, Front& front) noexcept;
  // kItem: on lease, to `me`.
  Front try_lease(Seat& seat, LaneRef me, Words<N>& item, LeaseTicket& ticket) noexcept;

 private:
  [[nodiscard]] std::byte* slot(std::uint64_t position) const noexcept {
    return MpmcRingBase::slot(position, kSlotBytes);
  }
  // What is not simply a committed item: what a pop is told, or that it has to look again, at `h`. Out of its way.
  template <class Copied>
  [[gnu::noinline, gnu::cold]] std::optional<Front> look_closer(Seat& seat, std::uint64_t& h, Words<N>& item,
                                                                const Copied& copied) noexcept;
};

// As it mostly goes: a lane, room by what was seen last, and nobody else at the same position. Small, to be inlined.
template <std::size_t N, std::size_t kRingFront>
template <class Claimed>
[[gnu::always_inline]] inline Push MpmcRing<N, kRingFront>::try_push(Seat& seat, const Words<N>& item,
                                                                     Claimed&& claimed) noexcept {
  const SeatUse use(seat);
  layout::Lane* const lane = seat.lane;
  std::uint64_t t = header_->tail.load(std::memory_order_relaxed);
  // What is CLOSED lies above any push_end. Where t is stale head may be past it, and then its claim fails.
  if (lane == nullptr || t >= seat.push_end || !announce_and_claim(*lane, t)) [[unlikely]] {
    const Claim found = claim(seat);
    if (found.result != Push::kPushed) return found.result;
    t = found.position;
  }
  WARREN_CRASH_POINT(push_claimed);  // look_into_claim() buries the position
  claimed(t);
  std::byte* const place = slot(t);
  if (place == nullptr) [[unlikely]] {                       // a peer's false words: the position is buried
    lane->announcement.store(0, std::memory_order_release);  // [Q26] as Q6; pairs with Q8
    seat.push_end = 0;                                       // rests on such words, too
    return Push::kNoMemory;
  }
  store_words(place + sizeof(std::uint64_t), item);
  WARREN_CRASH_POINT(push_written);                                        // likewise: not committed
  sequence(place).store(layout::committed(t), std::memory_order_release);  // [Q4] COMMIT; pairs with Q5
  WARREN_CRASH_POINT(push_committed);                      // delivered; the announcement stands until the sweep
  lane->announcement.store(0, std::memory_order_release);  // [Q6] not before the commit; pairs with Q8
  return Push::kPushed;
}

template <std::size_t N, std::size_t kRingFront>
template <class Copied>
[[gnu::always_inline]] inline bool MpmcRing<N, kRingFront>::try_pop_at_once(Words<N>& item, Copied&& copied) noexcept {
  std::uint64_t h = header_->head.load(std::memory_order_relaxed);
  std::byte* const place = slot(h);
  if (place == nullptr || sequence(place).load(std::memory_order_acquire) !=
                              layout::committed(h))  // [Q5] payload after commit; pairs with Q4
    return false;
  load_words(place + sizeof(std::uint64_t), item);
  WARREN_CRASH_POINT(pop_copied);  // nothing taken
  copied(h, std::as_const(item));
  if (!header_->head.compare_exchange_strong(h, h + 1,
                                             std::memory_order_acq_rel,  // [Q7] COMMIT, frees the slot; pairs with Q1
                                             std::memory_order_relaxed))
    return false;
  WARREN_CRASH_POINT(pop_taken);  // the item was this consumer's
  passed(h, h + 1);
  return true;
}

template <std::size_t N, std::size_t kRingFront>
template <class Copied>
Front MpmcRing<N, kRingFront>::try_pop(Seat& seat, Words<N>& item, Copied&& copied) noexcept {
  for (;;) {
    if (try_pop_at_once(item, copied)) return Front::kItem;
    std::uint64_t h = header_->head.load(std::memory_order_relaxed);
    if (const std::optional<Front> front = look_closer(seat, h, item, copied)) return *front;
  }
}

template <std::size_t N, std::size_t kRingFront>
template <class Out>
std::size_t MpmcRing<N, kRingFront>::try_pop_run(Seat& seat, std::size_t most, Out&& out, Front& front) noexcept {
  std::uint64_t h = header_->head.load(std::memory_order_relaxed);
  for (;;) {
    std::size_t count = 0;
    while (count < most) {
      std::byte* const place = slot(h + count);
      if (place == nullptr ||
          sequence(place).load(std::memory_order_acquire) != layout::committed(h + count))  // [Q9] as Q5; pairs with Q4
        break;
      Words<N> item;
      load_words(place + sizeof(std::uint64_t), item);
      out(count, item);
      ++count;
    }
    WARREN_CRASH_POINT(run_copied);  // nothing taken
    if (count == 0) {
      Words<N> item;
      const std::optional<Front> found =
          look_closer(seat, h, item, [&](std::uint64_t, const auto& words) { out(0, words); });
      if (!found) continue;
      front = *found;
      return front == Front::kItem ? 1 : 0;
    }
    if (header_->head.compare_exchange_weak(h, h + count, std::memory_order_acq_rel,  // [Q10] as Q7; pairs with Q1
                                            std::memory_order_relaxed)) {
      WARREN_CRASH_POINT(run_taken);  // the items were this consumer's
      passed(h, h + count);
      front = Front::kItem;
      return count;
    }
  }
}

template <std::size_t N, std::size_t kRingFront>
template <class Copied>
std::optional<Front> MpmcRing<N, kRingFront>::look_closer(Seat& seat, std::uint64_t& h, Words<N>& item,
                                                          const Copied& copied) noexcept {
  const SeatUse use(seat);
  if (nothing_yet(seat)) return Front::kEmpty;
  const Front front = settle(seat, h);
  if (front == Front::kItem) return std::nullopt;
  if (front != Front::kReturned) return front;
  while (const std::optional<LeaseTicket> returned = cells_.first_returned()) {
    cells_.read(*returned, item);
    copied(returned->position, std::as_const(item));
    if (cells_.remove(*returned)) return Front::kItem;
  }
  h = header_->head.load(std::memory_order_relaxed);
  return std::nullopt;
}

template <std::size_t N, std::size_t kRingFront>
Front MpmcRing<N, kRingFront>::try_lease(Seat& seat, LaneRef me, Words<N>& item, LeaseTicket& ticket) noexcept {
  const SeatUse use(seat);
  cells_.look_now_and_then(seat);
  std::optional<LeaseTicket> claimed;
  const auto without_claim = [&](Front front) {
    if (claimed) cells_.drop(*claimed);
    return front;
  };
  std::uint64_t h = header_->head.load(std::memory_order_relaxed);
  for (;;) {
    std::byte* const place = slot(h);
    if (place == nullptr ||
        sequence(place).load(std::memory_order_acquire) != layout::committed(h)) {  // [LE19] as Q5; pairs with Q4
      if (const Front front = settle(seat, h); front == Front::kReturned) {
        while (std::optional<LeaseTicket> returned = cells_.first_returned()) {
          if (!cells_.lease_again(*returned, me)) continue;
          cells_.read(ticket = *returned, item);
          return without_claim(Front::kItem);
        }
        h = header_->head.load(std::memory_order_relaxed);
      } else if (front != Front::kItem) {
        return without_claim(front);
      }
      continue;
    }
    load_words(place + sizeof(std::uint64_t), item);
    if (!claimed && !(claimed = cells_.claim(seat, me))) return Front::kNoCell;
    cells_.fill(*claimed, h, item);
    if (header_->head.compare_exchange_strong(h, layout::HeadWord::naming(claimed->index, h + 1),
                                              std::memory_order_acq_rel,  // [LE20] COMMIT, as Q7; pairs with Q1, LE8
                                              std::memory_order_relaxed)) {
      cells_.taken(*claimed);
      passed(h, h + 1);
      ticket = *claimed;
      return Front::kItem;
    }
  }
}

}  // namespace warren::detail
