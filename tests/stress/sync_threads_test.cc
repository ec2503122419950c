// Event, Semaphore and Condition with threads only, so that ThreadSanitizer sees every access: plain memory beside them
// shows what their orders promise. Slices that never come: a lost wake hangs, and the test's timeout tells. The
// negative controls (weakened.cmake) run these tests with one order weakened, and must be caught.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/event.h>
#include <warren/ipc/semaphore.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "support/no_slices.h"

namespace warren {
namespace {

class SyncThreads : public ::testing::Test {
 protected:
  void TearDown() override { tuning_.spins = true; }
  void run(std::size_t count, const std::function<void(std::size_t)>& work) {
    std::vector<std::thread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
  }

  const test::NoSlices no_slices_;
  detail::WaitTuning& tuning_ = detail::wait_tuning();
};

TEST_F(SyncThreads, WhatCameBeforeASetIsSeenByWhoWaited) {
  constexpr int kTurns = 10'000;
  auto there = Event::create().value(), back = Event::create().value();
  int plain = 0;
  for (const bool spins : {true, false}) {
    tuning_.spins = spins;
    run(2, [&](std::size_t i) {
      for (int n = 0; n < kTurns; ++n) {
        if (i == 0) {
          ++plain;
          there.set();
          back.wait();
          back.clear();
        } else {
          there.wait();
          there.clear();
          ++plain;
          back.set();
        }
      }
    });
  }
  EXPECT_EQ(plain, 4 * kTurns);
}

TEST_F(SyncThreads, SoItIsByWhoFindsItSet) {
  for (int round = 0; round < 500; ++round) {
    auto event = Event::create().value();
    int plain = 0;
    std::thread setter([&] {
      plain = 1;
      event.set();
    });
    while (!event.is_set()) ::sched_yield();
    EXPECT_EQ(plain, 1);
    setter.join();
  }
}

// Clear, look for work, wait: also where the set that announces it finds the event set, while it is being cleared.
TEST_F(SyncThreads, WhoClearsAndThenLooksMissesNothing) {
  constexpr int kRounds = 20'000;
  auto event = Event::create().value();
  std::atomic<int> first{0}, second{0}, seen{0};
  run(2, [&](std::size_t i) {
    for (int n = 1; n <= kRounds; ++n) {
      if (i == 0) {
        first.store(n, std::memory_order_relaxed);
        event.set();
        for (int pause = n % 64; pause > 0; --pause) detail::cpu_relax();
        second.store(n, std::memory_order_relaxed);
        event.set();
        while (seen.load(std::memory_order_relaxed) != n) ::sched_yield();
        continue;
      }
      do {
        event.wait();
        event.clear();
      } while (first.load(std::memory_order_relaxed) != n || second.load(std::memory_order_relaxed) != n);
      seen.store(n, std::memory_order_relaxed);
    }
  });
  EXPECT_EQ(seen, kRounds);
}

// The same for plain memory, which the one who clears reads without having waited.
TEST_F(SyncThreads, WhoClearsSeesWhatThoseDidWhoSetIt) {
  for (int round = 0; round < 500; ++round) {
    auto event = Event::create().value();
    auto flag = std::atomic<bool>(false);
    int plain = 0;
    std::thread setter([&] {
      plain = 1;
      event.set();
      flag.store(true, std::memory_order_relaxed);
    });
    while (!flag.load(std::memory_order_relaxed)) ::sched_yield();
    event.clear();
    EXPECT_EQ(plain, 1);
    setter.join();
  }
}

TEST_F(SyncThreads, APulseReleasesAllWhoWait) {
  constexpr int kRounds = 2'000, kWaiters = 3;
  auto event = Event::create().value();
  std::atomic<int> released{0};
  std::atomic<bool> over{false};
  run(kWaiters + 1, [&](std::size_t i) {
    if (i < kWaiters) {
      for (int n = 0; n < kRounds; ++n) {
        event.wait();
        ++released;
      }
      if (released == kRounds * kWaiters) over = true;
      return;
    }
    while (!over) {
      event.set();
      event.clear();
      ::sched_yield();
    }
  });
  EXPECT_EQ(released, kRounds * kWaiters);
}

TEST_F(SyncThreads, APermitGuardsWhatIsPlain) {
  constexpr int kEach = 10'000;
  auto semaphore = Semaphore::create(1).value();
  long plain = 0;
  run(4, [&](std::size_t i) {
    for (int n = 0; n < kEach; ++n) {
      if (i % 2 == 0) {
        const Permit permit(semaphore);
        ++plain;
        continue;
      }
      while (!semaphore.try_acquire()) ::sched_yield();
      const Permit permit(semaphore, std::adopt_lock);
      ++plain;
    }
  });
  EXPECT_EQ(plain, 4L * kEach);
  EXPECT_EQ(semaphore.approx_value(), 1u);
}

TEST_F(SyncThreads, NobodySleepsBesideAPermit) {
  constexpr int kEach = 6'000;
  auto semaphore = Semaphore::create(0).value();
  std::atomic<int> refused{0};
  tuning_.spins = false;
  run(5, [&](std::size_t i) {
    if (i < 3) {
      for (int n = 0; n < kEach; ++n) {
        if (i != 0) {
          semaphore.acquire();
        } else {
          while (!semaphore.try_acquire_for(std::chrono::microseconds(n % 50)))
            ++refused;  // a wake may go to it in vain
        }
      }
      return;
    }
    for (int left = kEach * 3 / 2; left > 0;) {
      const int some = std::min(left, 1 + left % 3);
      ASSERT_TRUE(semaphore.release(static_cast<std::uint32_t>(some)));
      left -= some;
      if (left % 7 == 0) ::sched_yield();
    }
  });
  EXPECT_EQ(semaphore.approx_value(), 0u);
}

TEST_F(SyncThreads, ABoundedBufferLosesNothing) {
  constexpr int kEach = 6'000, kRoom = 2;
  auto mutex = Mutex::create().value();
  auto not_empty = Condition::create().value(), not_full = Condition::create().value();
  int items = 0;
  long taken = 0;
  for (const bool spins : {true, false}) {
    tuning_.spins = spins;
    run(6, [&](std::size_t i) {
      const bool puts = i % 2 == 0;
      for (int n = 0; n < kEach; ++n) {
        std::unique_lock lock(mutex);
        if (puts) {
          not_full.wait(lock, [&] { return items < kRoom; });
          ++items;
        } else {
          while (items == 0) not_empty.wait(lock);
          --items;
          ++taken;
        }
        if (n % 2 == 0) lock.unlock();  // notifies with the mutex held, or not
        (puts ? not_empty : not_full).notify_one();
      }
    });
  }
  EXPECT_EQ(items, 0);
  EXPECT_EQ(taken, 6L * kEach);
}

TEST_F(SyncThreads, NotifyAllReachesEverybody) {
  constexpr int kRounds = 2'000, kThreads = 4;
  auto mutex = Mutex::create().value();
  auto condition = Condition::create().value();
  int arrived = 0, round = 0;  // a barrier
  run(kThreads, [&](std::size_t) {
    for (int n = 0; n < kRounds; ++n) {
      std::unique_lock lock(mutex);
      if (++arrived == kThreads) {
        arrived = 0;
        ++round;
        condition.notify_all();
      } else {
        condition.wait(lock, [&] { return round > n; });
      }
    }
  });
  EXPECT_EQ(round, kRounds);
}

}  // namespace
}  // namespace warren
