// BoundedSemaphore: as many holders as permits, whose permits are whose, deaths, misuse, handles by fork and by name.
#include <warren/ipc/bounded_semaphore.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/resources.h"
#include "support/segment_file.h"
#include "support/watch.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::Gate;
using test::Shared;
using test::unique_name;
using ::testing::HasSubstr;

// A process that acquires `permits`, and goes on holding them until it is killed.
Child holder_of(BoundedSemaphore& semaphore, int permits) {
  Gate held;
  Child holder([&] {
    for (int i = 0; i < permits; ++i) semaphore.acquire();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  return holder;
}

TEST(BoundedSemaphoreTest, HasAsManyPermitsAsItWasMadeWith) {
  auto semaphore = BoundedSemaphore::create(3).value();
  EXPECT_EQ(semaphore.permits(), 3u);
  for (std::uint32_t left : {3u, 2u, 1u}) {
    EXPECT_EQ(semaphore.approx_value(), left);
    EXPECT_TRUE(semaphore.try_acquire());
  }
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_TRUE(semaphore.release());
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(BoundedSemaphoreTest, ThatCannotBeIsRefused) {
  for (const std::uint32_t permits : {0u, 65'537u, 0xffff'ffffu}) {
    const absl::Status status = BoundedSemaphore::create(permits).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("1 to 65536"));
  }
}

TEST(BoundedSemaphoreTest, TheMostPermits) {
  auto semaphore = BoundedSemaphore::create(65'536).value();
  for (int i = 0; i < 65'536; ++i) ASSERT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(1ms));
  EXPECT_EQ(semaphore.approx_value(), 0u);
  ASSERT_TRUE(semaphore.release());
  Blocked taker([&] {
    while (!semaphore.try_acquire()) {
    }
    semaphore.acquire();
  });
  ASSERT_TRUE(semaphore.release());
  taker.join();
}

TEST(BoundedSemaphoreTest, ReleasingWhatNobodyHereHoldsIsRefused) {
  auto semaphore = BoundedSemaphore::create(2).value();
  EXPECT_FALSE(semaphore.release());
  const Child holder = holder_of(semaphore, 1);
  EXPECT_FALSE(semaphore.release()) << "another process holds it";
  EXPECT_EQ(semaphore.approx_value(), 1u);
}

TEST(BoundedSemaphoreTest, AnyThreadOfTheProcessReleases) {
  auto semaphore = BoundedSemaphore::create(1).value();
  std::thread([&] { semaphore.acquire(); }).join();
  EXPECT_FALSE(semaphore.try_acquire_for(50ms)) << "the thread is gone, its process is not";
  std::thread([&] { EXPECT_TRUE(semaphore.release()); }).join();
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(BoundedSemaphoreTest, AForkedChildHoldsNoneOfItsParents) {
  auto semaphore = BoundedSemaphore::create(1).value();
  semaphore.acquire();
  EXPECT_TRUE(Child([&] { return semaphore.release() || semaphore.try_acquire() ? 1 : 0; }).join().well());
  EXPECT_TRUE(semaphore.release());
}

TEST(BoundedSemaphoreTest, NeverMoreHoldersThanPermits) {
  constexpr int kProcesses = 3, kThreads = 2, kEach = 5'000, kPermits = 2;
  auto semaphore = BoundedSemaphore::create(kPermits).value();
  struct Count {
    std::atomic<int> inside{0}, most{0}, refused{0};
  };
  Shared<Count> count;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          for (int n = 0; n < kEach; ++n) {
            semaphore.acquire();
            const int now = ++count->inside;
            if (now > kPermits) count->most = now;
            --count->inside;
            if (!semaphore.release()) ++count->refused;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(count->most, 0);
  EXPECT_EQ(count->refused, 0) << "who holds a permit is never refused its release";
  EXPECT_EQ(semaphore.approx_value(), 2u);
}

// As many permits as threads: who asks holds none, so that one is free at every moment.
TEST(BoundedSemaphoreTest, TryAcquireIsRefusedOnlyWhereAllWereTaken) {
  constexpr int kThreads = 3, kEach = 30'000;
  auto semaphore = BoundedSemaphore::create(kThreads).value();
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        if (!semaphore.try_acquire()) {
          ++refused;
        } else {
          (void)semaphore.release();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
}

TEST(BoundedSemaphoreTest, ATimedWaitEnds) {
  auto semaphore = BoundedSemaphore::create(1).value();
  semaphore.acquire();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms),
                          Timeout(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()))})
    EXPECT_FALSE(semaphore.try_acquire_for(d));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(semaphore.try_acquire_until(begin + 20ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
}

TEST(BoundedSemaphoreTest, ReleaseWakesASleeper) {
  auto semaphore = BoundedSemaphore::create(2).value();
  semaphore.acquire();
  semaphore.acquire();
  Blocked first([&] { semaphore.acquire(); }), second([&] { semaphore.acquire(); });
  EXPECT_TRUE(semaphore.release());
  EXPECT_TRUE(semaphore.release());
  first.join();
  second.join();
  EXPECT_FALSE(semaphore.try_acquire());
}

TEST(BoundedSemaphoreTest, TheDeadsPermitsComeBackToSleepers) {
  auto semaphore = BoundedSemaphore::create(3).value();
  Child holder = holder_of(semaphore, 3);
  std::vector<Child> sleepers;
  for (int i = 0; i < 3; ++i) {
    sleepers.emplace_back([&] {
      semaphore.acquire();
      return semaphore.release() ? 0 : 1;
    });
  }
  for (const Child& sleeper : sleepers) test::await_futex_sleep(sleeper.pid());
  (void)holder.kill();
  for (Child& sleeper : sleepers) EXPECT_TRUE(sleeper.join().well());
}

TEST(BoundedSemaphoreTest, WhoOnlyTriesGetsThemFromTheDead) {
  auto semaphore = BoundedSemaphore::create(4).value();
  semaphore.acquire();
  {
    Child holder = holder_of(semaphore, 3);
    holder.kill_but_not_reap();
    for (int i = 0; i < 3; ++i) {
      while (!semaphore.try_acquire()) std::this_thread::yield();
    }
  }
  EXPECT_FALSE(semaphore.try_acquire());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(semaphore.release());
  EXPECT_FALSE(semaphore.release());
}

TEST(BoundedSemaphoreTest, TheDeadsPermitsCountAsFreeOnceFound) {
  auto semaphore = BoundedSemaphore::create(2).value();
  Child holder = holder_of(semaphore, 2);
  (void)holder.kill();
  EXPECT_FALSE(semaphore.try_acquire()) << "nobody has found out yet";
  while (!semaphore.try_acquire()) std::this_thread::yield();
  EXPECT_EQ(semaphore.approx_value(), 1u);
}

TEST(BoundedSemaphoreTest, WhoDetachesGivesItsPermitsBack) {
  const std::string name = unique_name();
  auto semaphore = BoundedSemaphore::create(name, 2).value();
  {
    auto other = BoundedSemaphore::open(name).value();
    other.acquire();
    other.acquire();
    EXPECT_FALSE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.release()) << "the other handle holds them";
  }
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(BoundedSemaphoreTest, AStoppedHolderIsNotDead) {
  auto semaphore = BoundedSemaphore::create(1).value();
  Child holder = holder_of(semaphore, 1);
  holder.stop();
  EXPECT_FALSE(semaphore.try_acquire_for(300ms));
  (void)holder.kill();
  semaphore.acquire();
}

TEST(BoundedSemaphoreTest, ByName) {
  const std::string name = unique_name();
  auto first = BoundedSemaphore::create(name, 2).value();
  EXPECT_TRUE(absl::IsAlreadyExists(BoundedSemaphore::create(name, 2).status()));
  EXPECT_TRUE(Child([&]() -> int {
                auto semaphore = BoundedSemaphore::open("/" + name).value();
                semaphore.acquire();
                return semaphore.permits() == 2 && semaphore.release() ? 0 : 1;
              })
                  .join()
                  .well());
  EXPECT_EQ(BoundedSemaphore::open_or_create(name, 2)->permits(), 2u);
  EXPECT_TRUE(absl::IsFailedPrecondition(BoundedSemaphore::open_or_create(name, 7).status()));
  EXPECT_TRUE(BoundedSemaphore::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(BoundedSemaphore::open(name).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(BoundedSemaphore::create("", 1).status()));
}

TEST(BoundedSemaphoreTest, CopiesOfAHandleAreTheSameSemaphore) {
  auto semaphore = BoundedSemaphore::create(1).value();
  BoundedSemaphore copy = semaphore;
  copy.acquire();
  EXPECT_TRUE(semaphore.release());
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

constexpr std::size_t kPermitsAt = layout::kObjectOffset + offsetof(layout::BoundedSemaphore, permits);
constexpr std::size_t kCellsAt = layout::kObjectOffset + sizeof(layout::BoundedSemaphore);

TEST(BoundedSemaphoreTest, ANumberOfPermitsThatCannotBeIsCorrupt) {
  const std::string name = unique_name();
  auto semaphore = BoundedSemaphore::create(name, 2).value();
  for (const std::uint32_t permits : {0u, 3u, 65'537u, 0xffff'ffffu}) {
    test::SegmentFile(name).write(kPermitsAt, permits);
    EXPECT_TRUE(absl::IsDataLoss(BoundedSemaphore::open(name).status())) << permits;
  }
  EXPECT_EQ(semaphore.permits(), 2u) << "who is attached keeps to its own copy";
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(BoundedSemaphoreTest, AHolderThatCannotBeIsGone) {
  const std::string name = unique_name();
  auto semaphore = BoundedSemaphore::create(name, 2).value();
  const layout::OwnedCell forged{.lane = 60'000, .generation = 7, .note = 0xffff'ffff, .owned = true};
  for (std::size_t i = 0; i < 2; ++i) test::SegmentFile(name).write(kCellsAt + 8 * i, forged.word());
  EXPECT_EQ(semaphore.approx_value(), 2u);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(semaphore.try_acquire());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(semaphore.release()) << "the count of takings may wrap";
}

TEST(BoundedSemaphoreTest, APeerThatNeverStopsWritingHoldsUpNobody) {
  const std::string name = unique_name();
  auto semaphore = BoundedSemaphore::create(name, 1).value();
  Child liar([&] {
    const test::SegmentFile file(name);
    const auto lane = layout::LaneIdentity::from(file.read<std::uint64_t>(layout::kLanesOffset));
    layout::OwnedCell cell{.lane = 1, .generation = lane.generation, .owned = true};
    for (;;) file.write(kCellsAt, (++cell.note, cell.word()));
  });
  for (int i = 0; i < 20; ++i) {
    (void)semaphore.try_acquire();
    (void)semaphore.release();
    (void)semaphore.try_acquire_for(1ms);
  }
}

}  // namespace
}  // namespace warren
