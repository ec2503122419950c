// How the items of a broadcast travel: plain bytes in their slot, everything else as parcels. Broadcast<T> and
// Subscriber<T> have one of the two, and are the same for both.
#pragma once
#include <warren/ipc/detail/broadcast_parcels.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/ipc/detail/parcel_items.h>

#include <memory>
#include <optional>
#include <type_traits>

namespace warren::detail {

template <class T>
class BroadcastSlots {
  using Payload = Words<kWordsOf<T>>;

 public:
  static constexpr bool kNoThrow = true;
  static constexpr std::size_t kSlotBytes = sizeof(Payload);

  static ElementType element() { return element_type<T>(); }
  static absl::StatusOr<SegmentPlan> plan(const BroadcastPlan& plan) {
    if (absl::Status status = BroadcastRing::check_capacity(plan.capacity, kSlotBytes); !status.ok()) return status;
    if (plan.max_item_bytes != 0 && plan.max_item_bytes < sizeof(T))
      return Parcel::too_large(sizeof(T), plan.max_item_bytes);
    const BroadcastGeometry geometry = plan.geometry();
    return SegmentPlan{.kind = layout::ObjectKind::kBroadcast,
                       .size = geometry.bytes(kSlotBytes),
                       .element = element(),
                       .wait_words = BroadcastRing::kWaitWords,
                       .initialise = [geometry](std::span<std::byte> object) {
                         BroadcastRing::initialise(*reinterpret_cast<layout::BroadcastHeader*>(object.data()), geometry,
                                                   sizeof(T), kSlotBytes);
                       }};
  }
  static absl::StatusOr<BroadcastSlots> attach(const Attachment::Pointer& attachment) {
    auto& header = *reinterpret_cast<layout::BroadcastHeader*>(attachment->object());
    const absl::StatusOr<BroadcastGeometry> geometry =
        BroadcastRing::check(header, attachment->size(), sizeof(T), kSlotBytes);
    if (!geometry.ok()) return geometry.status();
    return BroadcastSlots(BroadcastRing(*attachment, header, *geometry, kSlotBytes));
  }

  [[nodiscard]] BroadcastRing& ring() noexcept { return ring_; }
  [[nodiscard]] const BroadcastRing& ring() const noexcept { return ring_; }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return 0; }
  void swept() noexcept {}

  // An item on its way in.
  class Outgoing {
   public:
    Outgoing(BroadcastSlots&, const T& item) noexcept : words_(to_words(item)) {}
    [[nodiscard]] bool packed() const noexcept { return true; }
    void write(std::byte* place, std::uint64_t) noexcept { store_overtaking(place, words_); }
    void pushed() noexcept {}

   private:
    Payload words_;
  };
  absl::Status check(const T&) const { return absl::OkStatus(); }

  // An item on its way out.
  class Incoming {
   public:
    explicit Incoming(BroadcastSlots&) noexcept {}
    void read(const std::byte* place, std::uint64_t) noexcept { load_overtaken(place, words_); }
    std::optional<T> open() noexcept { return from_words<T>(words_); }  // nullopt: it makes no T, and was counted

   private:
    Payload words_;
  };

 private:
  explicit BroadcastSlots(const BroadcastRing& ring) noexcept : ring_(ring) {}
  BroadcastRing ring_;
};

template <class T>
class BroadcastEncoded {
  using Carried = ParcelOf<T>;

 public:
  static constexpr bool kNoThrow = false;

  static ElementType element() { return Carried::element(); }
  static absl::StatusOr<SegmentPlan> plan(BroadcastPlan plan) {
    const absl::StatusOr<std::size_t> most = Carried::most_bytes(plan.max_item_bytes);
    if (!most.ok()) return most.status();
    plan.max_item_bytes = *most;
    return BroadcastParcels::plan(plan, element());
  }
  static absl::StatusOr<BroadcastEncoded> attach(const Attachment::Pointer& attachment) {
    absl::StatusOr<std::shared_ptr<BroadcastParcels>> parcels = BroadcastParcels::attach(attachment);
    if (!parcels.ok()) return parcels.status();
    return BroadcastEncoded(*std::move(parcels));
  }

  [[nodiscard]] BroadcastRing& ring() noexcept { return parcels_->ring(); }
  [[nodiscard]] const BroadcastRing& ring() const noexcept { return std::as_const(*parcels_).ring(); }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return parcels_->undecodable(); }
  void swept() noexcept { (void)parcels_->reclaim(); }

  class Outgoing : public BroadcastParcels::Outgoing {
   public:
    Outgoing(BroadcastEncoded& items, const T& item)
        : BroadcastParcels::Outgoing(*items.parcels_), status_(encode(item, *this)) {}
    [[nodiscard]] bool packed() const noexcept { return status_.ok(); }

   private:
    absl::Status status_;
  };
  absl::Status check(const T& item) const {
    BroadcastParcels::Outgoing trial(*parcels_);
    return encode(item, trial);
  }

  class Incoming {
   public:
    explicit Incoming(BroadcastEncoded& items) noexcept : parcels_(*items.parcels_), copy_(parcels_) {}
    void read(const std::byte* place, std::uint64_t) { copy_.read(place); }
    std::optional<T> open() {
      std::optional<T> value = Carried::decode(copy_.bytes());
      if (!value) parcels_.count_undecodable();
      return value;
    }

   private:
    BroadcastParcels& parcels_;
    BroadcastParcels::Incoming copy_;
  };

 private:
  explicit BroadcastEncoded(std::shared_ptr<BroadcastParcels> parcels) noexcept : parcels_(std::move(parcels)) {}
  static absl::Status encode(const T& item, BroadcastParcels::Outgoing& out) {
    if constexpr (Lendable<T>) {
      return out.pack(Inplace<T>::bytes(item));
    } else {
      BufferWriter writer;
      writer.put(item);
      return writer.ok() ? out.pack(writer.written()) : writer.status();
    }
  }

  std::shared_ptr<BroadcastParcels> parcels_;
};

template <class T>
using BroadcastItems = std::conditional_t<kInSlot<T>, BroadcastSlots<T>, BroadcastEncoded<T>>;

}  // namespace warren::detail
