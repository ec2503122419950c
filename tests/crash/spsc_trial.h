// One operation on an SpscQueue, or on something like it, in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/spsc_queue.h>
#include <warren/layout/spsc_ring.h>

#include <algorithm>
#include <csignal>

#include "crash/shared_trial.h"

namespace warren::test {

inline constexpr std::size_t kSpscCapacity = 4;

struct SpscState {
  const char* name;
  std::size_t lead = 0;      // items that went through before: where in the ring it begins
  std::size_t items = 0;     // in the queue
  bool mid_commit = false;   // the producer before died in the middle of a commit
  bool living_peer = false;  // the other side belongs to a living process: the tracer
  enum class Asleep { kNobody, kConsumer, kProducer } asleep = Asleep::kNobody;
};

template <class T, class Q = SpscQueue<T>>
struct SpscOperation {
  const char* name;
  std::size_t pushes = 0, pops = 0;  // items, at most
  std::size_t (*run)(Q& queue, std::span<const T> items, std::span<T> out) = nullptr;
  bool closes = false;
  bool cold = false;  // takes the side over from the dead, on the way
};

template <class Q>
struct SpscMade {
  static constexpr std::uint64_t kUnits = 1;  // that an item takes in the ring; what is skipped for it is less
  static Q make() { return *Q::create({.capacity = kSpscCapacity}); }
};

// Whoever owned the sides before the victim is dead: each trial begins with a takeover.
template <std::size_t N, class Q = SpscQueue<Item<N>>>
class SpscTrial : public SharedTrial<N> {
  using Base = SharedTrial<N>;
  using typename Base::Side;
  using typename Base::T;
  using Asleep = SpscState::Asleep;

 public:
  SpscTrial(const SpscState& state, const SpscOperation<T, Q>& operation)
      : state_(state), operation_(operation), queue_(SpscMade<Q>::make()) {
    set_waits(200us);
    live_and_die_before();
    if (state.living_peer) (void)(operation.pushes != 0 ? queue_.claim_consumer() : queue_.claim_producer());
    if (state.asleep == Asleep::kConsumer) this->put_bystander_to_sleep(queue_, Side::kPops, header().not_empty);
    if (state.asleep == Asleep::kProducer) this->put_bystander_to_sleep(queue_, Side::kPushes, header().not_full);
    if (operation.pushes != 0) this->victim_pushes(operation.pushes);
    if (operation.pops != 0) this->victim_pops(operation.pops);
    tail_before_ = tail();
    head_before_ = head();
    if (operation.pushes == operation.pops && !operation.closes) std::abort();
  }

  void warm() override {
    set_waits(200ms);  // so that it is found asleep
    if (operation_.cold) return;
    if (operation_.pushes != 0) (void)queue_.claim_producer();
    if (operation_.pops != 0) (void)queue_.claim_consumer();
    (void)attachment().seat();
  }

  void operation() override { this->report(operation_.run(queue_, this->items(), this->outcome_->items)); }

  void wake_victim() override {
    if (operation_.pushes != 0) (void)Base::pop_one(queue_, 5ms);
    if (operation_.pops != 0) (void)Base::push_one(queue_, 5ms);
  }

  // The other side works on, and nobody gets the side of one who lives.
  void interfere() override {
    loosen();
    const auto owner = layout::SideOwner::from((operation_.pushes != 0 ? header().producer : header().consumer).load());
    const bool mine =
        owner.owned && owner.lane < attachment().lanes_high() && attachment().holds_lane(owner.lane, owner.generation);
    if (operation_.pushes != 0) {
      for (int i = 0; i < 2; ++i) (void)Base::pop_one(queue_, 0ms);
      if (mine && queue_.claim_producer().ok()) this->fault(Fault::Kind::kOther, "two own the producer's side");
    } else if (operation_.pops != 0) {
      (void)Base::push_one(queue_, 0ms);
      if (mine && queue_.claim_consumer().ok()) this->fault(Fault::Kind::kOther, "two own the consumer's side");
    }
  }

  void rescue() override {
    set_waits(200us);
    this->self_ = Base::kRescuer;
    drain();
    (void)attachment().sweep();
    for (int i = 0; i < 2; ++i) (void)Base::push_one(queue_, 0ms);
    (void)Base::pop_one(queue_, 0ms);
  }

  void loosen() override { exact_ = false; }

  std::string window(pid_t victim) override {
    committed_ = (tail() - tail_before_) / SpscMade<Q>::kUnits;
    taken_ = (head() - head_before_) / SpscMade<Q>::kUnits;
    if (operation_.closes) return queue_.closed() ? "closed" : "before";
    if (operation_.pushes != 0) {
      if (!owned_by(header().producer, victim)) return "before";
      if (header().committing.load() != tail()) return "committing";
      return committed_ == 0 ? "owned" : "after";
    }
    if (!owned_by(header().consumer, victim)) return "before";
    return taken_ == 0 ? "owned" : "taken";
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
    const Account account = this->settle_account();
    if (exact_ && !finished)
      this->expect_exactly(account, operation_.pushes != 0, operation_.pops != 0, committed_, taken_);
    return this->verdict_;
  }

 private:
  detail::Attachment& attachment() const { return Reach::attachment(queue_); }
  layout::SpscRingHeader& header() const { return *reinterpret_cast<layout::SpscRingHeader*>(attachment().object()); }
  std::uint64_t tail() const { return header().tail.load(); }
  std::uint64_t head() const { return header().head.load(); }
  bool push_one() { return Base::push_one(queue_, this->patience_); }
  bool pop_one() { return Base::pop_one(queue_, this->patience_); }

  bool owned_by(const std::atomic<std::uint64_t>& word, pid_t pid) const {
    const auto owner = layout::SideOwner::from(word.load());
    if (!owner.owned || owner.lane >= attachment().lanes_high()) return false;
    const auto identity = layout::LaneIdentity::from(attachment().lane(owner.lane).identity.load());
    return identity.pid == static_cast<std::uint32_t>(pid) && identity.generation == owner.generation;
  }

  void live_and_die_before() {
    Child before([&]() -> int {
      History::Actor& log = this->log(Base::kEarlier);
      for (std::size_t i = 0; i < state_.lead + state_.items; ++i) {
        const ItemId id = log.push_begins();
        log.push_ends(queue_.try_push(make_item<N>(id)));
        if (i >= state_.lead) continue;
        log.pop_begins();
        if (const std::optional<T> item = queue_.try_pop()) log.popped(id_of(*item));
        log.pop_ends();
      }
      if (state_.mid_commit) {
        const ItemId id = log.push_begins();
        (void)queue_.claim_producer();
        queue_.prepare(1)[0].words[0] = make_item<N>(id).words[0];
        header().committing.store(tail() + SpscMade<Q>::kUnits);
      }
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    (void)before.join();
  }

  void serve_bystander() {
    if (!this->bystander_) return;
    const bool served = exact_ && (this->outcome_->done || committed_ + taken_ != 0);  // else somebody else may have it
    if (state_.asleep == Asleep::kConsumer && !served) (void)push_one();
    if (state_.asleep == Asleep::kProducer && !served) (void)pop_one();
    this->see_bystander_off();
  }

  void drain() {
    const auto drained = [&] { return Base::pop_one(queue_, 0ms), head() == tail(); };
    if (head() != tail() && !eventually(drained, this->patience_)) {
      this->fault(Fault::Kind::kHung, std::to_string(tail() - head()) + " items do not come out");
    }
  }

  void serve_on() {
    for (std::size_t i = 0; i < 2 * kSpscCapacity + 1; ++i) {
      if (!push_one()) return this->fault(Fault::Kind::kHung, "an empty queue takes no item");
      if (!pop_one()) return this->fault(Fault::Kind::kHung, "an item does not come out");
    }
    for (std::size_t i = 0; i < kSpscCapacity; ++i) {
      if (!Base::push_one(queue_, 0ms)) this->fault(Fault::Kind::kLost, "room for an item is lost");
    }
    if (Base::push_one(queue_, 0ms)) this->fault(Fault::Kind::kOther, "a full queue took an item");
    drain();
  }

  void close_and_look() {
    queue_.close();
    if (Base::push_one(queue_, 0ms)) this->fault(Fault::Kind::kOther, "a closed queue took an item");
    if (!eventually([&] { return queue_.drained(); }, this->patience_)) {
      this->fault(Fault::Kind::kHung, "it never says that it is drained");
    }
    if (Base::pop_one(queue_, 0ms)) this->fault(Fault::Kind::kOther, "a drained queue gave an item");
  }

  SpscState state_;
  SpscOperation<T, Q> operation_;
  Q queue_;
  std::uint64_t head_before_ = 0, tail_before_ = 0;
  std::uint64_t committed_ = 0, taken_ = 0;  // by the victim
  bool exact_ = true;
};

}  // namespace warren::test
