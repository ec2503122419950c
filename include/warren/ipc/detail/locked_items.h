// How the items of a priority queue and of a stack travel: LockedInSlots, plain bytes in their slot, or LockedParcels,
// everything else; and LockedItems, what both containers do with them. Slots is PrioritySlots or StackSlots.
#pragma once
#include <warren/ipc/detail/locked_slots.h>
#include <warren/ipc/detail/parcel_items.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

namespace warren::detail {

// A new segment: `slots`, and what lies behind them from `size` to `max_size` (0: nothing).
template <class Slots>
SegmentPlan locked_plan(const LockedGeometry& slots, std::size_t size, std::size_t max_size, const ElementType& element,
                        std::function<void(std::span<std::byte>)> initialise) {
  using Header = layout::LockedSlotsHeader;
  return {.kind = Slots::kKind,
          .size = size,
          .max_size = max_size,
          .element = element,
          .wait_words = {offsetof(Header, not_empty), offsetof(Header, not_full),
                         offsetof(Header, lock) + offsetof(layout::Mutex, waiters)},
          .initialise = [slots, initialise = std::move(initialise)](std::span<std::byte> object) {
            Slots::initialise(object, slots);
            if (initialise) initialise(object);
          }};
}

template <class T, class Slots>
class LockedInSlots {
 public:
  static constexpr bool kNoThrow = true;

  static ElementType element() { return element_type<T>(); }
  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes) {
    if (max_item_bytes != 0 && max_item_bytes < sizeof(T)) return Parcel::too_large(sizeof(T), max_item_bytes);
    const absl::StatusOr<LockedGeometry> slots = Slots::plan(capacity, sizeof(T));
    if (!slots.ok()) return slots.status();
    return locked_plan<Slots>(*slots, slots->bytes(), 0, element(), nullptr);
  }
  static absl::StatusOr<LockedInSlots> attach(const Attachment::Pointer& attachment) {
    const absl::StatusOr<LockedGeometry> slots = Slots::check(*attachment, attachment->size(), sizeof(T));
    if (!slots.ok()) return slots.status();
    return LockedInSlots(Slots(*attachment, *slots));
  }

  [[nodiscard]] Slots& slots() noexcept { return slots_; }
  [[nodiscard]] const Slots& slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return 0; }
  void swept(Deadline) noexcept {}

  // What a push holds while it tries.
  struct Outgoing {
    Outgoing(LockedInSlots&, const T& item) noexcept : words(to_words(item)) {}
    Words<kWordsOf<T>> words;
  };
  Push try_push(std::int64_t priority, const Outgoing& item, Deadline turn) noexcept {
    return slots_.try_push(priority, item.words, turn, Nothing{});
  }
  absl::Status check(const T&) const { return absl::OkStatus(); }

  // What a pop took.
  struct Incoming {
    explicit Incoming(LockedInSlots&) noexcept {}
    Words<kWordsOf<T>> words;
  };
  Front try_pop(Incoming& item, Deadline turn) noexcept { return slots_.try_pop(item.words, turn, Nothing{}); }
  std::optional<T> open(Incoming& item) noexcept { return from_words<T>(item.words); }

 private:
  explicit LockedInSlots(const Slots& slots) noexcept : slots_(slots) {}
  Slots slots_;
};

// The blocks of what lies in such slots.
template <class Slots>
class LockedParcelHeap : public ParcelHeap {
 public:
  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes,
                                          const ElementType& element) {
    const absl::StatusOr<LockedGeometry> slots = Slots::plan(capacity, sizeof(ParcelWords));
    if (!slots.ok()) return slots.status();
    const absl::StatusOr<ParcelSpace> space =
        ParcelSpace::plan(ParcelPlaces::behind(slots->bytes()), capacity, max_item_bytes, element);
    if (!space.ok()) return space.status();
    return locked_plan<Slots>(*slots, space->places.blocks, space->end, element,
                              [space = *space](std::span<std::byte> object) { space.initialise(object); });
  }
  static absl::StatusOr<std::shared_ptr<LockedParcelHeap>> attach(Attachment::Pointer attachment) {
    const absl::StatusOr<LockedGeometry> slots = Slots::check(*attachment, attachment->size(), sizeof(ParcelWords));
    if (!slots.ok()) return slots.status();
    const absl::StatusOr<ParcelSpace> space = ParcelSpace::read(*attachment, ParcelPlaces::behind(slots->bytes()));
    if (!space.ok()) return space.status();
    return std::shared_ptr<LockedParcelHeap>(new LockedParcelHeap(std::move(attachment), *slots, *space));
  }

  [[nodiscard]] Slots& slots() noexcept { return slots_; }

  Push try_push(std::int64_t priority, const ParcelWords& words, const Block& block, Deadline turn) noexcept {
    return slots_.try_push(priority, words, turn, [&](std::uint64_t ticket) {
      if (block.ref == 0) return;
      give(block, ticket);
      WARREN_CRASH_POINT(locked_parcel_given);  // reclaim() frees it: no such item stands
    });
  }
  Front try_pop(ParcelWords& words, Block& block, Deadline turn) noexcept {
    const LaneRef self = attachment_->process_lane(attachment_->seat());
    if (!self.known) return slots_.drained() ? Front::kDrained : Front::kEmpty;  // it could not own the block
    return slots_.try_pop(words, turn, [&](std::uint64_t ticket) {
      if (!layout::ParcelLabel::from(words[0]).in_block) return;
      block = own(words, ticket, self);
      WARREN_CRASH_POINT(locked_parcel_owned);  // by a dead process: reclaim() frees it
    });
  }
  // With the lock held no item is between two owners, so that an item's block is in use exactly while the item stands.
  // While somebody else has the lock for long, another look must do.
  std::size_t reclaim() noexcept override { return reclaim_until(Deadline::never()); }
  std::size_t reclaim_at_once() noexcept override { return reclaim_until(Deadline::after(kPatience.zero())); }
  std::size_t reclaim_until(Deadline until) noexcept {
    const Deadline patience = Deadline::after(kPatience);
    std::size_t freed = 0;
    (void)slots_.with_tickets(
        until.time() < patience.time() ? until : patience, [&](LockedSlots::ConstPayload tickets) {
          freed = reclaim_unless(
              [&](std::uint64_t ticket) { return std::binary_search(tickets.begin(), tickets.end(), ticket); });
        });
    return freed;
  }

 private:
  static constexpr std::chrono::milliseconds kPatience{100};

  LockedParcelHeap(Attachment::Pointer attachment, const LockedGeometry& slots, const ParcelSpace& space)
      : ParcelHeap(std::move(attachment), space), slots_(*attachment_, slots) {}

  Slots slots_;
};

template <class T, class Slots>
class LockedParcels {
  using Carried = ParcelOf<T>;
  using Heap = LockedParcelHeap<Slots>;

 public:
  static constexpr bool kNoThrow = false;

  static ElementType element() { return Carried::element(); }
  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes) {
    const absl::StatusOr<std::size_t> most = Carried::most_bytes(max_item_bytes);
    if (!most.ok()) return most.status();
    return Heap::plan(capacity, *most, element());
  }
  static absl::StatusOr<LockedParcels> attach(const Attachment::Pointer& attachment) {
    absl::StatusOr<std::shared_ptr<Heap>> heap = Heap::attach(attachment);
    if (!heap.ok()) return heap.status();
    return LockedParcels(*std::move(heap));
  }

  [[nodiscard]] Slots& slots() noexcept { return heap_->slots(); }
  [[nodiscard]] const Slots& slots() const noexcept { return heap_->slots(); }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return heap_->undecodable(); }
  void swept(Deadline until) noexcept { (void)heap_->reclaim_until(until); }

  struct Outgoing : Carried::Outgoing {
    Outgoing(LockedParcels& items, const T& item) noexcept : Carried::Outgoing(*items.heap_, item) {}
  };
  Push try_push(std::int64_t priority, Outgoing& item, Deadline turn) {
    return Carried::try_push(
        item, [this] { return slots().refusal(); },
        [&](const ParcelWords& words, const ParcelHeap::Block& block) {
          return heap_->try_push(priority, words, block, turn);
        });
  }
  absl::Status check(const T& value) const {
    Parcel parcel(*heap_);
    return Carried::pack(value, parcel);
  }

  struct Incoming : TakenParcel {
    explicit Incoming(LockedParcels& items) noexcept : TakenParcel(*items.heap_) {}
  };
  Front try_pop(Incoming& item, Deadline turn) noexcept {
    return item.pop_by(
        [&](ParcelWords& words, ParcelHeap::Block& block) { return heap_->try_pop(words, block, turn); });
  }
  std::optional<T> open(Incoming& item) { return Carried::open(*heap_, item); }

 private:
  explicit LockedParcels(std::shared_ptr<Heap> heap) noexcept : heap_(std::move(heap)) {}
  std::shared_ptr<Heap> heap_;
};

template <class T, class Slots>
class LockedItems {
  using Items = std::conditional_t<kInSlot<T>, LockedInSlots<T, Slots>, LockedParcels<T, Slots>>;

 public:
  static constexpr bool kNoThrow = Items::kNoThrow;

  static absl::StatusOr<SegmentPlan> plan(std::size_t capacity, std::size_t max_item_bytes) {
    return Items::plan(capacity, max_item_bytes);
  }
  static SegmentExpectation expectation() { return {.kind = Slots::kKind, .element = Items::element()}; }
  static absl::StatusOr<LockedItems> attach(const Attachment::Pointer& attachment) {
    absl::StatusOr<Items> items = Items::attach(attachment);
    if (!items.ok()) return items.status();
    return LockedItems(*attachment, *std::move(items));
  }

  [[nodiscard]] Slots& slots() noexcept { return items_.slots(); }
  [[nodiscard]] const Slots& slots() const noexcept { return items_.slots(); }
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return items_.undecodable(); }

  bool try_push(const T& item, std::int64_t priority) noexcept(kNoThrow);
  bool push_until(const T& item, std::int64_t priority, Deadline deadline);
  std::optional<T> try_pop() noexcept(kNoThrow);
  std::optional<T> pop_until(Deadline deadline);
  // For a descriptor that says whether there is an item, or the end (readiness.h); and a look that says so.
  [[nodiscard]] int fileno() const {
    return attachment_->readable_when(slots().not_empty(), [this] {
      return [slots = slots()] { return slots.front() == Front::kEmpty ? Progress::kBlocked : Progress::kDone; };
    });
  }
  [[nodiscard]] bool readable() const noexcept { return told(slots().front()) != Front::kEmpty; }
  template <class Stats>
  [[nodiscard]] Stats stats() const noexcept {
    return {.pushed = slots().pushed(),
            .popped = slots().popped(),
            .undecodable = items_.undecodable(),
            .high_water = slots().high_water()};
  }
  // `what`: how a message names the container.
  [[nodiscard]] absl::Status check(const T& item, const char* what) const;

 private:
  LockedItems(Attachment& attachment, Items items) noexcept : attachment_(&attachment), items_(std::move(items)) {}
  void pushed() noexcept { notify(slots().not_empty(), attachment_->wait_mode(), 1); }
  void popped() noexcept { notify(slots().not_full(), attachment_->wait_mode(), 1); }
  // `front` is what a call ends with.
  Front told(Front front) const noexcept {
    if (front == Front::kEmpty) attachment_->found_nothing();
    return front;
  }
  bool wait_to_pop(Deadline deadline, typename Items::Incoming& item);
  // A slice is over: looks for the dead, and takes back what they had.
  void swept(Deadline until) noexcept {
    (void)attachment_->sweep();
    if (attachment_->remains()) items_.swept(until);
  }

  Attachment* attachment_;
  Items items_;
};

template <class T, class Slots>
bool LockedItems<T, Slots>::try_push(const T& item, std::int64_t priority) noexcept(kNoThrow) {
  typename Items::Outgoing outgoing(items_, item);
  if (items_.try_push(priority, outgoing, Deadline::never()) != Push::kPushed) return false;
  pushed();
  return true;
}

template <class T, class Slots>
bool LockedItems<T, Slots>::push_until(const T& item, std::int64_t priority, Deadline deadline) {
  typename Items::Outgoing outgoing(items_, item);
  Push result = Push::kFull;
  const auto once = [&] {
    result = items_.try_push(priority, outgoing, deadline);
    return result == Push::kFull ? Progress::kBlocked : Progress::kDone;
  };
  (void)attachment_->wait_for_change(slots().not_full(), attachment_->seat().push_spinner, deadline, once,
                                     [this, deadline] { swept(deadline); });
  if (result != Push::kPushed) {
    if (!slots().refusal()) popped();  // the wake that it may have had is another's
    return false;
  }
  pushed();
  return true;
}

template <class T, class Slots>
std::optional<T> LockedItems<T, Slots>::try_pop() noexcept(kNoThrow) {
  typename Items::Incoming incoming(items_);
  while (told(items_.try_pop(incoming, Deadline::never())) == Front::kItem) {
    popped();
    if (std::optional<T> item = items_.open(incoming)) return item;
  }
  return std::nullopt;
}

template <class T, class Slots>
bool LockedItems<T, Slots>::wait_to_pop(Deadline deadline, typename Items::Incoming& item) {
  Front front = Front::kEmpty;
  const auto once = [&] {
    front = items_.try_pop(item, deadline);
    return front == Front::kEmpty ? Progress::kBlocked : Progress::kDone;
  };
  (void)attachment_->wait_for_change(slots().not_empty(), attachment_->seat().pop_spinner, deadline, once,
                                     [this, deadline] { swept(deadline); });
  if (told(front) != Front::kItem) {
    if (slots().approx_size() != 0) pushed();  // the wake that it may have had is another's
    return false;
  }
  popped();
  return true;
}

template <class T, class Slots>
std::optional<T> LockedItems<T, Slots>::pop_until(Deadline deadline) {
  typename Items::Incoming incoming(items_);
  while (wait_to_pop(deadline, incoming)) {
    if (std::optional<T> item = items_.open(incoming)) return item;
  }
  return std::nullopt;
}

template <class T, class Slots>
absl::Status LockedItems<T, Slots>::check(const T& item, const char* what) const {
  if (slots().closed()) return push_refused(Push::kClosed, what);
  Seat& seat = attachment_->seat();
  if (const SeatUse use(seat); seat.lane == nullptr) return push_refused(Push::kNoLane, what);
  if (absl::Status status = items_.check(item); !status.ok()) return status;
  return slots().approx_size() < slots().capacity() ? absl::OkStatus() : push_refused(Push::kFull, what);
}

}  // namespace warren::detail
