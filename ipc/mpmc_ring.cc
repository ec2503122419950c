#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/detail/standing.h>

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

namespace warren::detail {
namespace {

std::uint64_t slots_for(std::size_t capacity) { return std::bit_ceil(std::max<std::uint64_t>(capacity, 2)); }

}  // namespace

absl::Status check_capacity(std::size_t capacity, std::size_t slot_bytes) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 45;
  if (capacity > kMostBytes / slot_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("a capacity of ", capacity, " items of ", slot_bytes,
                                                   " bytes does not fit into the address space"));
  }
  return absl::OkStatus();
}

MpmcGeometry MpmcGeometry::of(std::size_t capacity, std::size_t slot_bytes, std::size_t front) {
  if (capacity != 0) return {.capacity = capacity, .slot_count = slots_for(capacity), .front = front};
  const ElasticGeometry elastic = ElasticGeometry::for_slots(slot_bytes);
  return {.capacity = elastic.capacity(), .elastic = elastic, .front = front};
}

std::size_t MpmcGeometry::bytes(std::size_t slot_bytes) const noexcept {
  return slot_count != 0 ? front + slot_count * slot_bytes : elastic.bytes(slot_bytes, front);
}

std::size_t MpmcGeometry::committed_bytes(std::size_t slot_bytes) const noexcept {
  return slot_count != 0 ? bytes(slot_bytes) : elastic.chunks_offset(front) + elastic.chunk_bytes(slot_bytes);
}

void MpmcRingBase::initialise(layout::MpmcRingHeader& header, const MpmcGeometry& geometry, std::size_t payload_bytes,
                              std::size_t slot_bytes) noexcept {
  header.capacity = geometry.capacity;
  header.slot_count = geometry.slot_count;
  header.chunk_count = geometry.elastic.chunk_count;
  header.chunk_slots = geometry.elastic.chunk_slots;
  header.chunks_committed.store(geometry.slot_count != 0 ? 0 : 1, std::memory_order_relaxed);
  header.slot_bytes = static_cast<std::uint32_t>(slot_bytes);
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
}

absl::StatusOr<MpmcGeometry> MpmcRingBase::check(const layout::MpmcRingHeader& header, std::size_t available,
                                                 std::size_t payload_bytes, std::size_t slot_bytes, std::size_t front) {
  const absl::Status corrupt = absl::DataLossError("the header of the ring is corrupt: its geometry");
  if (available < front) return corrupt;
  const MpmcGeometry copy{
      .capacity = read_once(header.capacity),
      .slot_count = read_once(header.slot_count),
      .elastic = {.chunk_count = read_once(header.chunk_count), .chunk_slots = read_once(header.chunk_slots)},
      .front = front};
  if (read_once(header.payload_bytes) != payload_bytes || read_once(header.slot_bytes) != slot_bytes) return corrupt;
  const bool bounded = copy.slot_count <= (available - front) / slot_bytes && copy.elastic.chunk_count == 0 &&
                       copy.capacity >= 1 && copy.capacity <= copy.slot_count &&
                       copy.slot_count == slots_for(copy.capacity);
  const bool unbounded = copy.slot_count == 0 && copy.elastic.plausible() && copy.capacity == copy.elastic.capacity() &&
                         copy.bytes(slot_bytes) <= available;
  if (!bounded && !unbounded) return corrupt;
  const std::uint64_t tail = header.tail.load(std::memory_order_relaxed) & ~layout::kClosedBit;
  const std::uint64_t head = header.head.load(std::memory_order_relaxed);
  if (tail > layout::kMaxPosition || layout::HeadWord::position(head) > layout::kMaxPosition) {
    return absl::DataLossError("the header of the ring is corrupt: its positions");
  }
  return copy;
}

MpmcRingBase::MpmcRingBase(Attachment& attachment, layout::MpmcRingHeader& header, const MpmcGeometry& geometry,
                           std::size_t slot_bytes) noexcept
    : attachment_(&attachment),
      header_(&header),
      slots_(reinterpret_cast<std::byte*>(&header) + geometry.front),
      capacity_(geometry.capacity),
      mask_(geometry.slot_count - 1),
      slot_bytes_(slot_bytes),
      cells_(attachment, header) {
  if (geometry.slot_count == 0) {
    elastic_ = ElasticSlots(attachment, header, geometry.elastic, slot_bytes, geometry.front);
  }
}

// What is older than a commit at head's position was neither committed nor buried when it was read, so that `head` was
// there. Who sleeps next has set W himself before this.
bool MpmcRingBase::nothing_yet(Seat& seat) const noexcept {
  const std::uint64_t h = header_->head.load(std::memory_order_relaxed);
  if (layout::HeadWord::marked(h)) return false;
  std::byte* const place = slot(h);
  if (place == nullptr || sequence(place).load(std::memory_order_relaxed) >= layout::committed(h)) return false;
  if ((header_->not_empty.load(std::memory_order_relaxed) & 1) != 0 || attachment_->mirrored()) return false;
  const std::uint64_t now = tick_count();
  if (now - seat.looked_at < wait_tuning().short_look_ticks.load(std::memory_order_relaxed)) return true;
  seat.looked_at = now;
  return false;
}

// The tail first: it only grows, so by the time that head is read the queue holds as much at least.
std::optional<Push> MpmcRingBase::refusal() const noexcept {
  const std::uint64_t t = header_->tail.load(std::memory_order_acquire);  // [Q25] head is read after it; as Q12
  if (t >= layout::kMaxPosition) return Push::kClosed;
  const auto size = static_cast<std::int64_t>(t - taken());
  return size >= static_cast<std::int64_t>(capacity_) ? std::optional(Push::kFull) : std::nullopt;
}

bool MpmcRingBase::stands(std::uint64_t position) const noexcept {
  if (layout::HeadWord::position(header_->head.load(std::memory_order_acquire)) > position)  // [Q23] pairs with Q7
    return cells_.holds(position);
  std::byte* const place = slot(position);
  return place == nullptr ||
         sequence(place).load(std::memory_order_acquire) != layout::buried(position);  // [Q24] pairs with Q16
}

std::uint64_t MpmcRingBase::pushed() const noexcept {
  return header_->tail.load(std::memory_order_relaxed) & ~layout::kClosedBit;
}

std::uint64_t MpmcRingBase::taken() const noexcept {
  return layout::HeadWord::position(header_->head.load(std::memory_order_relaxed));
}

std::size_t MpmcRingBase::approx_size() const noexcept {
  const auto size = static_cast<std::int64_t>(pushed() - taken() + cells_.waiting());
  return static_cast<std::size_t>(std::clamp<std::int64_t>(size, 0, static_cast<std::int64_t>(capacity_)));
}

bool MpmcRingBase::closed() const noexcept {
  return header_->tail.load(std::memory_order_acquire) >= layout::kMaxPosition;  // [Q12] pairs with Q11
}

void MpmcRingBase::close() noexcept {
  header_->tail.fetch_or(layout::kClosedBit,
                         std::memory_order_acq_rel);  // [Q11] in the word that pushes claim by; pairs with Q12
  WARREN_CRASH_POINT(queue_closed);                   // before the wakes: slices bound the wait
  notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

Front MpmcRingBase::look(Seat& seat) noexcept {
  const SeatUse use(seat);
  std::uint64_t h = header_->head.load(std::memory_order_relaxed);
  return settle(seat, h);
}

Ask MpmcRingBase::looker() const {
  return [ring = *this, seat = std::make_shared<Seat>(), held_up_by = std::uint64_t{0}]() mutable {
    return ring.progress(ring.look(*seat), held_up_by);
  };
}

// Marks of head are looked into first: an item that came back from a lease is taken before any other. Then the cases,
// for the slot at head:
//   1. committed            an item
//   2. buried               passed by CAS on head, and the next one looked at
//   3. head moved meanwhile look there
//   4. not claimed          empty, or drained where CLOSED stands in the tail and nothing is on lease
//   5. claimed, no more     its owner may be dead
Front MpmcRingBase::settle(Seat& seat, std::uint64_t& head) noexcept {
  for (;;) {
    if (layout::HeadWord::marked(head) && !cells_.settle_marks(head)) return Front::kReturned;
    std::byte* const place = slot(head);
    const std::uint64_t found =
        place == nullptr ? 0 : sequence(place).load(std::memory_order_acquire);     // [Q13] as Q5; pairs with Q4
    if (place != nullptr && found == layout::committed(head)) return Front::kItem;  // a false head has 0 for that, too
    if (found == layout::buried(head)) {
      count_burial(head);
      if (header_->head.compare_exchange_strong(head, head + 1, std::memory_order_acq_rel)) {  // [Q14] pairs with Q1
        passed(head, head + 1);
        ++head;
        WARREN_CRASH_POINT(burial_passed);                       // before the wakes: slices bound the wait
        notify(header_->not_full, attachment_->wait_mode(), 1);  // a place is free, and no item goes with it
        notify(header_->takes.joiners, attachment_->wait_mode(), kWakeAll);  // it may have been the last
      }
      continue;
    }
    const std::uint64_t tail =
        header_->tail.load(std::memory_order_acquire);  // [Q3] the announcement of a claim is seen; pairs with Q2
    if (const std::uint64_t now = header_->head.load(std::memory_order_acquire); now != head) {  // [Q15] pairs with Q7
      head = now;
      continue;
    }
    const bool claimed = static_cast<std::int64_t>((tail & ~layout::kClosedBit) - head) > 0;
    if (!claimed) {
      seat.stalled_position = 0;
      const LeaseCells::Look leases = cells_.look(seat);
      if (leases.returned) return Front::kReturned;
      return tail >= layout::kMaxPosition && !leases.held ? Front::kDrained : Front::kEmpty;
    }
    if (look_into_claim(seat, head, place, found) == Front::kStalled) return Front::kStalled;
  }
}

// A claim stands uncommitted. Its owner gets the stall to finish it; then, unless a living lane announces it, it is
// buried. kItem: something changed, look again.
Front MpmcRingBase::look_into_claim(Seat& seat, std::uint64_t position, std::byte* place,
                                    std::uint64_t found) noexcept {
  if (stood(seat, position + 1) != Stood::kTooLong) return Front::kStalled;
  // Without a place the claim was made after the look: the next one finds it.
  if (place == nullptr || attachment_->announced_by_living(position)) return Front::kStalled;
  WARREN_CRASH_POINT(bury_decided);  // the verdict is lost; the next consumer comes to the same
  if (sequence(place).compare_exchange_strong(found, layout::buried(position),
                                              std::memory_order_acq_rel)) {  // [Q16] pairs with Q13
    WARREN_CRASH_POINT(bury_done);                                           // who passes it counts it
  }
  return Front::kItem;
}

// Before head passes it. Whoever finds head there still, after he has read the word, knows that nobody else counted it
// unless the word says so: his CAS fails if somebody does meanwhile.
void MpmcRingBase::count_burial(std::uint64_t position) noexcept {
  std::uint64_t word = header_->burials.load(std::memory_order_acquire);  // [Q27] before head; pairs with Q28
  for (;;) {
    const layout::Burials now = layout::Burials::from(word);
    if (now.counted(position) || taken() != position) return;
    if (header_->burials.compare_exchange_weak(word, now.with(position).word(),
                                               std::memory_order_acq_rel)) {  // [Q28] before Q14; pairs with Q27, J9
      WARREN_CRASH_POINT(burial_counted);                                     // the next one finds it counted
      return;
    }
  }
}

}  // namespace warren::detail
