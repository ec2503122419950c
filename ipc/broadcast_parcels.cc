#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/broadcast_parcels.h>

#include <cstring>

namespace warren::detail {

using layout::ParcelLabel;
using layout::ParcelOwner;

absl::StatusOr<SegmentPlan> BroadcastParcels::plan(const BroadcastPlan& plan, const ElementType& element) {
  if (absl::Status status = BroadcastRing::check_capacity(plan.capacity, kSlotBytes); !status.ok()) return status;
  const BroadcastGeometry geometry = plan.geometry();
  const absl::StatusOr<ParcelSpace> space = ParcelSpace::plan(ParcelPlaces::behind(geometry.bytes(kSlotBytes)),
                                                              geometry.slots(), plan.max_item_bytes, element);
  if (!space.ok()) return space.status();
  return SegmentPlan{.kind = layout::ObjectKind::kBroadcast,
                     .size = space->places.blocks,
                     .max_size = space->end,
                     .element = element,
                     .wait_words = BroadcastRing::kWaitWords,
                     .initialise = [geometry, space = *space](std::span<std::byte> object) {
                       BroadcastRing::initialise(*reinterpret_cast<layout::BroadcastHeader*>(object.data()), geometry,
                                                 sizeof(ParcelWords), kSlotBytes);
                       space.initialise(object);
                     }};
}

absl::StatusOr<std::shared_ptr<BroadcastParcels>> BroadcastParcels::attach(Attachment::Pointer attachment) {
  const auto& header = *reinterpret_cast<const layout::BroadcastHeader*>(attachment->object());
  const absl::StatusOr<BroadcastGeometry> geometry =
      BroadcastRing::check(header, attachment->size(), sizeof(ParcelWords), kSlotBytes);
  if (!geometry.ok()) return geometry.status();
  absl::StatusOr<ParcelSpace> space = ParcelSpace::read(*attachment, ParcelPlaces::behind(geometry->bytes(kSlotBytes)));
  if (!space.ok()) return space.status();
  space->keeps_memory = true;
  return std::shared_ptr<BroadcastParcels>(new BroadcastParcels(std::move(attachment), *geometry, *space));
}

BroadcastParcels::BroadcastParcels(Attachment::Pointer attachment, const BroadcastGeometry& geometry,
                                   const ParcelSpace& space)
    : ParcelHeap(std::move(attachment), space),
      ring_(*attachment_, *reinterpret_cast<layout::BroadcastHeader*>(attachment_->object()), geometry, kSlotBytes) {}

void BroadcastParcels::free_of_item(std::uint64_t ref, std::uint64_t position) noexcept {
  free({.ref = ref, .owner = ParcelOwner::item(position)});
}

// What the slot says may be half of what a dead writer wrote, or a peer's: freed is only what belongs to the item that
// stood there, or to one of this position that was never pushed.
void BroadcastParcels::free_block_in(const std::byte* place, std::uint64_t position) noexcept {
  std::array<std::uint64_t, 2> found{};
  load_overtaken(place, found);
  if (!ParcelLabel::from(found[0]).in_block) return;
  free_of_item(found[1], position - ring_.slots());
  free_of_item(found[1], position);
}

// --- an item on its way in -------------------------------------------------------------------------------------------

absl::Status BroadcastParcels::Outgoing::pack(std::span<const std::byte> bytes) {
  if (bytes.size() > parcels_->most_bytes()) return Parcel::too_large(bytes.size(), parcels_->most_bytes());
  const bool in_block = bytes.size() > layout::kParcelInline;
  words_[0] = ParcelLabel{.bytes = bytes.size(), .in_block = in_block}.word();
  if (!in_block) {
    if (!bytes.empty()) std::memcpy(words_.data() + 1, bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  const std::optional<Block> block = parcels_->allocate(bytes.size());
  if (!block) return absl::ResourceExhaustedError(absl::StrCat("no memory for an item of ", bytes.size(), " bytes"));
  block_ = *block;
  words_[1] = block_.ref;
  // Who still reads the item that lay here must see that it is gone.
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) store_overtaking(block_.memory, bytes, at);
  return absl::OkStatus();
}

void BroadcastParcels::Outgoing::write(std::byte* place, std::uint64_t position) noexcept {
  parcels_->free_block_in(place, position);
  WARREN_CRASH_POINT(broadcast_block_freed);  // the slot names a block that is nobody's, or somebody else's
  store_overtaking(place, words_);
  if (block_.ref == 0) return;
  WARREN_CRASH_POINT(broadcast_block_named);  // still the dead process's: reclaim() frees it
  written_ = position;
  parcels_->give(block_, ParcelOwner::item(position));
  WARREN_CRASH_POINT(broadcast_block_given);  // the next writer of this position finds it in the slot
}

void BroadcastParcels::Outgoing::give_back() noexcept {
  if (block_.ref == 0) return;
  parcels_->free(block_);
  if (written_) parcels_->free_of_item(block_.ref, *written_);
}

// --- a copy of an item -----------------------------------------------------------------------------------------------

void BroadcastParcels::Incoming::read(const std::byte* place) {
  load_overtaken(place, words_);
  const ParcelLabel label = ParcelLabel::from(words_[0]);
  copy_.clear();
  if (!label.in_block) return;
  const std::span<const std::byte> memory = parcels_->memory(words_[1]);
  if (label.bytes > memory.size()) return;  // overtaken, or a peer's words
  copy_.resize((label.bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
  load_overtaken(memory.data(), copy_);
}

std::optional<std::span<const std::byte>> BroadcastParcels::Incoming::bytes() const noexcept {
  const ParcelLabel label = ParcelLabel::from(words_[0]);
  const std::span<const std::byte> memory =
      label.in_block ? std::as_bytes(std::span(copy_)) : std::as_bytes(std::span(words_).subspan(1));
  if (label.bytes > memory.size()) return std::nullopt;
  return memory.first(label.bytes);
}

}  // namespace warren::detail
