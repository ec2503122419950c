// BoundedSemaphore, Barrier, Latch and SharedMutex with threads only, so that ThreadSanitizer sees every access: plain
// memory shows what their orders promise.
#include <gtest/gtest.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/latch.h>
#include <warren/ipc/shared_mutex.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 4;

void in_threads(const std::function<void(std::size_t)>& work) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(SharedSyncThreads, APermitHandsOnWhatWasDoneUnderIt) {
  constexpr long kEach = 10'000;
  auto semaphore = BoundedSemaphore::create(1).value();
  long plain = 0;
  in_threads([&](std::size_t) {
    for (long n = 0; n < kEach; ++n) {
      while (!semaphore.try_acquire_for(1ms)) {
      }
      ++plain;
      EXPECT_TRUE(semaphore.release());
    }
  });
  EXPECT_EQ(plain, kEach * static_cast<long>(kThreads));
}

TEST(SharedSyncThreads, NeverMoreHoldersThanPermits) {
  constexpr int kEach = 10'000, kPermits = 3;
  auto semaphore = BoundedSemaphore::create(kPermits).value();
  std::atomic<int> inside{0}, too_many{0};
  in_threads([&](std::size_t) {
    for (int n = 0; n < kEach; ++n) {
      semaphore.acquire();
      if (++inside > kPermits) ++too_many;
      --inside;
      EXPECT_TRUE(semaphore.release());
    }
  });
  EXPECT_EQ(too_many, 0);
}

TEST(SharedSyncThreads, WhoPassesABarrierSeesWhatAllDidBefore) {
  constexpr int kGenerations = 3'000;
  auto barrier = Barrier::create(kThreads).value();
  std::array<int, kThreads> plain{};
  std::atomic<int> wrong{0};
  in_threads([&](std::size_t me) {
    for (int g = 1; g <= kGenerations; ++g) {
      plain[me] = g;
      if (!barrier.arrive_and_wait().ok()) ++wrong;
      for (const int value : plain) wrong += value != g;
      if (!barrier.arrive_and_wait().ok()) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(SharedSyncThreads, WhoBreaksABarrierRacesWithWhoCompletesIt) {
  auto barrier = Barrier::create(2).value();
  for (int n = 0; n < 500; ++n) {
    std::atomic<int> through{0};
    std::thread other([&] { through += barrier.arrive_and_wait().ok(); });
    through += barrier.arrive_and_wait_for(std::chrono::microseconds(n)).ok();
    other.join();
    EXPECT_NE(through, 1) << "all or none";
    barrier.reset();
  }
}

TEST(SharedSyncThreads, WhoWaitsForALatchSeesWhatWasDoneBefore) {
  for (int n = 0; n < 500; ++n) {
    auto latch = Latch::create(kThreads).value();
    std::array<int, kThreads> plain{};
    std::atomic<int> wrong{0};
    in_threads([&](std::size_t me) {
      plain[me] = 1;
      if (!latch.arrive_and_wait()) ++wrong;
      for (const int value : plain) wrong += value != 1;
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST(SharedSyncThreads, ReadersSeeWholeWrites) {
  constexpr int kEach = 5'000;
  auto mutex = SharedMutex::create().value();
  long first = 0, second = 0;
  std::atomic<int> torn{0};
  in_threads([&](std::size_t me) {
    for (int n = 0; n < kEach; ++n) {
      if (me == 0) {
        const std::scoped_lock guard(mutex);
        ++first;
        second = first;
      } else if (me == 1) {
        if (!mutex.try_lock_for(100us)) continue;
        ++first;
        second = first;
        EXPECT_TRUE(mutex.unlock());
      } else {
        const std::shared_lock guard(mutex);
        if (first != second) ++torn;
      }
    }
  });
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(first, second);
  EXPECT_GE(first, kEach);
}

}  // namespace
}  // namespace warren
