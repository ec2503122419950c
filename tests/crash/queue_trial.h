// One operation on a Queue in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/queue.h>
#include <warren/layout/mpmc_ring.h>

#include <csignal>
#include <utility>

#include "crash/shared_trial.h"

namespace warren::test {

inline constexpr std::size_t kQueueCapacity = 4;

struct QueueState {
  const char* name;
  std::size_t lead = 0;     // items that went through before: where in the ring it begins
  bool dead_first = false;  // the first claim is a dead producer's
  std::size_t items = 0;    // in the queue
  bool dead_last = false;   // the last claim is a dead producer's
  enum class Asleep { kNobody, kConsumer, kProducer } asleep = Asleep::kNobody;
  bool unbounded = false;  // with chunks of two slots
};

// What the victim does.
template <class Q>
struct QueueOperation {
  using T = typename Q::value_type;

  const char* name;
  std::size_t pushes = 0, pops = 0;  // items, at most
  bool closes = false;
  std::size_t (*run)(Q& queue, std::span<const T> items, std::span<T> out) = nullptr;
  bool cold = false;  // the first call of a process: claims its lanes on the way
};

// Q: Queue<Item<N>>, or something broken that is made from one.
template <std::size_t N, class Q = Queue<Item<N>>>
class QueueTrial : public SharedTrial<N> {
  using Base = SharedTrial<N>;
  using typename Base::Side;
  using typename Base::T;
  using Asleep = QueueState::Asleep;

 public:
  QueueTrial(const QueueState& state, const QueueOperation<Q>& operation, std::chrono::nanoseconds patience = kPatience)
      : state_(state), operation_(operation), queue_(make_queue(state)) {
    this->patience_ = patience;
    set_waits(200us);
    for (std::size_t i = 0; i < state.lead; ++i) (void)(push_one() && pop_one());
    if (state.dead_first) leave_dead_claim();
    for (std::size_t i = 0; i < state.items; ++i) (void)push_one();
    if (state.dead_last) leave_dead_claim();
    if (state.asleep == Asleep::kConsumer) this->put_bystander_to_sleep(queue_, Side::kPops, header().not_empty);
    if (state.asleep == Asleep::kProducer) this->put_bystander_to_sleep(queue_, Side::kPushes, header().not_full);
    if (operation.pushes != 0) this->victim_pushes(operation.pushes);
    if (operation.pops != 0) this->victim_pops(operation.pops);
    head_before_ = head();
    tail_before_ = tail();
  }

  void warm() override {
    set_waits(200ms);  // so that it is found asleep
    if (operation_.cold) return;
    (void)attachment().seat();
    if (!state_.dead_first || operation_.pops == 0) return;
    (void)queue_.try_pop();  // sees the dead claim, and waits before it asks who holds it
    ::usleep(400);
  }

  void operation() override { this->report(operation_.run(queue_, this->items(), this->outcome_->items)); }

  void wake_victim() override {
    if (operation_.pushes != 0) (void)pop_one(5ms);
    if (operation_.pops != 0) (void)push_one(5ms);
  }

  // Consumers that find a claim standing come back often enough to bury it, if they could.
  void interfere() override {
    loosen();
    for (int i = 0; i < 3; ++i) {
      (void)pop_one(0ms);
      ::usleep(300);
    }
    (void)push_one(0ms);
    if (!state_.unbounded) return;
    for (std::size_t i = 0; i < 7; ++i) (void)push_one(0ms), (void)pop_one(0ms);
    for (std::size_t i = 0; i < 2; ++i)
      (void)push_one(0ms);  // just where the victim would have pushed, a directory later
  }

  void rescue() override {
    set_waits(200us);
    this->self_ = Base::kRescuer;
    drain();
    (void)attachment().sweep();
    for (int i = 0; i < 2; ++i) (void)push_one(0ms);
    (void)pop_one(0ms);
    std::array<T, kMostAtOnce> out;
    this->log(this->self_).pop_begins(out.size());
    const std::size_t got = queue_.try_pop_n(out);
    for (const T& item : std::span(out).first(got)) this->log(this->self_).popped(id_of(item));
    this->log(this->self_).pop_ends();
  }

  void loosen() override { exact_ = false; }

  std::string window(pid_t victim) override {
    const std::uint64_t announced = announcement_of(attachment(), victim);
    for (std::uint64_t p = tail_before_; p < tail(); ++p) committed_ += sequence(p) == layout::committed(p);
    for (std::uint64_t p = head_before_; p < head(); ++p) taken_ += sequence(p) != layout::buried(p);
    if (operation_.closes) return queue_.closed() ? "closed" : "before";
    if (operation_.pushes != 0) {
      const std::uint64_t last = tail() - 1;
      if (announced == tail() + 1) return "announced";
      if (tail() == tail_before_) return state_.unbounded ? chunk_window() : "before";
      if (sequence(last) != layout::committed(last)) return "claimed";
      return announced != 0 ? "committed" : "after";
    }
    if (taken_ != 0) return "taken";
    if (head() != head_before_) return "passed";
    return sequence(head()) == layout::buried(head()) ? "buried" : "before";
  }

  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    this->log_outcome();
    serve_bystander();
    drain();
    this->verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (!queue_.closed()) serve_on();
    close_and_look();
    this->verdict_.buried = queue_.stats().buried;
    this->expect_lanes_freed(attachment());
    const Account account = this->settle_account();
    if (exact_ && !finished)
      this->expect_exactly(account, operation_.pushes != 0, operation_.pops != 0, committed_, taken_);
    return this->verdict_;
  }

 protected:
  detail::Attachment& attachment() const { return Reach::attachment(queue_); }

 private:
  static constexpr std::size_t kFront = detail::kInSlot<T> ? sizeof(layout::MpmcRingHeader) : layout::kParcelFront;
  static Queue<T> make_queue(const QueueState& state) {
    detail::elastic_tuning().chunk_bytes = 1;
    detail::elastic_tuning().most_chunks = 4;  // the directory is soon gone round
    return Queue<T>::create({.capacity = state.unbounded ? 0 : kQueueCapacity}).value();
  }
  detail::ElasticSlots elastic() const {
    return {attachment(),
            header(),
            {.chunk_count = header().chunk_count, .chunk_slots = header().chunk_slots},
            header().slot_bytes,
            kFront};
  }
  bool push_one() { return Base::push_one(queue_, this->patience_); }
  bool push_one(std::chrono::nanoseconds patience) { return Base::push_one(queue_, patience); }
  bool pop_one() { return Base::pop_one(queue_, this->patience_); }
  bool pop_one(std::chrono::nanoseconds patience) { return Base::pop_one(queue_, patience); }
  layout::MpmcRingHeader& header() const { return *reinterpret_cast<layout::MpmcRingHeader*>(attachment().object()); }
  std::byte* behind_headers() const { return reinterpret_cast<std::byte*>(&header()) + kFront; }
  std::uint64_t tail() const { return header().tail.load() & ~layout::kClosedBit; }
  std::uint64_t head() const { return header().head.load(); }
  std::byte* slot(std::uint64_t position) const {
    if (state_.unbounded) return elastic().find(position);
    return behind_headers() + (position & (header().slot_count - 1)) * header().slot_bytes;
  }
  std::uint64_t sequence(std::uint64_t position) const {
    const std::byte* const place = slot(position);
    return place == nullptr ? 0 : reinterpret_cast<const std::atomic<std::uint64_t>*>(place)->load();
  }

  // How far the victim's next run has got.
  std::string chunk_window() const {
    const auto* const words = reinterpret_cast<const std::atomic<std::uint64_t>*>(behind_headers());
    const std::uint64_t run = tail() / header().chunk_slots;
    if (layout::ChunkEntry::from(words[run % header().chunk_count].load()).is_of(run)) return "entered";
    for (std::uint64_t i = 0; i < header().chunk_count; ++i) {
      if (words[header().chunk_count + i].load() == run + 1) return "chunk claimed";
    }
    return "before";
  }

  // Takes a producer's steps up to the middle of its payload, and dies.
  void leave_dead_claim() {
    const ItemId id = this->log(Base::kEarlier).push_begins();
    Child producer([&]() -> int {
      layout::Lane& lane = *attachment().seat().lane;
      std::uint64_t t = tail();
      if (state_.unbounded) (void)elastic().provide(t);
      lane.announcement.store(t + 1);
      header().tail.compare_exchange_strong(t, t + 1);
      reinterpret_cast<std::uint64_t*>(slot(t))[1] = make_item<N>(id).words[0];
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    (void)producer.join();
  }

  // Pushes (pops) what it waits for where the victim did not get that far.
  void serve_bystander() {
    if (!this->bystander_) return;
    const bool served = exact_ && (this->outcome_->done || committed_ + taken_ != 0);  // else somebody else may have it
    if (state_.asleep == Asleep::kConsumer && !served) (void)push_one();
    if (state_.asleep == Asleep::kProducer && !served) (void)pop_one();
    this->see_bystander_off();
  }

  void drain() {
    const auto drained = [&] { return pop_one(300us), head() >= tail(); };
    if (head() < tail() && !eventually(drained, this->patience_)) {
      this->fault(Fault::Kind::kHung, std::to_string(tail() - head()) + " claims neither come out nor are buried");
    }
  }

  void serve_on() {
    for (std::size_t i = 0; i < 2 * kQueueCapacity + 1; ++i) {
      if (!push_one()) return this->fault(Fault::Kind::kHung, "an empty queue takes no item");
      if (!pop_one()) return this->fault(Fault::Kind::kHung, "an item does not come out");
    }
    for (std::size_t i = 0; i < kQueueCapacity; ++i) {
      if (!push_one(0ms)) this->fault(Fault::Kind::kLost, "room for an item is lost");
    }
    if (state_.unbounded) {
      if (header().chunks_committed > 4) this->fault(Fault::Kind::kLeft, "chunks that nobody uses");
    } else if (push_one(0ms)) {
      this->fault(Fault::Kind::kOther, "a full queue took an item");
    }
    std::array<T, kMostAtOnce> out;
    this->log(Base::kSurvivor).pop_begins(out.size());
    const std::size_t got = queue_.try_pop_n(out);
    for (const T& item : std::span(out).first(got)) this->log(Base::kSurvivor).popped(id_of(item));
    this->log(Base::kSurvivor).pop_ends();
    drain();
  }

  void close_and_look() {
    queue_.close();
    if (push_one(0ms)) this->fault(Fault::Kind::kOther, "a closed queue took an item");
    if (!eventually([&] { return queue_.drained(); }, this->patience_)) {
      this->fault(Fault::Kind::kHung, "it never says that it is drained");
    }
    if (pop_one(0ms)) this->fault(Fault::Kind::kOther, "a drained queue gave an item");
  }

  QueueState state_;
  QueueOperation<Q> operation_;
  Q queue_;
  std::uint64_t head_before_ = 0, tail_before_ = 0;
  std::size_t committed_ = 0, taken_ = 0;  // by the victim
  bool exact_ = true;
};

}  // namespace warren::test
