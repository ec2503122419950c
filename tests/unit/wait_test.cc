// The wait word, and the spinning before the sleep.
#include <warren/ipc/detail/wait.h>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <warren/layout/lane.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/resources.h"

namespace warren::detail {
namespace {

using namespace std::chrono_literals;
using layout::WaitMode;
using std::chrono::steady_clock;
using test::Child;
using test::Gate;
using test::Shared;

using Word = std::atomic<std::uint32_t>;

// Longer than any test may take: who is not woken hangs, and the test's timeout tells.
constexpr std::chrono::nanoseconds kNoSlice = 1h;

class WaitWord : public ::testing::TestWithParam<WaitMode> {
 protected:
  void SetUp() override { ASSERT_TRUE(join_membarrier()); }
  // await() with slices that never come.
  template <class Test>
  bool await_word(Word& word, Deadline deadline, Test test) {
    Spinner spinner;
    return await(
        word, GetParam(), spinner, deadline, test, [] { return kNoSlice; }, [] {});
  }
  const WaitMode mode_ = GetParam();
};

INSTANTIATE_TEST_SUITE_P(Modes, WaitWord, ::testing::Values(WaitMode::kMembarrier, WaitMode::kFenced),
                         [](const auto& mode) {
                           return mode.param == WaitMode::kMembarrier ? "Membarrier" : "Fenced";
                         });

// A thread that sleeps on the word until somebody wakes it.
class Sleeper {
 public:
  Sleeper(Word& word, WaitMode mode)
      : thread_([this, &word, mode] {
          tid_.store(static_cast<pid_t>(::syscall(SYS_gettid)));
          (void)sleep_on(word, arm(word, mode), Deadline::never(), kNoSlice);
          awake_.store(true);
        }) {
    while (tid_.load() == 0) ::sched_yield();
    test::await_futex_sleep(::getpid(), tid_.load());
  }
  ~Sleeper() { thread_.join(); }
  [[nodiscard]] bool awake() const noexcept { return awake_.load(); }
  void await_awake() const noexcept {
    while (!awake()) ::sched_yield();
  }

 private:
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> awake_{false};
  std::thread thread_;
};

// --- the word --------------------------------------------------------------------------------------------------------

TEST_P(WaitWord, ArmSetsWAndKeepsTheSequence) {
  Word word{6};
  EXPECT_EQ(arm(word, mode_), 7u);
  EXPECT_EQ(word, 7u);
  EXPECT_EQ(arm(word, mode_), 7u);
}

TEST_P(WaitWord, NotifyWithoutWaitersChangesNothing) {
  Word word{6};
  notify(word, mode_, kWakeAll);
  notify(word, mode_, 1);
  EXPECT_EQ(word, 6u);
}

TEST_P(WaitWord, NotifyAllTakesWAndAdvances) {
  Word word{7};
  notify(word, mode_, kWakeAll);
  EXPECT_EQ(word, 8u);
}

TEST_P(WaitWord, NotifyOneThatFindsNobodyTakesWToo) {
  Word word{7};
  notify(word, mode_, 1);
  EXPECT_EQ(word & 1, 0u);
  EXPECT_NE(word, 6u) << "the sequence must not stand still";
}

TEST_P(WaitWord, NotifyOneLeavesWForWhoSleepsOn) {
  Word word{0};
  Sleeper a(word, mode_), b(word, mode_);
  notify(word, mode_, 1);
  while (!a.awake() && !b.awake()) ::sched_yield();
  EXPECT_EQ(word & 1, 1u);
  notify(word, mode_, 1);
  a.await_awake();
  b.await_awake();
}

TEST_P(WaitWord, NotifyWakesAsManyAsItIsFor) {
  Word word{0};
  Sleeper a(word, mode_), b(word, mode_);
  notify(word, mode_, 2);
  a.await_awake();
  b.await_awake();
}

TEST_P(WaitWord, NotifyAllWakesAll) {
  Word word{0};
  Sleeper a(word, mode_), b(word, mode_), c(word, mode_);
  notify(word, mode_, kWakeAll);
  a.await_awake();
  b.await_awake();
  c.await_awake();
  EXPECT_EQ(word & 1, 0u);
}

TEST_P(WaitWord, TheSequenceWraps) {
  Word word{0xffff'fffe};
  Sleeper a(word, mode_);
  EXPECT_EQ(word, 0xffff'ffffu);
  notify(word, mode_, kWakeAll);
  a.await_awake();
  EXPECT_EQ(word, 0u);
  word = 0xffff'fffe;
  Sleeper b(word, mode_);
  notify(word, mode_, 1);
  b.await_awake();
}

TEST_P(WaitWord, AWordThatChangedIsNotSleptOn) {
  Word word{0};
  const std::uint32_t armed = arm(word, mode_);
  notify(word, mode_, kWakeAll);
  EXPECT_EQ(sleep_on(word, armed, Deadline::never(), kNoSlice), Slept::kWoken);
}

TEST_P(WaitWord, ASleepLastsAsLongAsItWasTold) {
  Word word{0};
  const auto begin = steady_clock::now();
  EXPECT_EQ(sleep_on(word, arm(word, mode_), Deadline::never(), 40ms), Slept::kRanOut);
  EXPECT_GE(steady_clock::now() - begin, 40ms);
}

TEST_P(WaitWord, ADeadlineWithinTheSliceEndsTheSleep) {
  Word word{0};
  const auto begin = steady_clock::now();
  EXPECT_EQ(sleep_on(word, arm(word, mode_), Deadline::after(20ms), kNoSlice), Slept::kWoken);
  EXPECT_GE(steady_clock::now() - begin, 20ms);
}

TEST_P(WaitWord, DeadlinesLongPastDoNotSleep) {
  Word word{0};
  EXPECT_EQ(sleep_on(word, arm(word, mode_), steady_clock::time_point(1ns), kNoSlice), Slept::kWoken);
  EXPECT_EQ(sleep_on(word, arm(word, mode_), steady_clock::time_point(-5s), kNoSlice), Slept::kWoken);
}

// --- await -----------------------------------------------------------------------------------------------------------

TEST_P(WaitWord, WhatIsThereIsNotWaitedFor) {
  Word word{0};
  int looks = 0;
  EXPECT_TRUE(await_word(word, Deadline::never(), [&] { return ++looks, Progress::kDone; }));
  EXPECT_EQ(looks, 1);
  EXPECT_EQ(word, 0u) << "never armed";
}

TEST_P(WaitWord, AnExpiredDeadlineStillLooksOnce) {
  Word word{0};
  int looks = 0;
  EXPECT_FALSE(await_word(word, Deadline::after(-1s), [&] { return ++looks, Progress::kBlocked; }));
  EXPECT_EQ(looks, 1);
  EXPECT_TRUE(await_word(word, Deadline::after(0s), [&] { return Progress::kDone; }));
}

TEST_P(WaitWord, TheLastLookComesAfterTheDeadline) {
  Word word{0};
  const Deadline deadline = Deadline::after(20ms);
  bool looked_late = false;
  EXPECT_FALSE(await_word(word, deadline, [&] {
    looked_late = deadline.expired();
    return Progress::kBlocked;
  }));
  EXPECT_TRUE(looked_late);
  EXPECT_TRUE(deadline.expired());
}

TEST_P(WaitWord, WhatComesAtTheDeadlineIsTaken) {
  Word word{0};
  const Deadline deadline = Deadline::after(20ms);
  EXPECT_TRUE(await_word(word, deadline, [&] { return deadline.expired() ? Progress::kDone : Progress::kBlocked; }));
}

TEST_P(WaitWord, SignalsDoNotEndAWait) {
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &ignore, &before);
  Word word{0};
  std::atomic<bool> done{false}, returned{false};
  std::atomic<pid_t> tid{0};
  std::thread waiter([&] {
    tid = static_cast<pid_t>(::syscall(SYS_gettid));
    EXPECT_TRUE(await_word(word, Deadline::never(), [&] { return done ? Progress::kDone : Progress::kBlocked; }));
    returned = true;
  });
  while (tid == 0) ::sched_yield();
  for (int i = 0; i < 20; ++i) {
    test::await_futex_sleep(::getpid(), tid);
    ::pthread_kill(waiter.native_handle(), SIGUSR1);
  }
  test::await_futex_sleep(::getpid(), tid);
  EXPECT_FALSE(returned);
  done = true;
  notify(word, mode_, 1);
  waiter.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(WaitWord, EverySliceLooksForTheDead) {
  Word word{0};
  Spinner spinner;
  int slices = 0;
  EXPECT_TRUE(await(
      word, mode_, spinner, Deadline::never(), [&] { return slices == 3 ? Progress::kDone : Progress::kBlocked; },
      [] { return 1ms; }, [&] { ++slices; }));
}

// One that outlasts a slice would leave no time for sleep.
TEST_P(WaitWord, ASliceBeginsBehindTheSweep) {
  Word word{0};
  Spinner spinner;
  std::vector<steady_clock::duration> between;
  steady_clock::time_point swept = steady_clock::now();
  const auto sweep = [&] {
    between.push_back(steady_clock::now() - swept);
    std::this_thread::sleep_for(8ms);
    swept = steady_clock::now();
  };
  EXPECT_TRUE(await(
      word, mode_, spinner, Deadline::never(),
      [&] { return between.size() == 4 ? Progress::kDone : Progress::kBlocked; }, [] { return 4ms; }, sweep));
  EXPECT_GE(std::ranges::min(between), 3ms);
}

TEST_P(WaitWord, TheStalledLookAgainWithoutANotice) {
  Word word{0};
  Spinner spinner;
  while (spinner.window() != 0) spinner.failed();
  constexpr int kEnough = 6;
  int looks = 0;
  EXPECT_TRUE(await(
      word, mode_, spinner, Deadline::never(), [&] { return ++looks < kEnough ? Progress::kStalled : Progress::kDone; },
      [] { return kNoSlice; }, [] {}));
}

// Who stands in the way now has not stood there for long, however long others did.
TEST_P(WaitWord, TheStalledLookSoonAgainWhenSomebodyElseStandsInTheWay) {
  Word word{0};
  Spinner spinner;
  while (spinner.window() != 0) spinner.failed();
  constexpr int kEach = 4, kEnough = 500 * kEach;
  int looks = 0;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(await(
      word, mode_, spinner, Deadline::never(),
      [&] {
        if (++looks == kEnough) return Progress::kDone;
        return looks % kEach == 0 ? Progress::kStalledAnew : Progress::kStalled;
      },
      [] { return kNoSlice; }, [] {}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s) << "2000 of the longest would take 40 s";
}

// --- between processes -----------------------------------------------------------------------------------------------

struct Turns {
  Word word{0};
  std::atomic<std::uint32_t> turn{0};
};

TEST_P(WaitWord, NoWakeIsLostBetweenTwoProcesses) {
  constexpr std::uint32_t kTurns = 20'000;
  Shared<Turns> turns;
  const auto play = [&](std::uint32_t mine) {
    for (std::uint32_t turn = mine; turn < kTurns; turn += 2) {
      (void)await_word(turns->word, Deadline::never(), [&] {
        return turns->turn.load(std::memory_order_acquire) == turn ? Progress::kDone : Progress::kBlocked;
      });
      turns->turn.store(turn + 1, std::memory_order_release);
      notify(turns->word, mode_, kWakeAll);
    }
  };
  Child child([&] { play(1); });
  play(0);
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(turns->turn, kTurns);
}

struct Tickets {
  Word word{0};
  std::atomic<int> items{0};
};

bool take(std::atomic<int>& items) {
  int seen = items.load(std::memory_order_acquire);
  while (seen > 0) {
    if (items.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

// Each item wakes one; nobody has slices. A wake that goes astray leaves an item, and a consumer asleep beside it.
TEST_P(WaitWord, OneWakePerItemIsEnough) {
  constexpr int kProducers = 2, kConsumers = 3, kItems = 6'000;
  Shared<Tickets> tickets;
  std::vector<Child> children;
  for (int i = 0; i < kConsumers; ++i) {
    children.emplace_back([&] {
      for (int n = 0; n < kItems / kConsumers; ++n) {
        (void)await_word(tickets->word, Deadline::never(),
                         [&] { return take(tickets->items) ? Progress::kDone : Progress::kBlocked; });
      }
    });
  }
  for (int i = 0; i < kProducers; ++i) {
    children.emplace_back([&] {
      for (int n = 0; n < kItems / kProducers; ++n) {
        tickets->items.fetch_add(1, std::memory_order_release);
        notify(tickets->word, mode_, 1);
        if (n % 7 == 0) ::sched_yield();
      }
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(tickets->items, 0);
}

TEST_P(WaitWord, ADeathBetweenCommitAndWakeCostsASlice) {
  Shared<Tickets> tickets;
  Gate waits;
  Child waiter([&] {
    Spinner spinner;
    EXPECT_TRUE(await(
        tickets->word, mode_, spinner, Deadline::never(),
        [&] { return take(tickets->items) ? Progress::kDone : Progress::kBlocked; }, [] { return 5ms; }, [] {}));
  });
  test::await_futex_sleep(waiter.pid());
  Child dies([&] {
    tickets->items = 1;
    ::raise(SIGKILL);
  });
  EXPECT_EQ(dies.join().signal, SIGKILL);
  EXPECT_TRUE(waiter.join().well());
}

// --- tunables and the spinner ----------------------------------------------------------------------------------------

TEST(Slices, GrowWithTheLanesBetweenTheirBounds) {
  EXPECT_EQ(slice_for(0), 320ms);
  EXPECT_EQ(slice_for(1), 320ms);
  EXPECT_EQ(slice_for(16), 320ms);
  EXPECT_EQ(slice_for(20), 400ms);
  EXPECT_EQ(slice_for(1000), 2s);
  EXPECT_EQ(slice_for(layout::kMaxLanes), 2s);
}

TEST(SpinnerTest, DoublesWhereItPaysAndHalvesWhereNot) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) <= 1) {
    EXPECT_EQ(Spinner().tries(), 0u);
    GTEST_SKIP() << "one processor";
  }
  Spinner spinner;
  EXPECT_GT(spinner.tries(), 0u);
  for (int i = 0; i < 20; ++i) spinner.succeeded();
  EXPECT_EQ(spinner.tries(), Spinner::kMax);
  spinner.failed();
  EXPECT_EQ(spinner.tries(), Spinner::kMax / 2);
  for (int i = 0; i < 20; ++i) spinner.failed();
  EXPECT_EQ(spinner.window(), 0u);
}

TEST(SpinnerTest, PausesOfTheTestCountAsTries) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) <= 1) GTEST_SKIP() << "one processor";
  Spinner spinner;
  const std::uint32_t tries = spinner.tries();
  std::uint32_t tests = 0;
  const auto test = [&] {
    ++tests;
    spinner.paused(7);
    return Progress::kBlocked;
  };
  EXPECT_FALSE(spin_until_done(spinner, test));
  EXPECT_EQ(tests, tries / 8);
}

TEST(SpinnerTest, WhereSpinningDoesNotPayItTriesAgainNowAndThen) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) <= 1) GTEST_SKIP() << "one processor";
  Spinner spinner;
  for (int i = 0; i < 20; ++i) spinner.failed();
  std::uint32_t spun = 0;
  for (std::uint32_t i = 0; i < 3 * Spinner::kProbeEach; ++i) {
    if (const std::uint32_t tries = spinner.tries(); tries != 0) {
      EXPECT_EQ(tries, Spinner::kMin);
      ++spun;
    }
  }
  EXPECT_EQ(spun, 3u);
  spinner.succeeded();
  EXPECT_EQ(spinner.tries(), Spinner::kMin);
}

}  // namespace
}  // namespace warren::detail
