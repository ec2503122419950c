// How the items of a broadcast travel: plain bytes in their slot.
#pragma once
#include <warren/ipc/detail/broadcast_ring.h>
#include <warren/ipc/loan.h>

#include <optional>

namespace warren::detail {

// What a Broadcast is made with, checked.
struct BroadcastPlan {
  std::size_t capacity = 0;
  bool writers_wait = false;

  [[nodiscard]] BroadcastGeometry geometry() const noexcept {
    return {.capacity = capacity, .cells = writers_wait ? layout::kMaxSubscribers : 0};
  }
};

template <class T>
class BroadcastSlots {
  using Payload = Words<kWordsOf<T>>;

 public:
  static constexpr bool kNoThrow = true;
  static constexpr std::size_t kSlotBytes = sizeof(Payload);

  static ElementType element() { return element_type<T>(); }
  static absl::StatusOr<SegmentPlan> plan(const BroadcastPlan& plan) {
    if (absl::Status status = BroadcastRing::check_capacity(plan.capacity, kSlotBytes); !status.ok()) return status;
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
using BroadcastItems = BroadcastSlots<T>;

}  // namespace warren::detail
