#include "side_hints.h"

#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace warren::detail {
namespace {

using layout::kBands;
using layout::kDepths;
using layout::kMostPriority;
using Record = layout::WorkerRecord;

// A ring of a priority that is full is no loss: the table is looked through.
constexpr std::uint64_t kMostInBand = 65536;

constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + layout::kPage - 1) / layout::kPage * layout::kPage;
}
MpmcGeometry band_geometry(std::uint64_t table_capacity) {
  return MpmcGeometry::of(std::min(table_capacity, kMostInBand), MpmcRing<1>::kSlotBytes);
}
MpmcGeometry place_geometry() { return MpmcGeometry::of(layout::kPlaceHints, MpmcRing<1>::kSlotBytes); }
std::uint64_t stride(const MpmcGeometry& geometry) { return whole_pages(geometry.bytes(MpmcRing<1>::kSlotBytes)); }

// A seat remembers how far consumers of its segment's ring have come, and when it looked at it last. That is the main
// one's: of any other it knows nothing.
class OtherRing {
 public:
  explicit OtherRing(Seat& seat) noexcept
      : use_(seat),
        seat_(seat),
        push_end_(std::exchange(seat.push_end, 0)),
        crowded_at_(std::exchange(seat.crowded_at, 0)),
        looked_at_(std::exchange(seat.looked_at, 0)) {}
  ~OtherRing() {
    seat_.push_end = push_end_;
    seat_.crowded_at = crowded_at_;
    seat_.looked_at = looked_at_;
  }
  OtherRing(const OtherRing&) = delete;
  OtherRing& operator=(const OtherRing&) = delete;
  // The next look is a whole one, which sees a claim that stands in the way: nobody sets W here before he sleeps.
  void look_whole() noexcept { seat_.looked_at = 0; }

 private:
  SeatUse use_;
  Seat& seat_;
  std::uint64_t push_end_, crowded_at_, looked_at_;
};

}  // namespace

// Likewise how long a claim has stood in the way: an empty main ring would forget that of this one at each look.
class SideHints::StallOf {
 public:
  StallOf(Seat& seat, Stall& stall) noexcept
      : seat_(seat), stall_(stall), main_{.position = seat.stalled_position, .since = seat.stalled_since} {
    put(stall);
  }
  ~StallOf() {
    stall_ = {.position = seat_.stalled_position, .since = seat_.stalled_since};
    put(main_);
  }
  StallOf(const StallOf&) = delete;
  StallOf& operator=(const StallOf&) = delete;

 private:
  void put(const Stall& stall) noexcept {
    seat_.stalled_position = stall.position;
    seat_.stalled_since = stall.since;
  }

  Seat& seat_;
  Stall& stall_;
  Stall main_;
};

std::uint64_t SideHints::bands_bytes(std::uint64_t table_capacity) {
  return (kBands + kDepths) * stride(band_geometry(table_capacity));
}
std::uint64_t SideHints::places_bytes() { return (layout::kMaxWorkers + 1) * stride(place_geometry()); }

SideHints::SideHints(Attachment& attachment, layout::PoolHeader& header, layout::WorkerRecord* workers) noexcept
    : attachment_(&attachment),
      header_(&header),
      workers_(workers),
      bands_offset_(header.bands_offset),
      places_offset_(header.places_offset),
      band_geometry_(band_geometry(header.table_capacity)) {}

// Memory reads as zeros, which is an empty ring.
SideHints::Ring SideHints::band(std::uint32_t index) const noexcept {
  std::byte* const place = attachment_->object() + bands_offset_ + index * stride(band_geometry_);
  return {*attachment_, *reinterpret_cast<layout::MpmcRingHeader*>(place), band_geometry_};
}
SideHints::Ring SideHints::place_ring(std::uint64_t index) const noexcept {
  const MpmcGeometry geometry = place_geometry();
  std::byte* const place = attachment_->object() + places_offset_ + index * stride(geometry);
  return {*attachment_, *reinterpret_cast<layout::MpmcRingHeader*>(place), geometry};
}

// May be done twice.
bool SideHints::commit(Flags& committed, std::uint32_t bit, std::uint64_t offset, std::uint64_t bytes) noexcept {
  if ((committed.load(std::memory_order_relaxed) & bit) != 0) return true;
  if (!attachment_->commit(offset, bytes).ok()) return false;
  WARREN_CRASH_POINT(side_ring_committed);  // the next one commits it again
  committed.fetch_or(bit, std::memory_order_relaxed);
  return true;
}

// The hint first: whoever clears the bit looks again.
bool SideHints::push(Ring ring, Seat& seat, Flags& flags, std::uint32_t bit, const Hint& hint) noexcept {
  {
    const OtherRing other(seat);
    if (ring.try_push(seat, hint) != Push::kPushed) return false;
  }
  WARREN_CRASH_POINT(side_hint_pushed);            // of a dead worker: settle_dead_worker() gives another hint
  flags.fetch_or(bit, std::memory_order_acq_rel);  // [SH1] after the hint; pairs with SH2
  return true;
}

Front SideHints::pop(Ring ring, Stall& stall, Seat& seat, Flags& flags, std::uint32_t bit, Hint& hint) noexcept {
  OtherRing other(seat);
  const StallOf its(seat, stall);
  if (const Front front = ring.try_pop(seat, hint); front != Front::kEmpty) return front;
  flags.fetch_and(~bit, std::memory_order_acq_rel);  // [SH2] before the second look; pairs with SH1
  WARREN_CRASH_POINT(side_ring_found_empty);         // as above
  other.look_whole();
  const Front front = ring.try_pop(seat, hint);
  if (front != Front::kEmpty) flags.fetch_or(bit, std::memory_order_acq_rel);  // [SH3] as SH1; pairs with SH2
  return front;
}

bool SideHints::push_ring(Seat& seat, std::uint32_t index, Flags& committed, Flags& flags, std::uint32_t bit,
                          const Hint& hint) noexcept {
  const std::uint64_t bytes = stride(band_geometry_);
  return commit(committed, bit, bands_offset_ + index * bytes, bytes) && push(band(index), seat, flags, bit, hint);
}
bool SideHints::push_band(Seat& seat, std::int32_t priority, const Hint& hint) noexcept {
  const auto index = static_cast<std::uint32_t>(priority + kMostPriority);
  return push_ring(seat, index, header_->bands_committed, header_->bands, 1u << index, hint);
}
bool SideHints::push_nested(Seat& seat, std::uint32_t depth, const Hint& hint) noexcept {
  const std::uint32_t index = std::clamp(depth, 1u, kDepths) - 1;
  return push_ring(seat, kBands + index, header_->nested_committed, header_->nested, 1u << index, hint);
}

void SideHints::push_flat(Seat& seat, std::uint64_t index, Flags& committed, Flags& flags, const Hint& hint) noexcept {
  const std::uint64_t bytes = stride(place_geometry());
  if (!commit(committed, 1, places_offset_ + index * bytes, bytes) ||
      !push(place_ring(index), seat, flags, Record::kMayHoldHints, hint)) {
    flags.fetch_or(Record::kTooManyHints,
                   std::memory_order_acq_rel);  // [SH4] after the task is pending; pairs with SH5
  }
}
void SideHints::push_place(Seat& seat, std::uint32_t place, const Hint& hint) noexcept {
  push_flat(seat, place, workers_[place].ring_committed, workers_[place].pinned, hint);
}
void SideHints::push_delayed(Seat& seat, const Hint& hint) noexcept {
  push_flat(seat, layout::kMaxWorkers, header_->delayed_committed, header_->delayed, hint);
}

// Those of `bits`, the highest first; the ring of bit 0 is number `first`.
Front SideHints::pop_rings(Seat& seat, std::uint32_t first, Flags& flags, std::uint32_t bits, Hint& hint) noexcept {
  Front found = Front::kEmpty;
  std::uint32_t left = flags.load(std::memory_order_relaxed) & bits;
  while (left != 0) {
    const auto index = static_cast<std::uint32_t>(std::bit_width(left) - 1);
    const std::uint32_t bit = 1u << index;
    const Front front = pop(band(first + index), stalls_[first + index], seat, flags, bit, hint);
    if (front == Front::kItem) return front;
    if (front == Front::kStalled) found = front;
    left &= ~bit;
  }
  return found;
}
Front SideHints::pop_bands(Seat& seat, bool above, Hint& hint) noexcept {
  constexpr std::uint32_t kAbove = ~std::uint32_t{0} << (kMostPriority + 1) & ((1u << kBands) - 1);
  constexpr std::uint32_t kBelow = (1u << kMostPriority) - 1;
  return pop_rings(seat, 0, header_->bands, above ? kAbove : kBelow, hint);
}
Front SideHints::pop_nested(Seat& seat, Hint& hint) noexcept {
  return pop_rings(seat, kBands, header_->nested, ~std::uint32_t{0}, hint);
}

std::size_t SideHints::approx_size() const noexcept {
  std::size_t hints = 0;
  const auto add = [&](std::uint32_t bits, std::uint32_t first) {
    for (; bits != 0; bits &= bits - 1)
      hints += band(first + static_cast<std::uint32_t>(std::countr_zero(bits))).approx_size();
  };
  add(header_->bands.load(std::memory_order_relaxed), 0);
  add(header_->nested.load(std::memory_order_relaxed), kBands);
  return hints;
}

Front SideHints::pop_place(Seat& seat, std::uint32_t place, Hint& hint) noexcept {
  Record& record = workers_[place];
  if ((record.pinned.load(std::memory_order_relaxed) & Record::kMayHoldHints) == 0) return Front::kEmpty;
  return pop(place_ring(place), stalls_.back(), seat, record.pinned, Record::kMayHoldHints, hint);
}

bool SideHints::take_overflow(std::uint32_t place) noexcept {
  Flags& pinned = workers_[place].pinned;
  if ((pinned.load(std::memory_order_relaxed) & Record::kTooManyHints) == 0) return false;
  pinned.fetch_and(~Record::kTooManyHints, std::memory_order_acq_rel);  // [SH5] before the table; pairs with SH4
  return true;
}
void SideHints::note_overflow(std::uint32_t place) noexcept {
  workers_[place].pinned.fetch_or(Record::kTooManyHints, std::memory_order_acq_rel);  // [SH6] as SH4; pairs with SH5
}

Front SideHints::pop_delayed(Seat& seat, Hint& hint, bool& overflow) noexcept {
  const std::uint32_t flags = header_->delayed.load(std::memory_order_relaxed);
  if ((flags & Record::kTooManyHints) != 0) {
    header_->delayed.fetch_and(~Record::kTooManyHints, std::memory_order_acq_rel);  // [SH7] as SH5; pairs with SH4
    overflow = true;
  }
  if ((flags & Record::kMayHoldHints) == 0) return Front::kEmpty;
  return pop(place_ring(layout::kMaxWorkers), stalls_.back(), seat, header_->delayed, Record::kMayHoldHints, hint);
}

}  // namespace warren::detail
