#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/broadcast_ring.h>
#include <warren/ipc/detail/mpmc_ring.h>  // check_capacity()
#include <warren/ipc/detail/standing.h>

namespace warren::detail {

using layout::BroadcastHeader;
using layout::OwnedCell;

absl::Status BroadcastRing::check_capacity(std::size_t capacity, std::size_t slot_bytes) {
  if (capacity == 0)
    return absl::InvalidArgumentError("a Broadcast has a capacity of 1 item at least, {.capacity = 1024}");
  return detail::check_capacity(capacity, slot_bytes);
}

void BroadcastRing::initialise(BroadcastHeader& header, const BroadcastGeometry& geometry, std::size_t payload_bytes,
                               std::size_t slot_bytes) noexcept {
  header.capacity = geometry.capacity;
  header.slot_count = geometry.slots();
  header.slot_bytes = static_cast<std::uint32_t>(slot_bytes);
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
  header.cells = geometry.cells;
}

absl::StatusOr<BroadcastGeometry> BroadcastRing::check(const BroadcastHeader& header, std::size_t available,
                                                       std::size_t payload_bytes, std::size_t slot_bytes) {
  const absl::Status corrupt = absl::DataLossError("the header of the broadcast is corrupt: its geometry");
  if (available < sizeof header) return corrupt;
  const BroadcastGeometry copy{.capacity = read_once(header.capacity), .cells = read_once(header.cells)};
  if (read_once(header.payload_bytes) != payload_bytes || read_once(header.slot_bytes) != slot_bytes) return corrupt;
  if (copy.cells != 0 && copy.cells != layout::kMaxSubscribers) return corrupt;
  if (!check_capacity(copy.capacity, slot_bytes).ok() || read_once(header.slot_count) != copy.slots() ||
      copy.bytes(slot_bytes) > available)
    return corrupt;
  if ((header.tail.load(std::memory_order_relaxed) & ~layout::kClosedBit) >= layout::kMaxBroadcast)
    return absl::DataLossError("the header of the broadcast is corrupt: its position");
  return copy;
}

BroadcastRing::BroadcastRing(Attachment& attachment, BroadcastHeader& header, const BroadcastGeometry& geometry,
                             std::size_t slot_bytes) noexcept
    : attachment_(&attachment),
      header_(&header),
      slots_(reinterpret_cast<std::byte*>(&header) + geometry.slots_offset()),
      geometry_(geometry),
      slot_bytes_(slot_bytes),
      turn_(attachment, header.writer) {}

// --- writers ---------------------------------------------------------------------------------------------------------

// What a dead one had not committed is written anew as a whole: there is nothing to repair.
bool BroadcastRing::take_turn(Deadline deadline) noexcept {
  if (turn_.take_until(deadline) != MutexCore::Take::kTaken) return false;
  if (turn_.inconsistent()) turn_.make_consistent();
  return true;
}

BroadcastRing::Slowest BroadcastRing::slowest(std::uint64_t tail) const noexcept {
  Slowest slowest{.cursor = tail, .cell = 0, .owner = 0};
  for (std::uint32_t i = 0, high = cells_high(); i < high; ++i) {
    const std::uint64_t owner =
        cells()[i].owner.load(std::memory_order_acquire);  // [BC7] its cursor is of that owner; pairs with BC8
    if (!OwnedCell::from(owner).owned) continue;
    const std::uint64_t cursor =
        cells()[i].cursor.load(std::memory_order_acquire);  // [BC6] what it read is copied; pairs with BC5
    if (slowest.owner == 0 || lag(cursor, tail) > lag(slowest.cursor, tail))
      slowest = {.cursor = cursor, .cell = i, .owner = owner};
  }
  if (lag(slowest.cursor, tail) < 0) slowest.cursor = tail;
  return slowest;
}

// By who has the turn. Cells of the dead are looked for only where they are in the way.
bool BroadcastRing::make_room(std::uint64_t tail) noexcept {
  if (!waits_for_readers()) return true;
  if (const std::uint64_t lowest = header_->lowest.load(std::memory_order_relaxed); tail - lowest < geometry_.capacity)
    return true;
  for (std::uint32_t looks = 0; looks <= geometry_.cells; ++looks) {
    const Slowest found = slowest(tail);
    header_->lowest.store(found.cursor, std::memory_order_relaxed);
    if (tail - found.cursor < geometry_.capacity) return true;
    const OwnedCell cell = OwnedCell::from(found.owner);
    if (!attachment_->lane_given_back(cell.lane, cell.generation)) {
      if (standing(*attachment_, attachment_->seat(), cell.lane, cell.generation, found.owner) != Standing::kGone)
        return false;
      (void)attachment_->sweep();  // so that it is known of its other cells, too
    }
    WARREN_CRASH_POINT(broadcast_cell_of_dead);
    free_cell(found.cell, found.owner);
  }
  return false;
}

bool BroadcastRing::room() const noexcept {
  const std::uint64_t tail = header_->tail.load(std::memory_order_acquire);  // [BC9] cells are read after it; as BC2
  if ((tail & layout::kClosedBit) != 0 || !waits_for_readers()) return true;
  const Slowest found = slowest(tail);
  if (tail - found.cursor < geometry_.capacity) return true;
  const OwnedCell cell = OwnedCell::from(found.owner);
  return attachment_->lane_given_back(cell.lane, cell.generation);  // who has the turn frees it
}

void BroadcastRing::close() noexcept {
  header_->tail.fetch_or(layout::kClosedBit,
                         std::memory_order_acq_rel);  // [BC10] in the word that pushes commit by; pairs with BC2
  WARREN_CRASH_POINT(broadcast_closed);               // before the wakes: slices bound the wait
  notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

bool BroadcastRing::closed() const noexcept {
  return (header_->tail.load(std::memory_order_acquire) & layout::kClosedBit) != 0;  // [BC11] pairs with BC10
}

std::uint64_t BroadcastRing::pushed() const noexcept {
  return header_->tail.load(std::memory_order_relaxed) & ~layout::kClosedBit;
}

// --- subscribers -----------------------------------------------------------------------------------------------------

bool BroadcastRing::at_end(const BroadcastPlace& reader) const noexcept {
  const std::uint64_t tail = header_->tail.load(std::memory_order_acquire);  // [BC12] as BC2; pairs with BC10
  return (tail & layout::kClosedBit) != 0 && lag(reader.position, tail & ~layout::kClosedBit) <= 0;
}

// Nothing is read by what it says, so nothing need come before it.
bool BroadcastRing::something_at(std::uint64_t position) const noexcept {
  const std::uint64_t tail = header_->tail.load(std::memory_order_relaxed);
  return (tail & layout::kClosedBit) != 0 || lag(position, tail) > 0;
}

BroadcastPlace BroadcastRing::last() const noexcept {
  const std::uint64_t tail = header_->tail.load(std::memory_order_acquire) & ~layout::kClosedBit;  // [BC13] as BC2
  return {.position = tail, .seen = tail};
}

// With the writers' turn, so that no item is pushed between the look at tail and the cell.
absl::StatusOr<BroadcastRing::Cell> BroadcastRing::join(BroadcastPlace& place) {
  Seat& seat = attachment_->seat();
  const LaneRef lane = attachment_->process_lane(seat);
  if (seat.lane == nullptr || !lane.known)
    return absl::ResourceExhaustedError("no memory or no descriptor for a lane in the broadcast's segment");
  std::optional<Cell> cell;
  for (int attempt = 0; attempt < 2 && !cell; ++attempt) {
    if (attempt != 0) (void)attachment_->sweep();
    if (!take_turn(Deadline::never()))
      return absl::FailedPreconditionError("this thread is in a push already: do not subscribe in a signal handler");
    place = last();
    cell = claim(lane, place.position);
    turn_.unlock();
  }
  if (!cell) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "there are ", geometry_.cells, " subscribers that writers wait for, which is the most; let one go"));
  }
  place.cursor = &cells()[cell->index].cursor;
  return *cell;
}

std::optional<BroadcastRing::Cell> BroadcastRing::claim(LaneRef lane, std::uint64_t cursor) noexcept {
  for (std::uint32_t i = 0; i < geometry_.cells; ++i) {
    layout::BroadcastCell& place = cells()[i];
    std::uint64_t found = place.owner.load(std::memory_order_relaxed);
    const OwnedCell cell = OwnedCell::from(found);
    if (cell.owned && !attachment_->lane_given_back(cell.lane, cell.generation)) continue;
    place.cursor.store(cursor, std::memory_order_relaxed);
    if (i >= cells_high()) header_->cells_high.store(i + 1, std::memory_order_relaxed);
    WARREN_CRASH_POINT(broadcast_cell_chosen);  // nobody's, or a dead one's: the next one takes it
    const OwnedCell mine{.lane = lane.index, .generation = lane.generation, .note = cell.note + 1, .owned = true};
    if (!place.owner.compare_exchange_strong(found, mine.word(), std::memory_order_release))
      continue;                            // [BC8] with its cursor; pairs with BC7
    WARREN_CRASH_POINT(broadcast_joined);  // a dead one's cell: freed by the writer that it would hold up
    return Cell{.index = i, .word = mine.word()};
  }
  return std::nullopt;
}

bool BroadcastRing::free_cell(std::uint32_t cell, std::uint64_t owner) noexcept {
  const OwnedCell free{.note = OwnedCell::from(owner).note};
  return cells()[cell].owner.compare_exchange_strong(owner, free.word(),
                                                     std::memory_order_release);  // [BC14] as BC5; pairs with BC7
}

void BroadcastRing::leave(const Cell& cell) noexcept {
  if (!free_cell(cell.index, cell.word)) return;
  WARREN_CRASH_POINT(broadcast_left);  // nobody is woken: slices bound the wait
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

std::uint32_t BroadcastRing::joined() const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0, high = cells_high(); i < high; ++i) {
    const OwnedCell cell = OwnedCell::from(cells()[i].owner.load(std::memory_order_relaxed));
    if (cell.owned && !attachment_->lane_given_back(cell.lane, cell.generation)) ++count;
  }
  return count;
}

}  // namespace warren::detail
