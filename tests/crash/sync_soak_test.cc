// Random kills on what is locked, counted and waited for: processes die at crash points with some chance, and of
// SIGKILL from outside at any moment, are stopped for a while, and replaced. The history of what all of them began and
// ended must be one that can be (support/sync_history.h). For WARREN_SOAK_SECONDS, 4 ordinarily.
#include <gtest/gtest.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/event.h>
#include <warren/ipc/latch.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/semaphore.h>
#include <warren/ipc/shared_mutex.h>
#include <warren/ipc/value.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "crash/shared_trial.h"
#include "support/crash_points.h"
#include "support/sync_history.h"

namespace warren::test {
namespace {

using Clock = std::chrono::steady_clock;
using Random = std::minstd_rand;
using Verb = SyncOp::Verb;

constexpr auto kRound = 120ms;
constexpr int kSubjects = 11;  // that share the time

std::chrono::duration<double> time_for_each() {
  const char* const seconds = std::getenv("WARREN_SOAK_SECONDS");
  return std::chrono::duration<double>(seconds != nullptr ? std::strtod(seconds, nullptr) : 4.0) / kSubjects;
}

struct Totals {
  std::size_t rounds = 0, operations = 0, deaths = 0, from_outside = 0, stops = 0;
};

// Processes that do one step after the other until they are told to stop, and die meanwhile.
class Crowd {
 public:
  // What the process at a place does, again and again, under a number of its own.
  using Step = std::function<void(std::size_t place, std::size_t actor, Random& random)>;

  Crowd(std::size_t places, std::uint32_t seed, Totals& totals, Step step)
      : random_(seed), totals_(totals), step_(std::move(step)), places_(places), actors_(places) {}

  SyncHistory& history() noexcept { return history_; }
  [[nodiscard]] std::size_t parent() const noexcept { return kParent; }

  // Nobody is killed or stopped before this returns.
  void spare_until(std::function<void()> ready) { ready_ = std::move(ready); }
  [[nodiscard]] std::size_t deaths() const noexcept { return deaths_; }

  // `replaced`: others come for the dead. `help` is called again and again while the last ones end.
  void run(
      std::chrono::nanoseconds time, bool replaced, const std::function<void()>& help = [] {}) {
    for (std::size_t i = 0; i < places_.size(); ++i) spawn(i);
    ready_();
    const auto end = Clock::now() + time;
    while (Clock::now() < end && !history_.full()) {
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3000));
      const bool died = disturb(random_() % places_.size());
      for (std::size_t i = 0; i < places_.size(); ++i) see_to(i, replaced);
      if (died && !replaced) break;
    }
    finish(help);
    ++totals_.rounds;
    totals_.deaths += deaths_;
  }

 private:
  static constexpr std::size_t kParent = 0;

  void spawn(std::size_t place) {
    const std::size_t actor = actors_[place] = ++last_actor_;
    const std::uint32_t seed = static_cast<std::uint32_t>(random_());
    places_[place].emplace([&] {
      set_waits(5ms);
      die_now_and_then(3000, seed);
      Random random(seed + 1);
      while (!stop_->load() && !history_.full()) step_(place, actor, random);
      live();
    });
  }

  // True: it has ended.
  bool see_to(std::size_t place, bool replaced) {
    if (!places_[place]) return true;
    if (process_state(places_[place]->pid()) != 'Z') return false;
    const Ended end = places_[place]->join();
    EXPECT_EQ(end.code, 0) << "an expectation failed at place " << place;
    if (end.signal == SIGKILL) {
      // Those that were killed from outside were said to be.
      history_.was_found_dead(actors_[place]);
      ++deaths_;
      if (replaced) return spawn(place), false;
    }
    places_[place].reset();
    return true;
  }

  // True: it was killed.
  bool disturb(std::size_t place) {
    if (!places_[place]) return false;
    Child& victim = *places_[place];
    if (random_() % 4 == 0) {
      victim.signal(SIGSTOP);
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2000));
      victim.go_on();
      ++totals_.stops;
      return false;
    }
    history_.is_killed(actors_[place]);
    victim.kill_but_not_reap();
    ++totals_.from_outside;
    return true;
  }

  void finish(const std::function<void()>& help) {
    *stop_ = true;
    const auto all_ended = [&] {
      help();
      bool all = true;
      for (std::size_t i = 0; i < places_.size(); ++i) all = see_to(i, false) && all;
      return all;
    };
    EXPECT_TRUE(eventually(all_ended, kPatience)) << "somebody hangs";
    places_.clear();
  }

  std::mt19937 random_;
  Totals& totals_;
  Step step_;
  std::function<void()> ready_ = [] {};
  std::size_t deaths_ = 0;
  SyncHistory history_;
  Shared<std::atomic<bool>> stop_{false};
  std::vector<std::optional<Child>> places_;
  std::vector<std::size_t> actors_;  // by place: who is there
  std::size_t last_actor_ = kParent;
};

void expect_none(const Wrongs& wrongs) {
  for (const std::string& wrong : wrongs) ADD_FAILURE() << wrong;
}

// Round after round, each with a seed of its own.
void soak(const char* name, const std::function<void(std::uint32_t seed, Totals& totals)>& round) {
  set_waits(5ms);
  Totals totals;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(time_for_each());
  std::uint32_t seed = 1;
  do round(seed++, totals);
  while (Clock::now() < end && !testing::Test::HasFailure());
  std::cout << name << ": " << totals.rounds << " rounds, " << totals.operations << " operations, " << totals.deaths
            << " deaths, " << totals.from_outside << " of them from outside, " << totals.stops << " stops\n";
  EXPECT_GT(totals.deaths, 0u);
}

void dwell(Random& random) {
  for (auto i = random() % 200; i > 0; --i) detail::cpu_relax();
  if (random() % 16 == 0) ::sched_yield();
}

// --- locks -----------------------------------------------------------------------------------------------------------

constexpr std::int64_t kWhole = 1000;  // of a shared mutex; readers take one each

template <class M>
void lock_once(M& mutex, SyncHistory& history, std::size_t actor, std::int64_t much, Random& random) {
  const bool patient = random() % 2 == 0;
  history.begins(actor, Verb::kLock, much);
  bool got = true;
  bool shared = false;
  if constexpr (std::same_as<M, SharedMutex>) shared = much != kWhole;
  if (shared) {
    if constexpr (std::same_as<M, SharedMutex>) {
      patient ? mutex.lock_shared() : void(got = mutex.try_lock_shared_for(1ms));
    }
  } else {
    patient ? mutex.lock() : void(got = mutex.try_lock_for(1ms));
  }
  const bool told = got && mutex.owner_died();
  history.ends(actor, !got ? SyncOp::kNotGot : told ? SyncOp::kTold : SyncOp::kPlain);
  if (!got) return;
  if constexpr (std::same_as<M, RecursiveMutex>) {
    mutex.lock();
    dwell(random);
    (void)mutex.unlock();
  }
  dwell(random);
  EXPECT_EQ(told && !shared, !shared && mutex.consistent());
  history.begins(actor, Verb::kUnlock);
  if constexpr (std::same_as<M, SharedMutex>) {
    EXPECT_TRUE(shared ? mutex.unlock_shared() : mutex.unlock());
  } else {
    EXPECT_TRUE(mutex.unlock());
  }
  history.ends(actor);
}

template <class M>
void soak_lock(const char* name, std::int64_t whole) {
  soak(name, [&](std::uint32_t seed, Totals& totals) {
    auto mutex = M::create().value();
    SyncHistory* history = nullptr;
    Crowd crowd(4, seed, totals, [&](std::size_t place, std::size_t actor, Random& random) {
      lock_once(mutex, *history, actor, place < 2 ? whole : 1, random);
    });
    history = &crowd.history();
    crowd.run(kRound, true);
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(exclusion(ops, whole));
    expect_none(deaths_told(ops, whole));
  });
}

TEST(SyncSoak, Mutex) { soak_lock<Mutex>("Mutex", 1); }
TEST(SyncSoak, RecursiveMutex) { soak_lock<RecursiveMutex>("RecursiveMutex", 1); }
TEST(SyncSoak, SharedMutex) { soak_lock<SharedMutex>("SharedMutex", kWhole); }

// --- permits ---------------------------------------------------------------------------------------------------------

constexpr std::uint32_t kPermits = 3;

template <class S>
void soak_permits(const char* name, bool owned, const std::function<std::int64_t(S&)>& left) {
  soak(name, [&](std::uint32_t seed, Totals& totals) {
    auto semaphore = S::create(kPermits).value();
    SyncHistory* history = nullptr;
    Crowd crowd(5, seed, totals, [&](std::size_t, std::size_t actor, Random& random) {
      history->begins(actor, Verb::kLock, 1);
      const bool got = semaphore.try_acquire_for(2ms);
      history->ends(actor, got ? SyncOp::kPlain : SyncOp::kNotGot);
      if (!got) return;
      dwell(random);
      history->begins(actor, Verb::kUnlock);
      EXPECT_TRUE(semaphore.release());
      history->ends(actor);
    });
    history = &crowd.history();
    crowd.run(kRound, true);
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(exclusion(ops, kPermits));
    expect_none(permits_left(ops, kPermits, left(semaphore), owned));
  });
}

TEST(SyncSoak, Semaphore) {
  soak_permits<Semaphore>("Semaphore", false, [](Semaphore& s) { return std::int64_t{s.approx_value()}; });
}

TEST(SyncSoak, BoundedSemaphore) {
  soak_permits<BoundedSemaphore>("BoundedSemaphore", true, [](BoundedSemaphore& s) {
    std::int64_t left = 0;
    while (s.try_acquire_for(left < kPermits ? Timeout(kPatience) : Timeout(0s))) ++left;
    return left;
  });
}

// --- what is waited for ----------------------------------------------------------------------------------------------

TEST(SyncSoak, Event) {
  soak("Event", [](std::uint32_t seed, Totals& totals) {
    auto event = Event::create().value();
    SyncHistory* history = nullptr;
    const auto set = [&](std::size_t actor) {
      history->begins(actor, Verb::kSet);
      event.set();
      history->ends(actor);
    };
    Crowd crowd(5, seed, totals, [&](std::size_t place, std::size_t actor, Random& random) {
      if (place < 3) {
        history->begins(actor, Verb::kWait);
        event.wait();
        history->ends(actor, 1);
      } else {
        set(actor);
      }
      history->begins(actor, Verb::kClear);
      event.clear();
      history->ends(actor);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    });
    history = &crowd.history();
    crowd.run(kRound, true, [&] { set(crowd.parent()); });
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(waits_of_event(ops));
  });
}

// What is waited for is a number under a mutex: producers add to it, consumers take one away.
TEST(SyncSoak, Condition) {
  soak("Condition", [](std::uint32_t seed, Totals& totals) {
    auto mutex = Mutex::create().value();
    auto condition = Condition::create().value();
    const Shared<std::atomic<std::int64_t>> there(0);
    SyncHistory* history = nullptr;
    const auto add = [&](std::size_t actor) {
      history->begins(actor, Verb::kAdd, 1);
      {
        const std::scoped_lock lock(mutex);
        ++*there;  // one store: there is nothing to repair after a death
        (void)mutex.consistent();
      }
      condition.notify_one();
      history->ends(actor);
    };
    Crowd crowd(5, seed, totals, [&](std::size_t place, std::size_t actor, Random& random) {
      if (place < 2) return add(actor), dwell(random);
      history->begins(actor, Verb::kAdd, -1);
      std::unique_lock lock(mutex);
      condition.wait(lock, [&] { return (void)mutex.consistent(), there->load() > 0; });
      --*there;
      lock.unlock();
      history->ends(actor);
    });
    history = &crowd.history();
    crowd.run(kRound, true, [&] { add(crowd.parent()); });
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(additions(ops, there->load()));
  });
}

TEST(SyncSoak, Barrier) {
  soak("Barrier", [](std::uint32_t seed, Totals& totals) {
    constexpr std::size_t kParties = 4;
    auto barrier = Barrier::create(kParties).value();
    SyncHistory* history = nullptr;
    std::int64_t generation = 0;  // each process has its own
    Gate first;
    Crowd crowd(kParties, seed, totals, [&](std::size_t, std::size_t actor, Random& random) {
      if (generation == 0) live();  // nobody is told of who died before its first arrival
      history->begins(actor, Verb::kArrive, generation);
      const bool passed = barrier.arrive_and_wait().ok();
      history->ends(actor, passed ? 1 : 0);
      if (generation++ == 0) {
        first.arrive();
        die_now_and_then(3000, random());
      }
      dwell(random);
    });
    history = &crowd.history();
    crowd.spare_until([&] { first.wait_for(kParties); });
    crowd.run(kRound / 4, false, [&] {
      if (crowd.deaths() == 0) barrier.abort();  // who stopped first keeps the others waiting
    });
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(arrivals(ops, kParties));
  });
}

TEST(SyncSoak, Latch) {
  soak("Latch", [](std::uint32_t seed, Totals& totals) {
    constexpr std::int64_t kCount = 40;
    auto latch = Latch::create(kCount).value();
    SyncHistory* history = nullptr;
    const auto count_down = [&](std::size_t actor) {
      history->begins(actor, Verb::kAdd, 1);
      (void)latch.count_down();
      history->ends(actor);
    };
    Crowd crowd(5, seed, totals, [&](std::size_t place, std::size_t actor, Random& random) {
      if (place < 3) {
        count_down(actor);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
        return;
      }
      history->begins(actor, Verb::kWait);
      latch.wait();
      history->ends(actor, 1);
      std::this_thread::sleep_for(1ms);
    });
    history = &crowd.history();
    crowd.run(kRound / 4, true, [&] { count_down(crowd.parent()); });
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(counted_down(ops, kCount));
  });
}

// --- values ----------------------------------------------------------------------------------------------------------

struct Large {
  std::array<std::int64_t, 12> words{};
};

template <class T>
void soak_value(const char* name, const std::function<void(Value<T>&)>& add, const std::function<std::int64_t(T)>& of) {
  soak(name, [&](std::uint32_t seed, Totals& totals) {
    auto value = Value<T>::create().value();
    SyncHistory* history = nullptr;
    Crowd crowd(4, seed, totals, [&](std::size_t place, std::size_t actor, Random& random) {
      history->begins(actor, place < 2 ? Verb::kAdd : Verb::kRead, 1);
      if (place < 2) add(value);
      history->ends(actor, place < 2 ? 0 : of(value.load()));
      dwell(random);
    });
    history = &crowd.history();
    crowd.run(kRound, true);
    const SyncOps ops = history->ops();
    totals.operations += ops.size();
    expect_none(additions(ops, of(value.load())));
  });
}

TEST(SyncSoak, SmallValue) {
  soak_value<std::int64_t>(
      "Value, small", [](auto& v) { ++v; }, [](std::int64_t found) { return found; });
}

TEST(SyncSoak, LargeValue) {
  soak_value<Large>(
      "Value, large",
      [](auto& v) {
        (void)v.update([](Large& there) {
          for (std::int64_t& word : there.words) ++word;
        });
      },
      [](const Large& found) {
        const bool whole = std::ranges::all_of(found.words, [&](std::int64_t word) { return word == found.words[0]; });
        return whole ? found.words[0] : -1;
      });
}

// --- the controls: what is wrong is found ----------------------------------------------------------------------------

struct NoLock {
  void lock() noexcept {}
  bool try_lock_for(Timeout) noexcept { return true; }
  bool unlock() noexcept { return true; }
  bool owner_died() const noexcept { return false; }
  bool consistent() noexcept { return false; }
};

TEST(SyncSoakControl, ALockThatIsNoneIsFound) {
  set_waits(5ms);
  Totals totals;
  NoLock lock;
  SyncHistory* history = nullptr;
  Crowd crowd(4, 1, totals,
              [&](std::size_t, std::size_t actor, Random& random) { lock_once(lock, *history, actor, 1, random); });
  history = &crowd.history();
  crowd.run(4 * kRound, true);
  EXPECT_FALSE(exclusion(history->ops(), 1).empty()) << "two hold it at once";
}

TEST(SyncSoakControl, AnAdditionInTwoStepsIsFound) {
  set_waits(5ms);
  Totals totals;
  const Shared<std::atomic<std::int64_t>> value(0);
  SyncHistory* history = nullptr;
  Crowd crowd(4, 1, totals, [&](std::size_t, std::size_t actor, Random& random) {
    history->begins(actor, Verb::kAdd, 1);
    const std::int64_t found = value->load();
    dwell(random);
    value->store(found + 1);
    history->ends(actor);
  });
  history = &crowd.history();
  crowd.run(4 * kRound, true);
  EXPECT_FALSE(additions(history->ops(), value->load()).empty());
}

}  // namespace
}  // namespace warren::test
