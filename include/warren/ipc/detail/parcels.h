// ParcelRing: the ring of a queue whose items are encoded, or too large for a slot. A parcel of up to 112 bytes travels
// in its slot; a larger one in a block of the segment, whose owner word says at every moment whose it is.
// docs/algorithms/parcels.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/block_heap.h>
#include <warren/ipc/detail/high_water.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/detail/take_ledger.h>
#include <warren/layout/queue.h>

#include <memory>
#include <optional>
#include <span>

namespace warren::detail {

using ParcelWords = Words<layout::kParcelWords>;

class ParcelRing {
 public:
  using Ring = MpmcRing<layout::kParcelWords>;

  // A block that this process owns.
  struct Block {
    std::uint64_t ref = 0;  // 0: none
    std::uint64_t owner = 0;
    std::span<std::byte> memory = {};
  };

  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes, const ElementType& element);
  static absl::StatusOr<std::shared_ptr<ParcelRing>> attach(Attachment::Pointer attachment);

  [[nodiscard]] Ring& ring() noexcept { return ring_; }
  [[nodiscard]] const Ring& ring() const noexcept { return ring_; }
  [[nodiscard]] TakeLedger& takes() noexcept { return takes_; }
  [[nodiscard]] HighWater high_water() const noexcept { return {ring_.header(), ring_.capacity()}; }
  [[nodiscard]] Attachment& attachment() const noexcept { return *attachment_; }
  // The most bytes that an item may have.
  [[nodiscard]] std::uint64_t most_bytes() const noexcept { return most_bytes_; }
  [[nodiscard]] std::uint64_t undecodable() const noexcept {
    return header_->undecodable.load(std::memory_order_relaxed);
  }
  void count_undecodable() noexcept { header_->undecodable.fetch_add(1, std::memory_order_relaxed); }
  // One that was popped: nobody gets to see it, so it is done.
  void skip_undecodable() noexcept {
    count_undecodable();
    (void)takes_.finish_one(attachment_->seat());
  }

  // nullopt: memory ended, or this process has no lane.
  std::optional<Block> allocate(std::size_t bytes) noexcept;
  void free(const Block& block) noexcept { heap_.free(block.ref, block.owner); }
  // Where a block of this process's own goes along, it is the item's before the item is committed.
  Push try_push(Seat& seat, const ParcelWords& words, const Block& block) noexcept;
  // kItem: where the item's bytes lie in a block, that is this process's own now; none: they cannot be found.
  Front try_pop(Seat& seat, ParcelWords& words, Block& block) noexcept;
  // kItem: on lease; its block, if any, stays the item's.
  Front try_lease(Seat& seat, ParcelWords& words, LeaseTicket& ticket) noexcept;
  // Where the item of that position lies, while it is on lease. nullopt: a peer's words that cannot be.
  [[nodiscard]] std::optional<std::span<const std::byte>> leased_bytes(const ParcelWords& words,
                                                                       std::uint64_t position) noexcept;
  // Of an item that was taken for good, by whoever took it.
  void free_item(std::uint64_t ref, std::uint64_t position) noexcept {
    heap_.free(ref, layout::ParcelOwner::item(position));
  }
  // Frees the blocks of the dead, and of items that nobody will take. Returns how many.
  std::size_t reclaim() noexcept;

 private:
  ParcelRing(Attachment::Pointer attachment, const MpmcGeometry& geometry, std::uint64_t cells,
             layout::ParcelHeader& header, BlockHeap::Classes classes, const BlockHeapPlan& plan);
  std::optional<Block> allocate(std::size_t bytes, std::uint64_t owner, BlockHeap::Growth growth) noexcept;
  Block own(const ParcelWords& words, std::uint64_t position, std::uint64_t owner) noexcept;
  [[nodiscard]] bool in_use(std::uint64_t owner) const noexcept;
  [[nodiscard]] bool time_to_reclaim() noexcept;

  Attachment::Pointer attachment_;
  Ring ring_;
  TakeLedger takes_;
  layout::ParcelHeader* header_;
  BlockHeap heap_;
  std::uint64_t most_bytes_;
  static constexpr std::int64_t kGrowths = 32;
  std::atomic<std::int64_t> growths_left_{kGrowths};  // by this process, until it looks for blocks of the dead
};

// An item on its way in: its bytes, here or in a block, which is given back unless it was pushed.
class Parcel {
 public:
  explicit Parcel(ParcelRing& parcels) noexcept : parcels_(&parcels) {}
  ~Parcel() { drop_block(); }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  [[nodiscard]] bool packed() const noexcept { return packed_; }
  // Errors: InvalidArgument for more bytes than an item may have, ResourceExhausted.
  absl::Status pack_bytes(std::span<const std::byte> bytes);
  template <class T>
  absl::Status pack_value(const T& value) {
    Writer writer(inline_memory(), &Parcel::grow, this);
    writer.put(value);
    return finish(writer);
  }
  // What lies in a block has to be packed again then.
  void drop_block() noexcept;
  Push try_push(Seat& seat) noexcept;

  static absl::Status too_large(std::uint64_t bytes, std::uint64_t most);

 private:
  [[nodiscard]] std::span<std::byte> inline_memory() noexcept {
    return std::as_writable_bytes(std::span(words_).subspan(1));
  }
  static std::span<std::byte> grow(void* self, std::size_t used, std::size_t needed);
  absl::Status finish(const Writer& writer);
  void label(std::uint64_t bytes) noexcept;

  ParcelRing* parcels_;
  ParcelWords words_{};
  ParcelRing::Block block_;
  std::uint64_t too_large_ = 0;  // bytes that were asked for
  bool packed_ = false;
};

// An item on its way out: its block is given back at the end, unless somebody borrows it.
class TakenParcel {
 public:
  explicit TakenParcel(ParcelRing& parcels) noexcept : parcels_(&parcels) {}
  ~TakenParcel() { give_back(); }
  TakenParcel(const TakenParcel&) = delete;
  TakenParcel& operator=(const TakenParcel&) = delete;

  Front try_pop(Seat& seat) noexcept {
    give_back();
    return parcels_->try_pop(seat, words_, block_);
  }
  // Valid as long as this. nullopt: a peer's label that cannot be.
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes() const noexcept;
  [[nodiscard]] ParcelRing::Block take_block() noexcept { return std::exchange(block_, {}); }

 private:
  void give_back() noexcept {
    if (block_.ref != 0) parcels_->free(take_block());
  }

  ParcelRing* parcels_;
  ParcelWords words_{};
  ParcelRing::Block block_;
};

// A block that left a call: as long as the process that made it lives, it is that process's. A copy of it in a forked
// child is not.
class LentBlock {
 public:
  LentBlock() noexcept = default;
  LentBlock(std::shared_ptr<ParcelRing> parcels, const ParcelRing::Block& block) noexcept
      : parcels_(std::move(parcels)), block_(block), epoch_(process_epoch()) {}
  LentBlock(LentBlock&& from) noexcept : parcels_(std::move(from.parcels_)), block_(from.take()), epoch_(from.epoch_) {}
  LentBlock& operator=(LentBlock&& from) noexcept {
    if (this == &from) return *this;
    give_back();
    parcels_ = std::move(from.parcels_);
    block_ = from.take();
    epoch_ = from.epoch_;
    return *this;
  }
  ~LentBlock() { give_back(); }

  [[nodiscard]] bool held() const noexcept { return block_.ref != 0 && epoch_ == process_epoch(); }
  [[nodiscard]] const ParcelRing::Block& block() const noexcept { return block_; }
  [[nodiscard]] const ParcelRing* lender() const noexcept { return parcels_.get(); }
  ParcelRing::Block take() noexcept { return std::exchange(block_, {}); }

 private:
  void give_back() noexcept {
    if (held()) parcels_->free(take());
  }

  std::shared_ptr<ParcelRing> parcels_;
  ParcelRing::Block block_;
  std::uint64_t epoch_ = 0;
};

}  // namespace warren::detail
