// One lease, return, acknowledgement or recovery in one state, its victim, and the survivors' checks: what the victim
// did not acknowledge, or pop, comes out; nothing comes out that it did; no cell stays in use.
#pragma once
#include <warren/ipc/queue.h>

#include <csignal>
#include <utility>

#include "crash/shared_trial.h"
#include "support/lease_view.h"
#include "support/queue_blocks.h"

namespace warren::test {

struct LeaseState {
  const char* name;
  std::size_t lead = 0;  // items that went through before: where in the ring it begins
  std::size_t items = 0;
  bool returned = false;  // one came back before
  // Somebody was killed with an item on lease; or as head named its cell; or before.
  enum class Dead { kNobody, kHolder, kNamed, kClaimant } dead = Dead::kNobody;
  bool unbounded = false;  // with chunks of two slots
};

// What the victim does with an item: true if it took it for good.
template <class Q>
struct LeaseOperation {
  const char* name;
  bool takes = true;  // else never
  bool (*run)(Q& queue, typename Q::value_type& out) = nullptr;
};

// Q: Queue<Item<N>>, or something broken that is made from one.
template <std::size_t N, class Q = Queue<Item<N>>>
class LeaseTrial : public SharedTrial<N> {
  using Base = SharedTrial<N>;
  using typename Base::T;
  using Dead = LeaseState::Dead;
  using Cell = layout::LeaseWord;
  using State = Cell::State;
  static constexpr bool kParcels = !detail::kInSlot<T>;
  static constexpr std::size_t kWords = kParcels ? layout::kParcelWords : N;
  static constexpr std::size_t kCapacity = 4;

 public:
  LeaseTrial(const LeaseState& state, const LeaseOperation<Q>& operation, std::chrono::nanoseconds patience = kPatience)
      : state_(state), operation_(operation), queue_(make_queue(state)) {
    this->patience_ = patience;
    set_waits(200us);
    { auto first = queue_.try_lease(); }  // an attachment's first look at the clock
    for (std::size_t i = 0; i < state.lead; ++i) (void)(push_one() && pop_one(this->patience_));
    if (state.dead != Dead::kNobody) leave_dead_lease();
    if (state.returned) {
      (void)push_one();
      auto dropped = queue_.try_lease();
    }
    for (std::size_t i = 0; i < state.items; ++i) (void)push_one();
    this->victim_pops(1);
    before_ = view().inside();
  }

  void warm() override {
    set_waits(200ms);
    (void)attachment().process_lane(attachment().seat());
  }

  void operation() override { this->report(operation_.run(queue_, this->outcome_->items[0])); }

  void interfere() override {
    loosen();
    for (int i = 0; i < 3; ++i) (void)pop_one(300us);
    (void)push_one();
    { auto lease = queue_.try_lease(); }
    (void)push_one();
    if constexpr (kParcels) (void)QueueBlocks(attachment()).owned_after_recovery();
  }

  void rescue() override {
    set_waits(200us);
    this->self_ = Base::kRescuer;
    { auto lease = queue_.try_lease(); }
    (void)push_one();
    (void)pop_one(1ms);
    (void)pop_one(1ms);
    if constexpr (kParcels) (void)QueueBlocks(attachment()).owned_after_recovery();
  }

  void loosen() override { exact_ = false; }

  std::string window(pid_t victim) override {
    const LeaseView view = this->view();
    gone_ = before_ - std::min(before_, view.inside());
    if (gone_ != 0) return "gone";
    std::string found = "before";
    for (std::uint32_t i = 0; i < view.count(); ++i) {
      const Cell word = view.word(i);
      if (word.state == State::kReturned) {
        const bool marked = (view.ring().head.load() & layout::HeadWord::kReturned) != 0;
        if (found == "before") found = marked ? "returned" : "unmarked";
      } else if (word.state != State::kEmpty && is_of(victim, word)) {
        found =
            word.state == State::kHeld ? (view.named(i) ? "confirmed" : "held") : (view.named(i) ? "named" : "claimed");
      } else if (word.state == State::kHeld && found == "before") {
        found = "dead's";
      }
    }
    return found;
  }

  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    this->log_outcome();
    drain();
    this->verdict_.recovery = std::chrono::steady_clock::now() - begin;
    serve_on();
    close_and_look();
    if constexpr (kParcels) {
      if (const std::size_t left = QueueBlocks(attachment()).owned_after_recovery(); left != 0) {
        this->fault(Fault::Kind::kLeft, std::to_string(left) + " blocks are nobody's");
      }
    }
    const Account account = this->settle_account();
    // What comes back comes late where others went on.
    std::erase_if(this->verdict_.faults, [](const Fault& f) { return f.kind == Fault::Kind::kDisordered; });
    const std::size_t taken_along = this->outcome_->done || !operation_.takes ? 0 : gone_;
    if (exact_ && !finished && account.lost != taken_along) {
      this->fault(Fault::Kind::kLost,
                  std::to_string(account.lost) + " gone, " + std::to_string(taken_along) + " taken along");
    }
    return this->verdict_;
  }

 protected:
  detail::Attachment& attachment() const { return Reach::attachment(queue_); }
  LeaseView view() const { return {attachment(), kWords}; }

 private:
  static Queue<T> make_queue(const LeaseState& state) {
    detail::elastic_tuning().chunk_bytes = 1;
    detail::elastic_tuning().most_chunks = 4;
    return Queue<T>::create({.capacity = state.unbounded ? 0 : kCapacity}).value();
  }
  bool push_one() { return Base::push_one(queue_, 0ms); }
  bool pop_one(std::chrono::nanoseconds patience) { return Base::pop_one(queue_, patience); }
  bool is_of(pid_t pid, const Cell& word) const {
    const auto identity = layout::LaneIdentity::from(attachment().lane(word.lane).identity.load());
    return identity.pid == static_cast<std::uint32_t>(pid) && identity.generation == word.generation;
  }

  // Its lane is swept already: what is left are its cells.
  void leave_dead_lease() {
    if (!push_one()) this->fault(Fault::Kind::kOther, "no room");
    Child holder([&]() -> int {
      if (state_.dead == Dead::kHolder) {
        auto lease = queue_.try_lease();
        ::kill(::getpid(), SIGKILL);
      }
      detail::LeaseCells cells = view().cells();
      detail::Seat& seat = attachment().seat();
      auto claim = cells.claim(seat, attachment().process_lane(seat));
      std::uint64_t h = view().ring().head.load();
      std::array<std::uint64_t, kWords> words;
      std::memcpy(words.data(), slot(h) + 1, sizeof words);
      cells.fill(*claim, h, words);
      if (state_.dead == Dead::kNamed) {
        view().ring().head.compare_exchange_strong(h, layout::HeadWord::naming(claim->index, h + 1));
      }
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    (void)holder.join();
    (void)attachment().sweep();
  }
  const std::uint64_t* slot(std::uint64_t position) const {
    const layout::MpmcRingHeader& header = view().ring();
    return reinterpret_cast<const std::uint64_t*>(reinterpret_cast<const std::byte*>(&header + 1) +
                                                  (position & (header.slot_count - 1)) * header.slot_bytes);
  }

  void drain() {
    const auto drained = [&] { return pop_one(300us), view().inside() == 0; };
    if (!eventually(drained, this->patience_)) {
      this->fault(Fault::Kind::kHung, std::to_string(view().inside()) + " items do not come out");
    }
  }

  void serve_on() {
    for (std::size_t i = 0; i < 2 * kCapacity + 1; ++i) {
      if (!push_one()) return this->fault(Fault::Kind::kHung, "an empty queue takes no item");
      this->log(Base::kSurvivor).pop_begins();
      auto lease = queue_.try_lease_for(this->patience_);
      if (!lease) return this->fault(Fault::Kind::kHung, "an item is not to be had on lease");
      if (i % 2 == 0) {
        lease.give_back();
        lease = queue_.try_lease_for(this->patience_);
        if (!lease || lease.attempt() != 2) return this->fault(Fault::Kind::kOther, "it does not come back");
      }
      this->log(Base::kSurvivor).popped(id_of(*lease));
      this->log(Base::kSurvivor).pop_ends();
      lease.ack();
    }
  }

  void close_and_look() {
    queue_.close();
    if (!eventually([&] { return queue_.drained(); }, this->patience_)) {
      this->fault(Fault::Kind::kHung, "it never says that it is drained");
    }
    this->expect_lanes_freed(attachment());
    if (pop_one(0ms)) this->fault(Fault::Kind::kOther, "a drained queue gave an item");
    if (const std::size_t left = view().in_use(); left != 0) {
      this->fault(Fault::Kind::kLeft, std::to_string(left) + " cells are nobody's");
    }
  }

  LeaseState state_;
  LeaseOperation<Q> operation_;
  Q queue_;
  std::size_t before_ = 0, gone_ = 0;
  bool exact_ = true;
};

}  // namespace warren::test
