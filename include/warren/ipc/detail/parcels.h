// Parcels: items that are encoded, or too large for a slot. One of up to 112 bytes travels in its slot; a larger one in
// a block of the segment, whose owner word says at every moment whose it is: a process's or an item's. ParcelHeap has
// the blocks of any container; ParcelRing is a queue's, with its ring. docs/algorithms/parcels.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/block_heap.h>
#include <warren/ipc/detail/lender.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/detail/take_ledger.h>
#include <warren/layout/queue.h>

#include <memory>
#include <optional>
#include <span>

namespace warren::detail {

using ParcelWords = Words<layout::kParcelWords>;

// Where header and blocks begin in a segment.
struct ParcelPlaces {
  std::uint64_t header = 0;
  std::uint64_t blocks = 0;  // a whole number of pages

  // The header on the page behind the container's slots, the blocks on the next.
  static ParcelPlaces behind(std::uint64_t slots_end) noexcept;
};

struct ParcelSpace {
  // Errors: InvalidArgument for what cannot be.
  static absl::StatusOr<ParcelSpace> plan(const ParcelPlaces& places, std::size_t capacity, std::size_t max_item_bytes,
                                          const ElementType& element);
  // What an opened segment says, checked.
  static absl::StatusOr<ParcelSpace> read(const Attachment& attachment, const ParcelPlaces& places);
  void initialise(std::span<std::byte> object) const;

  ParcelPlaces places;
  std::uint64_t scale = 1;
  std::uint64_t max_item_bytes = 0;
  std::uint64_t end = 0;  // of all that is reserved
  // Said by the container, not by the segment: memory of a block is never given back, since who still reads it would
  // have it back, or find that there is none.
  bool keeps_memory = false;
};

// An item has an identity, which its container gives once: ParcelOwner::item().
class ParcelHeap : public Lender {
 public:
  using Block = LentMemory;  // a block that this process owns

  ParcelHeap(const ParcelHeap&) = delete;
  ParcelHeap& operator=(const ParcelHeap&) = delete;
  virtual ~ParcelHeap() = default;

  [[nodiscard]] Attachment& attachment() const noexcept override { return *attachment_; }
  // The most bytes that an item may have.
  [[nodiscard]] std::uint64_t most_bytes() const noexcept { return most_bytes_; }
  [[nodiscard]] std::uint64_t undecodable() const noexcept {
    return header_->undecodable.load(std::memory_order_relaxed);
  }
  virtual void count_undecodable() noexcept { header_->undecodable.fetch_add(1, std::memory_order_relaxed); }

  // nullopt: memory ended, or this process has no lane.
  std::optional<Block> allocate(std::size_t bytes) noexcept;
  void free(const Block& block) noexcept { heap_.free(block.ref, block.owner); }
  void give_back(const LentMemory& lent) noexcept override { free(lent); }
  // Of an item that was taken for good, by whoever took it.
  void free_item(std::uint64_t ref, std::uint64_t item) noexcept { heap_.free(ref, layout::ParcelOwner::item(item)); }
  // Frees the blocks of the dead, and of items that nobody will take. Returns how many.
  virtual std::size_t reclaim() noexcept = 0;
  // Likewise; where that takes a lock that somebody has: 0, without waiting for it.
  virtual std::size_t reclaim_at_once() noexcept { return reclaim(); }

 protected:
  ParcelHeap(Attachment::Pointer attachment, const ParcelSpace& space);
  // This process's -> the item's, before its commit.
  void give(const Block& block, std::uint64_t item) noexcept;
  // The item's -> this process's. The words are a peer's: a block is had only where its owner word says that it is that
  // very item's.
  Block own(const ParcelWords& words, std::uint64_t item, LaneRef self) noexcept;
  // Whether that item has the block.
  bool is_of(std::uint64_t ref, std::uint64_t item) noexcept;
  // Of any block; empty for a reference that cannot be.
  [[nodiscard]] std::span<std::byte> memory(std::uint64_t ref) const noexcept { return heap_.memory(ref); }
  // `item_in_use`: false once nobody has it, and nobody who begins now gets it.
  std::size_t reclaim_unless(absl::FunctionRef<bool(std::uint64_t item)> item_in_use) noexcept;

  Attachment::Pointer attachment_;

 private:
  using ClassTable = std::array<layout::BlockClass, layout::kBlockClasses>;
  ParcelHeap(Attachment::Pointer attachment, const ParcelSpace& space, ClassTable&& planned);
  std::optional<Block> allocate(std::size_t bytes, std::uint64_t owner, BlockHeap::Growth growth) noexcept;
  [[nodiscard]] bool time_to_reclaim() noexcept;

  layout::ParcelHeader* header_;
  BlockHeap heap_;
  std::uint64_t most_bytes_;
  static constexpr std::int64_t kGrowths = 32;
  std::atomic<std::int64_t> growths_left_{kGrowths};  // by this process, until it looks for blocks of the dead
};

class ParcelRing : public ParcelHeap {
 public:
  using Ring = MpmcRing<layout::kParcelWords, layout::kParcelFront>;

  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes, const ElementType& element);
  static absl::StatusOr<std::shared_ptr<ParcelRing>> attach(Attachment::Pointer attachment);

  [[nodiscard]] Ring& ring() noexcept { return ring_; }
  [[nodiscard]] const Ring& ring() const noexcept { return ring_; }
  // Where a block of this process's own goes along, it is the item's before the item is committed.
  Push try_push(Seat& seat, const ParcelWords& words, const Block& block) noexcept;
  // kItem: where the item's bytes lie in a block, that is this process's own now; none: they cannot be found.
  Front try_pop(Seat& seat, ParcelWords& words, Block& block) noexcept;
  // kItem: on lease; its block, if any, stays the item's.
  Front try_lease(Seat& seat, ParcelWords& words, LeaseTicket& ticket) noexcept;
  // Where the item of that position lies, while it is on lease. nullopt: a peer's words that cannot be.
  [[nodiscard]] std::optional<std::span<const std::byte>> leased_bytes(const ParcelWords& words,
                                                                       std::uint64_t position) noexcept;
  std::size_t reclaim() noexcept override;
  // Nobody gets to see it: it is done.
  void count_undecodable() noexcept override {
    ParcelHeap::count_undecodable();
    (void)takes_.finish_one(attachment_->seat(), [this] { return ring_.cells().passed(); });
  }
  [[nodiscard]] TakeLedger& takes() noexcept { return takes_; }

 private:
  ParcelRing(Attachment::Pointer attachment, const MpmcGeometry& geometry, const ParcelSpace& space,
             std::uint64_t cells);
  // The header right behind the ring's, at the same place in every queue.
  static ParcelPlaces places(const MpmcGeometry& geometry) noexcept;

  Ring ring_;
  TakeLedger takes_;
};

// An item on its way in: its bytes, here or in a block, which is given back unless it was pushed.
class Parcel {
 public:
  explicit Parcel(ParcelHeap& parcels) noexcept : parcels_(&parcels) {}
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
  // `push(words, block)` puts it into the container.
  template <class F>
  Push push_by(F&& push) {
    const Push result = push(std::as_const(words_), std::as_const(block_));
    if (result == Push::kPushed) block_ = {};  // the item's, or its consumer's already
    return result;
  }

  static absl::Status too_large(std::uint64_t bytes, std::uint64_t most);

 private:
  [[nodiscard]] std::span<std::byte> inline_memory() noexcept {
    return std::as_writable_bytes(std::span(words_).subspan(1));
  }
  static std::span<std::byte> grow(void* self, std::size_t used, std::size_t needed);
  absl::Status finish(const Writer& writer);
  void label(std::uint64_t bytes) noexcept;

  ParcelHeap* parcels_;
  ParcelWords words_{};
  ParcelHeap::Block block_;
  std::uint64_t epoch_ = 0;      // of the process that has the block: a codec may fork, and its child unwind
  std::uint64_t too_large_ = 0;  // bytes that were asked for
  bool packed_ = false;
};

// An item on its way out: its block is given back at the end, unless somebody borrows it.
class TakenParcel {
 public:
  explicit TakenParcel(ParcelHeap& parcels) noexcept : parcels_(&parcels) {}
  ~TakenParcel() { give_back(); }
  TakenParcel(const TakenParcel&) = delete;
  TakenParcel& operator=(const TakenParcel&) = delete;

  // `pop(words, block)` takes it out of the container.
  template <class F>
  Front pop_by(F&& pop) noexcept {
    give_back();
    const Front front = pop(words_, block_);
    epoch_ = process_epoch();
    return front;
  }
  // Valid as long as this. nullopt: a peer's label that cannot be.
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes() const noexcept;
  [[nodiscard]] ParcelHeap::Block take_block() noexcept { return std::exchange(block_, {}); }

 private:
  void give_back() noexcept {
    if (block_.ref != 0 && epoch_ == process_epoch()) parcels_->free(take_block());
  }

  ParcelHeap* parcels_;
  ParcelWords words_{};
  ParcelHeap::Block block_;
  std::uint64_t epoch_ = 0;  // as Parcel's
};

// Memory that left a call: as long as the process that got it lives, it is that process's. A copy of it in a forked
// child is not.
class LentBlock {
 public:
  LentBlock() noexcept = default;
  LentBlock(std::shared_ptr<Lender> lender, const LentMemory& block) noexcept
      : lender_(std::move(lender)), block_(block), epoch_(process_epoch()) {}
  LentBlock(LentBlock&& from) noexcept : lender_(std::move(from.lender_)), block_(from.take()), epoch_(from.epoch_) {}
  LentBlock& operator=(LentBlock&& from) noexcept {
    if (this == &from) return *this;
    give_back();
    lender_ = std::move(from.lender_);
    block_ = from.take();
    epoch_ = from.epoch_;
    return *this;
  }
  ~LentBlock() { give_back(); }

  [[nodiscard]] bool held() const noexcept { return block_.ref != 0 && epoch_ == process_epoch(); }
  [[nodiscard]] const LentMemory& block() const noexcept { return block_; }
  [[nodiscard]] const Lender* lender() const noexcept { return lender_.get(); }
  LentMemory take() noexcept { return std::exchange(block_, {}); }

 private:
  void give_back() noexcept {
    if (held()) lender_->give_back(take());
  }

  std::shared_ptr<Lender> lender_;
  LentMemory block_;
  std::uint64_t epoch_ = 0;
};

}  // namespace warren::detail
