// How the items of a queue travel: SlotItems, plain bytes in their slot, or ParcelItems, everything else. Queue<T> has
// one of them, and is the same for both.
#pragma once
#include <warren/ipc/detail/parcel_items.h>
#include <warren/ipc/detail/take_ledger.h>
#include <warren/ipc/lease.h>

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren::detail {

template <class T>
class SlotItems {
  using Ring = MpmcRing<kWordsOf<T>>;

 public:
  static constexpr bool kNoThrow = true;

  static ElementType element() { return element_type<T>(); }
  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes) {
    if (absl::Status status = check_capacity(capacity, Ring::kSlotBytes); !status.ok()) return status;
    if (max_item_bytes != 0 && max_item_bytes < sizeof(T)) return Parcel::too_large(sizeof(T), max_item_bytes);
    const MpmcGeometry geometry = MpmcGeometry::of(capacity, Ring::kSlotBytes);
    return SegmentPlan{
        .kind = layout::ObjectKind::kQueue,
        .size = geometry.committed_bytes(Ring::kSlotBytes),
        .max_size = LeaseCells::offset_behind(geometry.bytes(Ring::kSlotBytes)) + LeaseCells::bytes(kWordsOf<T>),
        .element = element(),
        .wait_words = {offsetof(layout::MpmcRingHeader, not_empty), offsetof(layout::MpmcRingHeader, not_full),
                       offsetof(layout::MpmcRingHeader, takes.joiners)},
        .initialise = [geometry](std::span<std::byte> object) {
          Ring::initialise(*reinterpret_cast<layout::MpmcRingHeader*>(object.data()), geometry, sizeof(T));
        }};
  }
  static absl::StatusOr<SlotItems> attach(const Attachment::Pointer& attachment) {
    auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(attachment->object());
    const absl::StatusOr<MpmcGeometry> geometry = Ring::check(header, attachment->max_size(), sizeof(T));
    if (!geometry.ok()) return geometry.status();
    const std::uint64_t cells = LeaseCells::offset_behind(geometry->bytes(Ring::kSlotBytes));
    if (cells + LeaseCells::bytes(kWordsOf<T>) > attachment->max_size() ||
        geometry->committed_bytes(Ring::kSlotBytes) > attachment->size()) {
      return absl::DataLossError("the header of the queue is corrupt: its size");
    }
    return SlotItems(Ring(*attachment, header, *geometry, cells), TakeLedger(*attachment, header));
  }

  [[nodiscard]] MpmcRingBase& ring() noexcept { return ring_; }
  [[nodiscard]] const MpmcRingBase& ring() const noexcept { return ring_; }
  [[nodiscard]] TakeLedger& takes() noexcept { return takes_; }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return 0; }
  void swept() noexcept {}
  [[nodiscard]] bool memory_left() const noexcept { return Ring(ring_).memory_left(); }

  // What a push holds while it tries.
  struct Outgoing {
    Outgoing(SlotItems&, const T& item) noexcept : words(to_words(item)) {}
    Words<kWordsOf<T>> words;
  };
  [[gnu::always_inline]] Push try_push(Seat& seat, const Outgoing& item) noexcept {
    return ring_.try_push(seat, item.words);
  }
  absl::Status check(const T&) const { return absl::OkStatus(); }

  // What a pop took.
  struct Incoming {
    explicit Incoming(SlotItems&) noexcept {}
    Words<kWordsOf<T>> words;
  };
  // Inlined as far as it mostly goes.
  [[gnu::always_inline]] Front try_pop(Seat& seat, Incoming& item) noexcept {
    if (TakeLedger::Taking taking(takes_, seat);
        ring_.try_pop_at_once(item.words, [&](std::uint64_t, const auto&) { taking.about_to_take(1); })) [[likely]] {
      taking.took(1);
      return Front::kItem;
    }
    return look_and_pop(seat, item);
  }
  std::optional<T> open(Incoming& item) noexcept { return from_words<T>(item.words); }
  // Returns how many lie in `out`. `taken`: how many have left the queue, also where this throws. `front`: what there
  // was last, where it returns 0.
  std::size_t try_pop_n(Seat& seat, std::span<T> out, std::size_t& taken, Front& front) noexcept {
    TakeLedger::Taking taking(takes_, seat);
    const std::size_t count = ring_.try_pop_run(
        seat, out.size(),
        [&](std::size_t i, const auto& words) {
          taking.about_to_take(i + 1);
          std::memcpy(static_cast<void*>(&out[i]), words.data(), sizeof(T));
        },
        front);
    if (count != 0) taking.took(count);
    return taken = count;
  }

  // What a lease took.
  struct OnLease {
    Words<kWordsOf<T>> words;
    LeaseTicket ticket;
  };
  Front try_lease(Attachment& attachment, Seat& seat, OnLease& item) noexcept {
    const LaneRef self = attachment.process_lane(seat);
    return self.known ? ring_.try_lease(seat, self, item.words, item.ticket) : ring_.lease_without_lane(seat);
  }
  LeaseHold hold(const Attachment::Pointer& attachment, const OnLease& item) const noexcept {
    return {attachment, ring_.cells(), takes_, item.ticket};
  }
  std::optional<T> open(const OnLease& item) noexcept { return from_words<T>(item.words); }

  Loan<T> lend(std::size_t) noexcept { return Loan<T>(LentPlace<T>()); }
  [[nodiscard]] static bool lent(const Loan<T>&) noexcept { return true; }
  Push try_push(Seat& seat, Loan<T>& loan) noexcept {
    const Push result = try_push(seat, Outgoing(*this, *loan));
    if (result == Push::kPushed) loan = Loan<T>(LentPlace<T>(nullptr));
    return result;
  }
  Borrow<T> borrow(Incoming& item) noexcept { return Borrow<T>(LentPlace<T>(item.words)); }

 private:
  SlotItems(const Ring& ring, const TakeLedger& takes) noexcept : ring_(ring), takes_(takes) {}
  [[gnu::noinline]] Front look_and_pop(Seat& seat, Incoming& item) noexcept {
    TakeLedger::Taking taking(takes_, seat);
    const Front front = ring_.try_pop(seat, item.words, [&](std::uint64_t, const auto&) { taking.about_to_take(1); });
    if (front == Front::kItem) taking.took(1);
    return front;
  }

  Ring ring_;
  TakeLedger takes_;
};

template <class T>
class ParcelItems {
  using Carried = ParcelOf<T>;

 public:
  static constexpr bool kNoThrow = false;

  static ElementType element() { return Carried::element(); }
  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes) {
    const absl::StatusOr<std::size_t> most = Carried::most_bytes(max_item_bytes);
    if (!most.ok()) return most.status();
    return ParcelRing::plan(capacity, *most, element());
  }
  static absl::StatusOr<ParcelItems> attach(const Attachment::Pointer& attachment) {
    absl::StatusOr<std::shared_ptr<ParcelRing>> parcels = ParcelRing::attach(attachment);
    if (!parcels.ok()) return parcels.status();
    return ParcelItems(*std::move(parcels));
  }

  [[nodiscard]] MpmcRingBase& ring() noexcept { return parcels_->ring(); }
  [[nodiscard]] const MpmcRingBase& ring() const noexcept { return std::as_const(*parcels_).ring(); }
  [[nodiscard]] TakeLedger& takes() noexcept { return parcels_->takes(); }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return parcels_->undecodable(); }
  void swept() noexcept { (void)parcels_->reclaim(); }
  [[nodiscard]] bool memory_left() const noexcept { return parcels_->ring().memory_left(); }  // check() asks the heap

  struct Outgoing : Carried::Outgoing {
    Outgoing(ParcelItems& items, const T& item) noexcept : Carried::Outgoing(*items.parcels_, item) {}
  };
  Push try_push(Seat& seat, Outgoing& item) {
    return Carried::try_push(
        item,
        [this] {
          const std::optional<Push> refused = ring().refusal();
          if (refused == Push::kFull) ring().high_water().full();
          return refused;
        },
        [&](const ParcelWords& words, const ParcelHeap::Block& block) {
          return parcels_->try_push(seat, words, block);
        });
  }
  absl::Status check(const T& value) const {
    Parcel parcel(*parcels_);
    return Carried::pack(value, parcel);
  }

  struct Incoming : TakenParcel {
    explicit Incoming(ParcelItems& items) noexcept : TakenParcel(*items.parcels_) {}
  };
  Front try_pop(Seat& seat, Incoming& item) noexcept {
    return item.pop_by(
        [&](ParcelWords& words, ParcelHeap::Block& block) { return parcels_->try_pop(seat, words, block); });
  }
  // nullopt: it makes no T, and was counted.
  std::optional<T> open(Incoming& item) { return Carried::open(*parcels_, item); }
  // As SlotItems'; throws where it made none.
  std::size_t try_pop_n(Seat& seat, std::span<T> out, std::size_t& taken, Front& front);

  struct OnLease {
    ParcelWords words;
    LeaseTicket ticket;
  };
  Front try_lease(Attachment&, Seat& seat, OnLease& item) noexcept {
    return parcels_->try_lease(seat, item.words, item.ticket);
  }
  LeaseHold hold(const Attachment::Pointer&, const OnLease& item) const noexcept {
    return {parcels_, item.ticket, layout::ParcelLabel::from(item.words[0]).in_block ? item.words[1] : 0};
  }
  std::optional<T> open(const OnLease& item) {
    std::optional<T> value = Carried::decode(parcels_->leased_bytes(item.words, item.ticket.position));
    if (!value) parcels_->ParcelHeap::count_undecodable();  // to acknowledge it is to be done with it
    return value;
  }

  Loan<T> lend(std::size_t count) noexcept;
  // Whether it is a loan of this segment's memory.
  [[nodiscard]] bool lent(const Loan<T>& loan) const noexcept {
    return &loan.place_.block().lender()->attachment() == &parcels_->attachment();
  }
  Push try_push(Seat& seat, Loan<T>& loan) noexcept;
  Borrow<T> borrow(Incoming& item) noexcept;  // empty as open()

 private:
  explicit ParcelItems(std::shared_ptr<ParcelRing> parcels) noexcept : parcels_(std::move(parcels)) {}

  std::shared_ptr<ParcelRing> parcels_;
};

template <class T>
using QueueItems = std::conditional_t<kInSlot<T>, SlotItems<T>, ParcelItems<T>>;

// One by one: a thread announces one block at a time.
template <class T>
std::size_t ParcelItems<T>::try_pop_n(Seat& seat, std::span<T> out, std::size_t& taken, Front& front) {
  std::size_t count = 0;
  try {
    for (Incoming item(*this); count < out.size() && (front = try_pop(seat, item)) == Front::kItem;) {
      ++taken;
      if (std::optional<T> value = open(item)) {
        out[count] = *std::move(value);
        ++count;
      }
    }
  } catch (...) {
    if (count == 0) throw;
  }
  return count;
}

template <class T>
Loan<T> ParcelItems<T>::lend(std::size_t count) noexcept {
  using Place = LentPlace<T>;
  if (count > parcels_->most_bytes() / sizeof(typename Inplace<T>::Element)) return Loan<T>(Place(nullptr));
  const std::size_t bytes = count * sizeof(typename Inplace<T>::Element);
  const std::optional<ParcelHeap::Block> block = parcels_->allocate(bytes);
  return Loan<T>(block ? Place(LentBlock(parcels_, *block), bytes) : Place(nullptr));
}

template <class T>
Push ParcelItems<T>::try_push(Seat& seat, Loan<T>& loan) noexcept {
  LentBlock& block = loan.place_.block();
  const ParcelWords words{layout::ParcelLabel{.bytes = loan.place_.bytes(), .in_block = true}.word(),
                          block.block().ref};
  const Push result = parcels_->try_push(seat, words, block.block());
  if (result == Push::kPushed) (void)block.take();
  return result;
}

template <class T>
Borrow<T> ParcelItems<T>::borrow(Incoming& item) noexcept {
  using Place = LentPlace<T>;
  const std::optional<std::span<const std::byte>> bytes = item.bytes();
  if (!bytes || !Inplace<T>::fits(bytes->size())) {
    parcels_->count_undecodable();
    return Borrow<T>(Place(nullptr));
  }
  const ParcelHeap::Block block = item.take_block();
  return Borrow<T>(block.ref != 0 ? Place(LentBlock(parcels_, block), bytes->size()) : Place(*bytes));
}

}  // namespace warren::detail
