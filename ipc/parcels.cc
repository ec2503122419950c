#include <absl/strings/str_cat.h>
#include <sys/resource.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/parcels.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "to_page.h"

namespace warren::detail {
namespace {

using layout::ParcelHeader;
using layout::ParcelLabel;
using layout::ParcelOwner;
using ClassTable = std::array<layout::BlockClass, layout::kBlockClasses>;

constexpr std::uint64_t kSpan = std::uint64_t{4} << 30;  // address space of each class; the largest item has as much
// Blocks of 64 KiB and more give their memory back when they are freed, except for the first 16 MiB of each class: so a
// backlog leaves nothing behind, and a steady stream costs no system call.
constexpr std::uint64_t kLarge = std::uint64_t{64} << 10;
constexpr std::uint64_t kKept = std::uint64_t{16} << 20;
constexpr std::uint64_t kMostScale = 4096;

BlockHeapPlan heap_plan(std::uint64_t scale, std::uint64_t max_item_bytes, bool keeps_memory = false) {
  return {.large_from = kLarge,
          .small_span = kSpan / scale,
          .large_span = kSpan / scale,
          .largest = max_item_bytes != 0 ? max_item_bytes : ~std::uint64_t{0},
          .kept = (keeps_memory ? kSpan : kKept) / scale,
          .discard_from = kLarge,
          .spares_others = true};
}

// Where the heap ends that begins at `offset`.
std::uint64_t plan_heap(BlockHeap::Classes classes, std::uint64_t offset, std::uint64_t scale,
                        std::uint64_t max_item_bytes) {
  return BlockHeap::plan(classes, offset, heap_plan(scale, max_item_bytes));
}

// No more than an eighth of what `ulimit -v` leaves.
std::uint64_t scale_for(std::uint64_t offset, std::uint64_t max_item_bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1;
  std::uint64_t scale = 1;
  for (ClassTable classes{}; scale < kMostScale; scale *= 4) {
    if (plan_heap(classes, offset, scale, max_item_bytes) - offset <= limit.rlim_cur / 8) break;
  }
  return scale;
}

// Of items that have so many bytes each.
std::uint64_t most_items(const ClassTable& classes, std::uint64_t bytes) {
  std::uint64_t most = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if ((std::uint64_t{1} << (layout::kSmallestBlockShift + c)) >= bytes) most += classes[c].count;
  }
  return most;
}

std::uint64_t owner_of(LaneRef lane) { return ParcelOwner::process(lane.index, lane.generation); }

// The bytes of an item, where `block` is what its words name. nullopt: a peer's label that cannot be.
std::optional<std::span<const std::byte>> bytes_of(const ParcelWords& words, std::span<const std::byte> block) {
  const ParcelLabel label = ParcelLabel::from(words[0]);
  const std::span<const std::byte> memory = label.in_block ? block : std::as_bytes(std::span(words).subspan(1));
  if (label.bytes > memory.size() || (label.in_block && block.data() == nullptr)) return std::nullopt;
  return memory.first(label.bytes);
}

}  // namespace

ParcelPlaces ParcelPlaces::behind(std::uint64_t slots_end) noexcept {
  const std::uint64_t header = to_page(slots_end);
  return {.header = header, .blocks = header + layout::kPage};
}

absl::StatusOr<ParcelSpace> ParcelSpace::plan(const ParcelPlaces& places, std::size_t capacity,
                                              std::size_t max_item_bytes, const ElementType& element) {
  if (max_item_bytes > kSpan) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_item_bytes of ", max_item_bytes, ": an item has at most ", kSpan, " bytes"));
  }
  ParcelSpace space{.places = places, .max_item_bytes = max_item_bytes};
  space.scale = scale_for(space.places.blocks, max_item_bytes);
  ClassTable classes{};
  space.end = plan_heap(classes, space.places.blocks, space.scale, max_item_bytes);
  if (const std::uint64_t most = most_items(classes, element.size); element.size != 0 && capacity > most) {
    return absl::InvalidArgumentError(absl::StrCat("a capacity of ", capacity, " items of ", element.size,
                                                   " bytes: at most ", most, " fit into the queue's address space"));
  }
  return space;
}

absl::StatusOr<ParcelSpace> ParcelSpace::read(const Attachment& attachment, const ParcelPlaces& places) {
  const absl::Status corrupt = absl::DataLossError("the header of the queue is corrupt: where its items lie");
  if (places.header > attachment.size() || attachment.size() - places.header < sizeof(ParcelHeader)) return corrupt;
  const auto& header = *reinterpret_cast<const ParcelHeader*>(attachment.object() + places.header);
  ParcelSpace space{
      .places = places, .scale = read_once(header.scale), .max_item_bytes = read_once(header.max_item_bytes)};
  if (!std::has_single_bit(space.scale) || space.scale > kMostScale || space.max_item_bytes > kSpan) return corrupt;
  ClassTable classes{};
  space.end = plan_heap(classes, space.places.blocks, space.scale, space.max_item_bytes);
  if (space.end > attachment.max_size()) return corrupt;
  return space;
}

void ParcelSpace::initialise(std::span<std::byte> object) const {
  auto& header = *reinterpret_cast<ParcelHeader*>(object.data() + places.header);
  header.scale = scale;
  header.max_item_bytes = max_item_bytes;
  plan_heap(header.classes, places.blocks, scale, max_item_bytes);
}

ParcelHeap::ParcelHeap(Attachment::Pointer attachment, const ParcelSpace& space)
    : ParcelHeap(std::move(attachment), space, ClassTable{}) {}

ParcelHeap::ParcelHeap(Attachment::Pointer attachment, const ParcelSpace& space, ClassTable&& planned)
    : attachment_(std::move(attachment)),
      header_(reinterpret_cast<ParcelHeader*>(attachment_->object() + space.places.header)),
      heap_(*attachment_, (plan_heap(planned, space.places.blocks, space.scale, space.max_item_bytes), planned),
            header_->classes, heap_plan(space.scale, space.max_item_bytes, space.keeps_memory)),
      most_bytes_(std::min(heap_plan(space.scale, space.max_item_bytes).largest, heap_.largest())) {}

std::optional<ParcelHeap::Block> ParcelHeap::allocate(std::size_t bytes) noexcept {
  const LaneRef lane = attachment_->process_lane(attachment_->seat());
  if (!lane.known || bytes > heap_.largest()) return std::nullopt;
  const std::uint64_t owner = owner_of(lane);
  std::optional<Block> block = allocate(bytes, owner, BlockHeap::Growth::kNone);
  const auto from_the_dead = [&](std::size_t (ParcelHeap::*look)()) {
    (void)attachment_->sweep();
    if ((this->*look)() != 0) block = allocate(bytes, owner, BlockHeap::Growth::kNone);
  };
  if (!block && time_to_reclaim()) from_the_dead(&ParcelHeap::reclaim_at_once);
  if (!block) block = allocate(bytes, owner, BlockHeap::Growth::kAsNeeded);
  if (!block) from_the_dead(&ParcelHeap::reclaim);
  return block;
}

std::optional<ParcelHeap::Block> ParcelHeap::allocate(std::size_t bytes, std::uint64_t owner,
                                                      BlockHeap::Growth growth) noexcept {
  const std::optional<BlockHeap::Block> block = heap_.allocate(bytes, owner, growth);
  if (!block) return std::nullopt;
  return Block{.ref = block->ref.word(), .owner = owner, .memory = block->memory};
}

// Before more memory is taken, but only as often as there are blocks to look at, so that it costs little.
bool ParcelHeap::time_to_reclaim() noexcept { return growths_left_.fetch_sub(1, std::memory_order_relaxed) <= 1; }

void ParcelHeap::give(const Block& block, std::uint64_t item) noexcept {
  // [PL1] the item's before its commit (Q4): who sees that commit finds the block so
  (void)heap_.hand_over(block.ref, block.owner, ParcelOwner::item(item));
}

ParcelHeap::Block ParcelHeap::own(const ParcelWords& words, std::uint64_t item, LaneRef self) noexcept {
  const std::uint64_t owner = owner_of(self);
  if (!heap_.hand_over(words[1], ParcelOwner::item(item), owner)) return {};  // [PL3] the item's -> mine
  return {.ref = words[1], .owner = owner, .memory = heap_.memory(words[1])};
}

// To itself.
bool ParcelHeap::is_of(std::uint64_t ref, std::uint64_t item) noexcept {
  const std::uint64_t owner = ParcelOwner::item(item);
  return heap_.hand_over(ref, owner, owner);  // [PL8] pairs with PL1
}

std::size_t ParcelHeap::reclaim_unless(absl::FunctionRef<bool(std::uint64_t item)> item_in_use) noexcept {
  std::int64_t looked_at = 0;
  const std::size_t freed = heap_.reclaim([&](std::uint64_t owner, std::uint64_t) {
    ++looked_at;
    return ParcelOwner::role(owner) == ParcelOwner::Role::kProcess
               ? attachment_->holds_lane(ParcelOwner::lane(owner), ParcelOwner::generation(owner))
               : item_in_use(ParcelOwner::position(owner));
  });
  growths_left_.store(kGrowths + looked_at, std::memory_order_relaxed);
  return freed;
}

ParcelPlaces ParcelRing::places(const MpmcGeometry& geometry) noexcept {
  return {.header = sizeof(layout::MpmcRingHeader), .blocks = to_page(geometry.bytes(Ring::kSlotBytes))};
}

absl::StatusOr<SegmentPlan> ParcelRing::plan(std::size_t capacity, std::size_t max_item_bytes,
                                             const ElementType& element) {
  if (absl::Status status = check_capacity(capacity, Ring::kSlotBytes); !status.ok()) return status;
  const MpmcGeometry ring = MpmcGeometry::of(capacity, Ring::kSlotBytes, Ring::kFront);
  const absl::StatusOr<ParcelSpace> space = ParcelSpace::plan(places(ring), capacity, max_item_bytes, element);
  if (!space.ok()) return space.status();
  return SegmentPlan{
      .kind = layout::ObjectKind::kQueue,
      .size = ring.committed_bytes(Ring::kSlotBytes),
      .max_size = LeaseCells::offset_behind(space->end) + LeaseCells::bytes(layout::kParcelWords),
      .element = element,
      .wait_words = {offsetof(layout::MpmcRingHeader, not_empty), offsetof(layout::MpmcRingHeader, not_full),
                     offsetof(layout::MpmcRingHeader, takes.joiners)},
      .initialise = [ring, space = *space](std::span<std::byte> object) {
        Ring::initialise(*reinterpret_cast<layout::MpmcRingHeader*>(object.data()), ring, sizeof(ParcelWords));
        space.initialise(object);
      }};
}

absl::StatusOr<std::shared_ptr<ParcelRing>> ParcelRing::attach(Attachment::Pointer attachment) {
  const auto& ring = *reinterpret_cast<const layout::MpmcRingHeader*>(attachment->object());
  const absl::StatusOr<MpmcGeometry> geometry = Ring::check(ring, attachment->max_size(), sizeof(ParcelWords));
  if (!geometry.ok()) return geometry.status();
  if (geometry->committed_bytes(Ring::kSlotBytes) > attachment->size())
    return absl::DataLossError("the header of the queue is corrupt: where its items lie");
  const absl::StatusOr<ParcelSpace> space = ParcelSpace::read(*attachment, places(*geometry));
  if (!space.ok()) return space.status();
  const std::uint64_t cells = LeaseCells::offset_behind(space->end);
  if (cells + LeaseCells::bytes(layout::kParcelWords) > attachment->max_size())
    return absl::DataLossError("the header of the queue is corrupt: its size");
  return std::shared_ptr<ParcelRing>(new ParcelRing(std::move(attachment), *geometry, *space, cells));
}

ParcelRing::ParcelRing(Attachment::Pointer attachment, const MpmcGeometry& geometry, const ParcelSpace& space,
                       std::uint64_t cells)
    : ParcelHeap(std::move(attachment), space),
      ring_(*attachment_, *reinterpret_cast<layout::MpmcRingHeader*>(attachment_->object()), geometry, cells),
      takes_(*attachment_, ring_.header()) {}

Push ParcelRing::try_push(Seat& seat, const ParcelWords& words, const Block& block) noexcept {
  return ring_.try_push(seat, words, [&](std::uint64_t position) {
    if (block.ref == 0) return;
    give(block, position);
    WARREN_CRASH_POINT(parcel_handed_over);  // reclaim() frees it once the position is buried
  });
}

Front ParcelRing::try_pop(Seat& seat, ParcelWords& words, Block& block) noexcept {
  const LaneRef self = attachment_->process_lane(seat);
  std::optional<SeatUse> use(std::in_place, seat);
  if (!self.known || seat.lane == nullptr) {  // what it cannot announce it does not take, but it sees the end
    use.reset();
    return ring_.drained(seat) ? Front::kDrained : Front::kEmpty;
  }
  TakeLedger::Taking taking(takes_, seat);
  std::atomic<std::uint64_t>& take = seat.lane->take;
  std::uint64_t announced = 0;
  const Front front = ring_.try_pop(seat, words, [&](std::uint64_t position, const ParcelWords& copy) {
    taking.about_to_take(1);
    if (!ParcelLabel::from(copy[0]).in_block) return;
    announced = position + 1;
    take.store(announced, std::memory_order_release);  // [PL2] before head passes it (Q7); pairs with PL5
    WARREN_CRASH_POINT(parcel_announced);              // nothing taken
  });
  if (front == Front::kItem) taking.took(1);
  if (announced == 0) return front;
  if (front == Front::kItem && ParcelLabel::from(words[0]).in_block) {
    WARREN_CRASH_POINT(parcel_taken);  // reclaim() frees it: head has passed it, and no living lane takes it
    block = own(words, announced - 1, self);
    WARREN_CRASH_POINT(parcel_owned);  // by a dead process: likewise
  }
  take.store(0, std::memory_order_release);  // [PL4] not before PL3; pairs with PL5
  return front;
}

// Its block needs no announcement: the cell, which holds the position before head passes it, is one.
Front ParcelRing::try_lease(Seat& seat, ParcelWords& words, LeaseTicket& ticket) noexcept {
  const LaneRef self = attachment_->process_lane(seat);
  return self.known ? ring_.try_lease(seat, self, words, ticket) : ring_.lease_without_lane(seat);
}

std::optional<std::span<const std::byte>> ParcelRing::leased_bytes(const ParcelWords& words,
                                                                   std::uint64_t position) noexcept {
  if (!ParcelLabel::from(words[0]).in_block) return bytes_of(words, {});
  if (!is_of(words[1], position)) return std::nullopt;
  return bytes_of(words, memory(words[1]));
}

// An item's block: head first, then the lease cells, both in stands(), then the lanes: as an item moves. Who announced
// after that look finds head, or the cell, as it was, and in that case the item stood.
std::size_t ParcelRing::reclaim() noexcept {
  return reclaim_unless(
      [this](std::uint64_t position) { return ring_.stands(position) || attachment_->taken_by_living(position); });
}

absl::Status Parcel::too_large(std::uint64_t bytes, std::uint64_t most) {
  return absl::InvalidArgumentError(absl::StrCat("an item of ", bytes,
                                                 " bytes or more never fits: this queue's have at most ", most,
                                                 " (max_item_bytes of its options)"));
}

absl::Status Parcel::pack_bytes(std::span<const std::byte> bytes) {
  if (bytes.size() > parcels_->most_bytes()) return too_large(bytes.size(), parcels_->most_bytes());
  std::span<std::byte> memory = inline_memory();
  if (bytes.size() > memory.size()) {
    memory = grow(this, 0, bytes.size());
    if (memory.empty())
      return absl::ResourceExhaustedError(absl::StrCat("no memory for an item of ", bytes.size(), " bytes"));
  }
  if (!bytes.empty()) std::memcpy(memory.data(), bytes.data(), bytes.size());
  label(bytes.size());
  return absl::OkStatus();
}

std::span<std::byte> Parcel::grow(void* self, std::size_t used, std::size_t needed) {
  Parcel& parcel = *static_cast<Parcel*>(self);
  const std::uint64_t most = parcel.parcels_->most_bytes();
  if (needed > most) {
    parcel.too_large_ = needed;
    return {};
  }
  const std::optional<ParcelHeap::Block> block =
      parcel.parcels_->allocate(std::max<std::size_t>(needed, std::min<std::uint64_t>(2 * used, most)));
  if (!block) return {};
  const std::span<const std::byte> old =
      parcel.block_.ref != 0 ? std::span<const std::byte>(parcel.block_.memory) : parcel.inline_memory();
  std::memcpy(block->memory.data(), old.data(), used);
  parcel.drop_block();
  parcel.block_ = *block;
  parcel.epoch_ = process_epoch();
  return block->memory;
}

absl::Status Parcel::finish(const Writer& writer) {
  const std::uint64_t most = parcels_->most_bytes();
  const absl::Status status = too_large_ != 0 || writer.size() > most
                                  ? too_large(std::max<std::uint64_t>(too_large_, writer.size()), most)
                                  : writer.status();
  if (status.ok()) {
    label(writer.size());
  } else {
    drop_block();
  }
  return status;
}

void Parcel::label(std::uint64_t bytes) noexcept {
  words_[0] = ParcelLabel{.bytes = bytes, .in_block = block_.ref != 0}.word();
  if (block_.ref != 0) words_[1] = block_.ref;
  packed_ = true;
}

void Parcel::drop_block() noexcept {
  if (block_.ref == 0) return;
  packed_ = false;
  const ParcelHeap::Block block = std::exchange(block_, {});
  if (epoch_ == process_epoch()) parcels_->free(block);
}

std::optional<std::span<const std::byte>> TakenParcel::bytes() const noexcept {
  return bytes_of(words_, block_.memory);
}

}  // namespace warren::detail
