// The items of a broadcast that are encoded, or too large for a slot: many read what nobody takes. A parcel's block is
// the item's from before its commit until the writer that uses its slot again frees it. A reader copies it while that
// may happen, and finds out afterwards, by the ring's tail, as with the words of a slot. docs/algorithms/broadcast.md.
#pragma once
#include <warren/ipc/detail/broadcast_ring.h>
#include <warren/ipc/detail/parcels.h>

#include <memory>
#include <vector>

namespace warren::detail {

// What a Broadcast is made with, checked.
struct BroadcastPlan {
  std::size_t capacity = 0;
  std::size_t max_item_bytes = 0;
  bool writers_wait = false;

  [[nodiscard]] BroadcastGeometry geometry() const noexcept {
    return {.capacity = capacity, .cells = writers_wait ? layout::kMaxSubscribers : 0};
  }
};

class BroadcastParcels : public ParcelHeap {
 public:
  static constexpr std::size_t kSlotBytes = sizeof(ParcelWords);

  static absl::StatusOr<SegmentPlan> plan(const BroadcastPlan& plan, const ElementType& element);
  static absl::StatusOr<std::shared_ptr<BroadcastParcels>> attach(Attachment::Pointer attachment);

  [[nodiscard]] BroadcastRing& ring() noexcept { return ring_; }
  [[nodiscard]] const BroadcastRing& ring() const noexcept { return ring_; }

  // An item on its way in. Its block is given back unless it was pushed.
  class Outgoing {
   public:
    explicit Outgoing(BroadcastParcels& parcels) noexcept : parcels_(&parcels) {}
    ~Outgoing() { give_back(); }
    Outgoing(const Outgoing&) = delete;
    Outgoing& operator=(const Outgoing&) = delete;

    // Errors: InvalidArgument for more bytes than an item may have, ResourceExhausted.
    absl::Status pack(std::span<const std::byte> bytes);
    void write(std::byte* place, std::uint64_t position) noexcept;  // by who has the turn
    void pushed() noexcept { block_ = {}; }

   private:
    void give_back() noexcept;

    BroadcastParcels* parcels_;
    ParcelWords words_{};
    Block block_;
    std::optional<std::uint64_t> written_;  // the position that its block was given to
  };

  // A copy of an item.
  class Incoming {
   public:
    explicit Incoming(BroadcastParcels& parcels) noexcept : parcels_(&parcels) {}
    void read(const std::byte* place);
    // nullopt: a peer's label that cannot be.
    [[nodiscard]] std::optional<std::span<const std::byte>> bytes() const noexcept;

   private:
    BroadcastParcels* parcels_;
    ParcelWords words_{};
    std::vector<std::uint64_t> copy_;  // of what lies in a block
  };

  // What writers had who died before they had given it to an item.
  std::size_t reclaim() noexcept override {
    return reclaim_unless([](std::uint64_t) { return true; });
  }

 private:
  BroadcastParcels(Attachment::Pointer attachment, const BroadcastGeometry& geometry, const ParcelSpace& space);
  void free_block_in(const std::byte* place, std::uint64_t position) noexcept;
  void free_of_item(std::uint64_t ref, std::uint64_t position) noexcept;

  BroadcastRing ring_;
};

}  // namespace warren::detail
