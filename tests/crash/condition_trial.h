// One operation on a Condition in one state, its victim, and the survivors' checks: nobody sleeps beside an item of
// which anybody was told.
#pragma once
#include <warren/ipc/condition.h>

#include "crash/sync_trial.h"

namespace warren::test {

struct ConditionState {
  const char* name;
  Waiters waiters = Waiters::kNone;
  bool plain = false;  // they wait without a predicate: notified, or for ever
};

class ConditionTrial;
struct ConditionOperation {
  const char* name;
  void (*run)(ConditionTrial& trial);
  int puts;  // items, when it has ended; < 0: takes
};

class ConditionTrial : public SyncTrial {
 public:
  ConditionTrial(const ConditionState& state, const ConditionOperation& operation)
      : state_(state),
        operation_(operation),
        mutex_(Mutex::create().value()),
        condition_(Condition::create().value()) {}
  // After construction: a trial may want other bystanders.
  void put_waiters_to_sleep() {
    if (state_.waiters == Waiters::kAsleep) add_taker();
  }

  // --- what victims do

  Condition& condition() { return condition_; }
  Mutex& mutex() { return mutex_; }
  layout::Condition& words() { return *reinterpret_cast<layout::Condition*>(Reach::attachment(condition_).object()); }
  void put() {
    const std::scoped_lock guard(mutex_);
    ++*items_;
  }
  void take() {
    std::unique_lock lock(mutex_);
    wait(lock);
    --*items_;
  }

  // --- Trial

  void warm() override {
    set_waits(kPatience);  // so that it is found asleep
    (void)Reach::attachment(condition_).seat();
    (void)Reach::attachment(mutex_).seat();
  }
  void operation() override { operation_.run(*this); }
  void wake_victim() override {
    if (put_meanwhile_ && *items_ > 0) fault(Fault::Kind::kHung, "the victim sleeps beside an item");
    if (state_.waiters == Waiters::kLater && bystanders_.empty()) add_taker();
    give();  // to who has slept for longest
  }
  std::string window(pid_t) override {
    const bool held = layout::MutexState::from(mutex_state()).held;
    return std::to_string(items_->load()) + (words().notified.load() != 0 ? ", notified" : "") + (held ? ", held" : "");
  }
  // The victim stands still: another one waits, or for the mutex first; or it puts what the victim waits for.
  void interfere() override {
    if (operation_.puts > 0) return add_taker();
    if (operation_.puts == 0 || !mutex_.try_lock_for(1ms)) return;
    put_meanwhile_ = true;
    ++*items_;
    ++expected_;
    mutex_.unlock();
    condition_.notify_one();
  }
  void rescue() override {
    set_waits(200us);
    std::unique_lock lock(mutex_);
    mutex_.consistent();
    (void)condition_.wait_for(lock, 0s);
    condition_.notify_one();
    condition_.notify_all();
  }
  void loosen() override { loose_ = true; }
  Verdict survive(bool finished) override {
    set_waits(200us);
    const auto begin = std::chrono::steady_clock::now();
    repair();
    // Whoever waits without a predicate does not see what nobody was told of.
    if (state_.plain && words().notified.load() == 0) condition_.notify_one();
    if (!eventually([&] { return nothing_to_take(); }, patience_)) {
      fault(Fault::Kind::kHung, "a bystander sleeps beside an item");
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    const std::size_t left_asleep = takers_asleep();
    expected_ -= static_cast<int>(bystanders_.size());  // each takes one, sooner or later
    for (std::size_t i = 0; i < left_asleep; ++i) give();
    see_bystanders_off();
    check_account(finished);
    check_it_works();
    expect_lanes_freed(Reach::attachment(condition_));
    expect_lanes_freed(Reach::attachment(mutex_));
    return verdict_;
  }

 private:
  std::uint64_t mutex_state() {
    return reinterpret_cast<layout::Mutex*>(Reach::attachment(mutex_).object())->state.load();
  }
  void wait(std::unique_lock<Mutex>& lock) {
    if (!state_.plain) return condition_.wait(lock, [&] { return *items_ > 0; });
    while (*items_ == 0) condition_.wait(lock);
  }
  void add_taker() {
    add_bystander([this] { take(); });
  }
  void give() {
    repair();
    put();
    ++expected_;
    condition_.notify_one();
  }
  // From a dead owner, within the stall.
  void repair() {
    if (!mutex_.try_lock_for(kPatience)) return fault(Fault::Kind::kHung, "nobody gets the mutex any more");
    mutex_.consistent();
    mutex_.unlock();
  }
  [[nodiscard]] std::size_t takers_asleep() const {
    std::size_t count = 0;
    for (const Child& taker : bystanders_) count += sleeps(taker.pid());
    return count;
  }
  // Nobody sleeps, or there is nothing; whoever is on the way has arrived.
  [[nodiscard]] bool nothing_to_take() const {
    std::size_t asleep = 0, gone = 0;
    const bool none = *items_ == 0;
    for (const Child& taker : bystanders_) {
      const bool sleeping = sleeps(taker.pid());
      asleep += sleeping;
      gone += !sleeping && process_state(taker.pid()) == 'Z';
    }
    return asleep + gone == bystanders_.size() && (none || asleep == 0);
  }
  void check_account(bool finished) {
    const int found = *items_;
    if (loose_ || found == expected_ + operation_.puts || (!finished && found == expected_)) return;
    fault(found < expected_ ? Fault::Kind::kLost : Fault::Kind::kDoubled,
          std::to_string(found) + " items where " + std::to_string(expected_) + " were without the victim");
  }
  void check_it_works() {
    *items_ = 0;
    {
      std::unique_lock lock(mutex_);
      if (condition_.wait_for(lock, 1ms)) fault(Fault::Kind::kOther, "notified, and nobody did");
    }
    add_taker();
    put();
    condition_.notify_one();
    see_bystanders_off();
  }

  ConditionState state_;
  ConditionOperation operation_;
  Mutex mutex_;
  Condition condition_;
  Shared<std::atomic<int>> items_{0};  // guarded by the mutex
  int expected_ = 0;                   // items, but for what the victim did
  bool put_meanwhile_ = false;
  bool loose_ = false;
};

inline constexpr ConditionOperation kPutOne{
    .name = "put_and_notify_one", .run = [](ConditionTrial& t) { t.put(), t.condition().notify_one(); }, .puts = 1};
inline constexpr ConditionOperation kPutForAll{
    .name = "put_and_notify_all", .run = [](ConditionTrial& t) { t.put(), t.condition().notify_all(); }, .puts = 1};
inline constexpr ConditionOperation kNotifyAll{
    .name = "notify_all", .run = [](ConditionTrial& t) { t.condition().notify_all(); }, .puts = 0};
inline constexpr ConditionOperation kTake{.name = "take", .run = [](ConditionTrial& t) { t.take(); }, .puts = -1};
inline constexpr ConditionOperation kGiveUp{.name = "wait_for_0",
                                            .run =
                                                [](ConditionTrial& t) {
                                                  std::unique_lock lock(t.mutex());
                                                  (void)t.condition().wait_for(lock, 0s);
                                                },
                                            .puts = 0};

inline constexpr ConditionState kNobodyWaits{.name = "nobody"};
inline constexpr ConditionState kOneTakes{.name = "one_waits", .waiters = Waiters::kAsleep};
inline constexpr ConditionState kOneTakesTold{.name = "one_waits_plainly", .waiters = Waiters::kAsleep, .plain = true};
inline constexpr ConditionState kOneTakesLater{.name = "one_comes", .waiters = Waiters::kLater};
inline constexpr ConditionState kOneTakesLaterTold{
    .name = "one_comes_plainly", .waiters = Waiters::kLater, .plain = true};

template <class T = ConditionTrial>
std::unique_ptr<Trial> make_condition_trial(const ConditionState& state, const ConditionOperation& operation) {
  auto trial = std::make_unique<T>(state, operation);
  trial->put_waiters_to_sleep();
  return trial;
}

}  // namespace warren::test
