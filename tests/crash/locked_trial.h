// One operation on a priority queue or a stack in one state, its victim, and the survivors' checks.
#pragma once
#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "crash/shared_trial.h"
#include "support/locked_kinds.h"

namespace warren::test {

inline constexpr std::size_t kLockedCapacity = 4;

// A priority queue whose items' ids are their priorities: some are equal.
[[nodiscard]] constexpr std::int64_t rank_of(ItemId id) noexcept { return static_cast<std::int64_t>(id * 5 % 3) - 1; }

template <class T>
class RankedQueue : public PriorityQueue<T> {
  using Base = PriorityQueue<T>;

 public:
  static constexpr bool kRanked = true;
  using Options = PriorityQueueOptions;
  using Slots = detail::PrioritySlots;
  explicit RankedQueue(Base base) : Base(std::move(base)) {}
  static RankedQueue make() { return RankedQueue(Base::create({.capacity = kLockedCapacity}).value()); }
  bool push(const T& item) { return Base::push(item, rank(item)); }
  bool try_push(const T& item) { return Base::try_push(item, rank(item)); }
  bool try_push_for(const T& item, Timeout d) { return Base::try_push_for(item, rank(item), d); }
  static std::int64_t rank(const T& item) { return rank_of(item.words[0] & ((ItemId{1} << 40) - 1)); }
};
template <class T>
class TriedStack : public Stack<T> {
 public:
  static constexpr bool kRanked = false;
  using Slots = detail::StackSlots;
  explicit TriedStack(Stack<T> base) : Stack<T>(std::move(base)) {}
  static TriedStack make() { return TriedStack(Stack<T>::create({.capacity = kLockedCapacity}).value()); }
};

struct LockedState {
  const char* name;
  std::size_t lead = 0;      // items that went through before: slots have been used
  std::size_t items = 0;     // there
  bool holder_dead = false;  // somebody has died in the midst of a change; a sweep has given its lane back
  enum class Asleep { kNobody, kConsumer, kProducer } asleep = Asleep::kNobody;
};

// What the victim does.
template <class Q>
struct LockedOperation {
  using T = typename Q::value_type;

  const char* name;
  std::size_t pushes = 0, pops = 0;  // at most 1
  bool closes = false;
  std::size_t (*run)(Q& queue, std::span<const T> items, std::span<T> out) = nullptr;
};

template <std::size_t N, class Q>
class LockedTrial : public SharedTrial<N> {
  using Base = SharedTrial<N>;
  using typename Base::Side;
  using typename Base::T;
  using Asleep = LockedState::Asleep;
  static constexpr bool kParcels = !detail::kInSlot<T>;

 public:
  LockedTrial(const LockedState& state, const LockedOperation<Q>& operation,
              std::chrono::nanoseconds patience = kPatience)
      : state_(state), operation_(operation), queue_(Q::make()) {
    this->patience_ = patience;
    this->history_.any_order();
    set_waits(200us);
    for (std::size_t i = 0; i < state.lead; ++i) (void)push_one();
    for (std::size_t i = 0; i < state.lead; ++i) (void)pop_one();
    for (std::size_t i = 0; i < state.items; ++i) (void)push_one();
    if (state.holder_dead) leave_dead_holder();
    if (state.asleep == Asleep::kConsumer) this->put_bystander_to_sleep(queue_, Side::kPops, view().header().not_empty);
    if (state.asleep == Asleep::kProducer)
      this->put_bystander_to_sleep(queue_, Side::kPushes, view().header().not_full);
    if (operation.pushes != 0) this->victim_pushes(1);
    if (operation.pops != 0) this->victim_pops(1);
    pushed_before_ = view().pushed();
    popped_before_ = view().popped();
  }

  void warm() override {
    set_waits(200ms);  // so that it is found asleep
    (void)attachment().process_lane(attachment().seat());
  }
  void operation() override { this->report(operation_.run(queue_, this->items(), this->outcome_->items)); }
  void wake_victim() override {
    if (operation_.pushes != 0) (void)pop_one(5ms);
    if (operation_.pops != 0) (void)push_one(5ms);
  }
  // Whoever has the lock keeps it: nobody gets in.
  void interfere() override {
    loosen();
    for (int i = 0; i < 2; ++i) (void)(pop_one(0ms), push_one(0ms));
    reclaim();
  }
  void rescue() override {
    set_waits(200us);
    this->self_ = Base::kRescuer;
    (void)push_one(0ms);
    drain();
    (void)attachment().sweep();
    for (int i = 0; i < 2; ++i) (void)push_one(0ms);
    (void)pop_one(0ms);
    reclaim();
  }
  void loosen() override { exact_ = false; }

  std::string window(pid_t victim) override {
    committed_ = view().pushed() - pushed_before_;
    taken_ = view().popped() - popped_before_;
    if (operation_.closes) return queue_.closed() ? "closed" : "before";
    const bool changed = committed_ + taken_ != 0;
    const auto lock = layout::MutexState::from(view().header().lock.state.load());
    if (!lock.held) return changed ? "after" : lock.inconsistent ? "inconsistent" : "before";
    const auto lane = layout::LaneIdentity::from(attachment().lane(lock.lane).identity.load());
    if (lane.pid != static_cast<std::uint32_t>(victim) || lane.generation != lock.generation) return "held by the dead";
    return changed ? "committed" : lock.inconsistent ? "repairs" : "held";
  }

  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    this->log_outcome();
    serve_bystander();
    drain();
    this->verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (!queue_.closed()) serve_on();
    close_and_look();
    this->expect_lanes_freed(attachment());
    expect_no_blocks();
    const Account account = this->settle_account();
    if (exact_ && !finished)
      this->expect_exactly(account, operation_.pushes != 0, operation_.pops != 0, committed_, taken_);
    return this->verdict_;
  }

  // --- for what victims do, and their faults

  LockedView view() const { return LockedView(queue_); }

 private:
  detail::Attachment& attachment() const { return Reach::attachment(queue_); }
  bool push_one() { return push_one(this->patience_); }
  bool push_one(std::chrono::nanoseconds patience) { return Base::push_one(queue_, patience); }
  bool pop_one() { return pop_one(this->patience_); }
  bool pop_one(std::chrono::nanoseconds patience) {
    auto& log = this->log(this->self_);
    log.pop_begins();
    const std::optional<T> item = queue_.try_pop_for(patience);
    if (item) log.popped(id_of(*item));
    if (item && id_of(*item)) out_.push_back(*id_of(*item));
    log.pop_ends();
    return item.has_value();
  }

  // Takes the lock, spoils what a death may spoil, and dies.
  void leave_dead_holder() {
    (void)Child([&]() -> int {
      (void)view().lock().try_take();
      const std::uint64_t size = view().pushed() - view().popped();
      if constexpr (Q::kRanked) {
        std::uint32_t* const heap = view().heap();
        if (size != 0) view().slot(heap[0]).taken = view().popped() + 1;
        if (size < kLockedCapacity) {
          view().slot(heap[size]).ticket = view().pushed() + 1;
          view().slot(heap[size]).taken = 0;
        }
        std::rotate(heap, heap + 1, heap + kLockedCapacity);
        heap[0] = heap[1];
      } else if (size < kLockedCapacity) {
        view().stack_slot(size)[0] = 12345;
      }
      return 0;
    }).join();
    (void)attachment().sweep();
  }

  void serve_bystander() {
    if (!this->bystander_) return;
    const bool served = exact_ && (this->outcome_->done || committed_ + taken_ != 0);  // else somebody else may have it
    if (state_.asleep == Asleep::kConsumer && !served) (void)push_one();
    if (state_.asleep == Asleep::kProducer && !served) (void)pop_one();
    this->see_bystander_off();
  }

  void drain() {
    out_.clear();
    const auto drained = [&] { return pop_one(300us), queue_.approx_size() == 0; };
    if (queue_.approx_size() != 0 && !eventually(drained, this->patience_))
      this->fault(Fault::Kind::kHung, std::to_string(queue_.approx_size()) + " items do not come out");
    expect_order();
  }
  // Of what came out while nobody pushed.
  void expect_order() {
    for (std::size_t i = 1; i < out_.size(); ++i) {
      const ItemId first = out_[i - 1], second = out_[i];
      const bool same_actor = first >> kActorShift == second >> kActorShift;
      const bool wrong = Q::kRanked ? rank_of(first) < rank_of(second) ||
                                          (rank_of(first) == rank_of(second) && same_actor && first > second)
                                    : same_actor && first < second;
      if (wrong)
        this->fault(Fault::Kind::kDisordered, std::to_string(second) + " came out after " + std::to_string(first));
    }
  }

  void serve_on() {
    for (std::size_t i = 0; i < kLockedCapacity + 1; ++i) {
      if (!push_one()) return this->fault(Fault::Kind::kHung, "an empty one takes no item");
      if (!pop_one()) return this->fault(Fault::Kind::kHung, "an item does not come out");
    }
    for (std::size_t i = 0; i < kLockedCapacity; ++i) {
      if (!push_one(0ms)) this->fault(Fault::Kind::kLost, "room for an item is lost");
    }
    if (push_one(0ms)) this->fault(Fault::Kind::kOther, "a full one took an item");
    drain();
    if (out_.size() != kLockedCapacity)
      this->fault(Fault::Kind::kOther, std::to_string(out_.size()) + " came out of it");
  }

  void close_and_look() {
    queue_.close();
    if (push_one(0ms)) this->fault(Fault::Kind::kOther, "a closed one took an item");
    if (!queue_.drained()) this->fault(Fault::Kind::kHung, "it does not say that it is drained");
    if (pop_one(0ms)) this->fault(Fault::Kind::kOther, "a drained one gave an item");
  }

  void reclaim() {
    if constexpr (kParcels) {
      using Heap = detail::LockedParcelHeap<typename Q::Slots>;
      (void)(*Heap::attach(std::shared_ptr<detail::Attachment>(&attachment(), [](auto*) {})))->reclaim();
    }
  }
  void expect_no_blocks() {
    if constexpr (kParcels) {
      reclaim();
      if (const std::size_t left = view().blocks_owned(); left != 0)
        this->fault(Fault::Kind::kLeft, std::to_string(left) + " blocks are nobody's");
    }
  }

  LockedState state_;
  LockedOperation<Q> operation_;
  Q queue_;
  std::uint64_t pushed_before_ = 0, popped_before_ = 0;
  std::size_t committed_ = 0, taken_ = 0;  // by the victim
  bool exact_ = true;
  std::vector<ItemId> out_;  // in the order in which they came
};

// --- what victims do -------------------------------------------------------------------------------------------------

template <class Q>
inline constexpr LockedOperation<Q> kLockedTryPush{
    .name = "try_push", .pushes = 1, .run = [](Q& q, auto items, auto) -> std::size_t { return q.try_push(items[0]); }};
template <class Q>
inline constexpr LockedOperation<Q> kLockedPush{
    .name = "push", .pushes = 1, .run = [](Q& q, auto items, auto) -> std::size_t { return q.push(items[0]); }};
template <class Q>
inline constexpr LockedOperation<Q> kLockedTryPop{
    .name = "try_pop", .pops = 1, .run = [](Q& q, auto, auto out) -> std::size_t {
      const auto item = q.try_pop();
      if (item) out[0] = *item;
      return item.has_value();
    }};
template <class Q>
inline constexpr LockedOperation<Q> kLockedPop{
    .name = "pop", .pops = 1, .run = [](Q& q, auto, auto out) -> std::size_t {
      const auto item = q.pop();
      if (item) out[0] = *item;
      return item.has_value();
    }};
template <class Q>
inline constexpr LockedOperation<Q> kLockedClose{
    .name = "close", .closes = true, .run = [](Q& q, auto, auto) -> std::size_t { return q.close(), 0; }};

inline constexpr LockedState kLockedEmpty{.name = "empty"};
inline constexpr LockedState kLockedMiddle{.name = "middle", .lead = 4, .items = 2};
inline constexpr LockedState kLockedFull{.name = "full", .lead = 3, .items = 4};
inline constexpr LockedState kLockedHolderDead{.name = "holder_dead", .lead = 4, .items = 2, .holder_dead = true};
inline constexpr LockedState kLockedConsumerAsleep{
    .name = "consumer_asleep", .lead = 2, .asleep = LockedState::Asleep::kConsumer};
inline constexpr LockedState kLockedProducerAsleep{
    .name = "producer_asleep", .lead = 2, .items = 4, .asleep = LockedState::Asleep::kProducer};

using LockedRanked = RankedQueue<Item8>;
using LockedStacked = TriedStack<Item8>;
// Items that travel in blocks.
inline constexpr std::size_t kLockedParcelWords = 36;
using LockedRankedParcels = RankedQueue<Item<kLockedParcelWords>>;
using LockedStackedParcels = TriedStack<Item<kLockedParcelWords>>;

}  // namespace warren::test
