// One operation on a Semaphore in one state, its victim, and the survivors' checks: every permit is accounted for.
#pragma once
#include <warren/ipc/semaphore.h>

#include "crash/sync_trial.h"

namespace warren::test {

struct SemaphoreState {
  const char* name;
  std::uint32_t permits = 0;
  Waiters waiters = Waiters::kNone;
};

class SemaphoreTrial;
struct SemaphoreOperation {
  const char* name;
  void (*run)(SemaphoreTrial& trial);
  int gives;            // permits, when it has ended; < 0: takes
  int takes_along = 0;  // that it holds meanwhile: the dead keep them
};

class SemaphoreTrial : public SyncTrial {
 public:
  SemaphoreTrial(const SemaphoreState& state, const SemaphoreOperation& operation)
      : operation_(operation),
        semaphore_(Semaphore::create(state.permits).value()),
        waiters_(state.waiters),
        expected_(state.permits) {}
  // After construction: a trial may want other bystanders.
  void put_waiters_to_sleep() {
    if (waiters_ == Waiters::kAsleep) add_taker();
  }

  Semaphore& semaphore() { return semaphore_; }
  layout::Semaphore& words() { return *reinterpret_cast<layout::Semaphore*>(Reach::attachment(semaphore_).object()); }

  // --- Trial

  void warm() override {
    set_waits(kPatience);  // so that it is found asleep
    (void)Reach::attachment(semaphore_).seat();
  }
  void operation() override { operation_.run(*this); }
  void wake_victim() override {
    if (given_meanwhile_ && semaphore_.approx_value() > 0)
      fault(Fault::Kind::kHung, "the victim sleeps beside a permit");
    if (waiters_ == Waiters::kLater && bystanders_.empty()) add_taker();
    give(1);  // to who has slept for longest
  }
  std::string window(pid_t) override { return "free " + std::to_string(semaphore_.approx_value()); }
  // The victim stands still: another one takes a permit, or waits for it, or gives what the victim waits for.
  void interfere() override {
    if (semaphore_.try_acquire()) {
      --expected_;
    } else if (operation_.gives > 0) {
      add_taker();
    } else if (operation_.gives < 0) {
      given_meanwhile_ = true;
      give(1);
    }
  }
  void rescue() override {
    set_waits(200us);
    semaphore_.release();
    (void)semaphore_.try_acquire();
  }
  void loosen() override { loose_ = true; }
  Verdict survive(bool finished) override {
    set_waits(200us);
    const auto begin = std::chrono::steady_clock::now();
    if (!eventually([&] { return nothing_to_take(); }, patience_)) {
      fault(Fault::Kind::kHung, "a bystander sleeps beside a permit");
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    const std::size_t left_asleep = takers_asleep();
    expected_ -= static_cast<std::int64_t>(bystanders_.size());  // each takes one, sooner or later
    for (std::size_t i = 0; i < left_asleep; ++i) give(1);
    see_bystanders_off();
    check_account(finished);
    check_it_works();
    expect_lanes_freed(Reach::attachment(semaphore_));
    return verdict_;
  }

 private:
  void add_taker() {
    add_bystander([this] { semaphore_.acquire(); });
  }
  void give(std::uint32_t permits) {
    semaphore_.release(permits);
    expected_ += permits;
  }
  [[nodiscard]] std::size_t takers_asleep() const {
    std::size_t count = 0;
    for (const Child& taker : bystanders_) count += sleeps(taker.pid());
    return count;
  }
  // Nobody sleeps, or there is nothing; whoever is on the way has arrived.
  [[nodiscard]] bool nothing_to_take() const {
    std::size_t asleep = 0, gone = 0;
    const bool none = semaphore_.approx_value() == 0;
    for (const Child& taker : bystanders_) {
      const bool sleeping = sleeps(taker.pid());
      asleep += sleeping;
      gone += !sleeping && process_state(taker.pid()) == 'Z';
    }
    return asleep + gone == bystanders_.size() && (none || asleep == 0);
  }
  void check_account(bool finished) {
    const auto found = static_cast<std::int64_t>(semaphore_.approx_value());
    const bool as_if_done = found == expected_ + operation_.gives, as_if_not_begun = found == expected_;
    const bool taken_along = found == expected_ - operation_.takes_along;
    if (loose_ || as_if_done || (!finished && (as_if_not_begun || taken_along))) return;
    fault(found < expected_ ? Fault::Kind::kLost : Fault::Kind::kDoubled,
          std::to_string(found) + " permits where " + std::to_string(expected_) + " were before the victim came");
  }
  void check_it_works() {
    while (semaphore_.try_acquire()) {
    }
    if (semaphore_.try_acquire_for(1ms)) fault(Fault::Kind::kDoubled, "a permit");
    add_taker();
    semaphore_.release(2);
    see_bystanders_off();
    if (semaphore_.approx_value() != 1) fault(Fault::Kind::kLost, "one of two permits");
  }

  SemaphoreOperation operation_;
  Semaphore semaphore_;
  Waiters waiters_;
  std::int64_t expected_;  // free, but for what the victim did
  bool given_meanwhile_ = false;
  bool loose_ = false;
};

inline constexpr SemaphoreOperation kAcquire{
    .name = "acquire", .run = [](SemaphoreTrial& t) { t.semaphore().acquire(); }, .gives = -1};
inline constexpr SemaphoreOperation kTryInVain{
    .name = "try_acquire_for_0", .run = [](SemaphoreTrial& t) { (void)t.semaphore().try_acquire_for(0s); }, .gives = 0};
inline constexpr SemaphoreOperation kReleaseOne{
    .name = "release", .run = [](SemaphoreTrial& t) { t.semaphore().release(); }, .gives = 1};
inline constexpr SemaphoreOperation kReleaseTwo{
    .name = "release_2", .run = [](SemaphoreTrial& t) { t.semaphore().release(2); }, .gives = 2};
inline constexpr SemaphoreOperation kHold{.name = "permit",
                                          .run = [](SemaphoreTrial& t) { const Permit permit(t.semaphore()); },
                                          .gives = 0,
                                          .takes_along = 1};

inline constexpr SemaphoreState kNoPermits{.name = "none"};
inline constexpr SemaphoreState kTwoPermits{.name = "two", .permits = 2};
inline constexpr SemaphoreState kOneWaits{.name = "one_waits", .waiters = Waiters::kAsleep};
inline constexpr SemaphoreState kOneComes{.name = "one_comes", .waiters = Waiters::kLater};

template <class T = SemaphoreTrial>
std::unique_ptr<Trial> make_semaphore_trial(const SemaphoreState& state, const SemaphoreOperation& operation) {
  auto trial = std::make_unique<T>(state, operation);
  trial->put_waiters_to_sleep();
  return trial;
}

}  // namespace warren::test
