// Semaphore and Permit: counting, bounds, who gets a permit, deaths, handles by fork and by name, peers' bytes.
#include <warren/ipc/segment.h>
#include <warren/ipc/semaphore.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <optional>

#include <atomic>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::Shared;
using test::unique_name;
using ::testing::HasSubstr;

TEST(SemaphoreTest, HasAsManyPermitsAsItWasMadeWith) {
  for (const std::uint32_t permits : {0u, 1u, 5u, Semaphore::max()}) {
    EXPECT_EQ(Semaphore::create(permits)->approx_value(), permits);
  }
  auto semaphore = Semaphore::create(2).value();
  semaphore.acquire();
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_TRUE(semaphore.release());
  EXPECT_EQ(semaphore.approx_value(), 1u);
  EXPECT_TRUE(semaphore.try_acquire_for(0s));
}

TEST(SemaphoreTest, AReleaseGivesSeveral) {
  auto semaphore = Semaphore::create(0).value();
  EXPECT_TRUE(semaphore.release(3));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire());
}

TEST(SemaphoreTest, ToReleaseNoneIsTrueAndNothing) {
  auto semaphore = Semaphore::create(0).value();
  EXPECT_TRUE(semaphore.release(0));
  EXPECT_EQ(semaphore.approx_value(), 0u);
  EXPECT_TRUE(Semaphore::create(Semaphore::max())->release(0));
}

TEST(SemaphoreTest, AReleaseBeyondTheMostIsRefusedAndChangesNothing) {
  auto semaphore = Semaphore::create(Semaphore::max() - 2).value();
  EXPECT_FALSE(semaphore.release(3));
  EXPECT_FALSE(semaphore.release(Semaphore::max()));
  EXPECT_EQ(semaphore.approx_value(), Semaphore::max() - 2);
  EXPECT_TRUE(semaphore.release(2));
  EXPECT_FALSE(semaphore.release());
  EXPECT_EQ(semaphore.approx_value(), Semaphore::max());
  EXPECT_TRUE(semaphore.try_acquire());
}

TEST(SemaphoreTest, ATimedTryEnds) {
  auto semaphore = Semaphore::create(0).value();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) EXPECT_FALSE(semaphore.try_acquire_for(d));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(semaphore.try_acquire_until(begin + 20ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
  EXPECT_EQ(semaphore.approx_value(), 0u);
}

TEST(SemaphoreTest, AsManyAreWokenAsPermitsAreReleased) {
  auto semaphore = Semaphore::create(0).value();
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) children.emplace_back([&] { semaphore.acquire(); });
  for (const Child& child : children) test::await_futex_sleep(child.pid());
  semaphore.release();
  semaphore.release(3);
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(semaphore.approx_value(), 0u);
}

TEST(SemaphoreTest, NeverMoreAreInsideThanThereArePermits) {
  constexpr int kProcesses = 3, kThreads = 2, kEach = 10'000, kPermits = 2;
  auto semaphore = Semaphore::create(kPermits).value();
  struct Inside {
    std::atomic<int> now{0}, too_many{0};
  };
  Shared<Inside> inside;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          for (int n = 0; n < kEach; ++n) {
            const Permit permit(semaphore);
            if (++inside->now > kPermits) ++inside->too_many;
            --inside->now;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(inside->too_many, 0);
  EXPECT_EQ(semaphore.approx_value(), std::uint32_t{kPermits});
}

TEST(SemaphoreTest, AnyoneMayRelease) {
  auto semaphore = Semaphore::create(0).value();
  EXPECT_TRUE(Child([&] { return semaphore.release() ? 0 : 1; }).join().well());
  EXPECT_TRUE(semaphore.try_acquire());
}

Semaphore* of_handler = nullptr;
TEST(SemaphoreTest, ASignalHandlerMayReleaseAndNoSignalEndsAnAcquire) {
  auto semaphore = Semaphore::create(0).value();
  Child child([&] {
    of_handler = &semaphore;
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    action.sa_handler = [](int) { of_handler->release(); };
    ::sigaction(SIGUSR2, &action, nullptr);
    semaphore.acquire();
  });
  test::await_futex_sleep(child.pid());
  child.signal(SIGUSR1);
  test::await_futex_sleep(child.pid());
  child.signal(SIGUSR2);
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(semaphore.approx_value(), 0u);
}

TEST(SemaphoreTest, TheDeadTakeTheirPermitsAlong) {
  auto semaphore = Semaphore::create(2).value();
  (void)Child([&] {
    semaphore.acquire();
    ::raise(SIGKILL);
  }).join();
  EXPECT_EQ(semaphore.approx_value(), 1u);
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(1ms));
}

TEST(SemaphoreTest, WhoIsStoppedAndKilledInAcquireTakesNothingAlong) {
  auto semaphore = Semaphore::create(0).value();
  for (int round = 0; round < 5; ++round) {
    Child first([&] { semaphore.acquire(); });
    test::await_futex_sleep(first.pid());
    Child second([&] { semaphore.acquire(); });
    test::await_futex_sleep(second.pid());
    first.stop();
    semaphore.release();
    (void)first.kill();
    EXPECT_TRUE(second.join().well());
    EXPECT_EQ(semaphore.approx_value(), 0u);
  }
}

TEST(SemaphoreTest, AStoppedWaiterHoldsUpNobodyForGood) {
  auto semaphore = Semaphore::create(0).value();
  Child stopped([&] { semaphore.acquire(); });
  test::await_futex_sleep(stopped.pid());
  Child other([&] { semaphore.acquire(); });
  test::await_futex_sleep(other.pid());
  stopped.stop();
  semaphore.release();
  EXPECT_TRUE(other.join().well());
  stopped.go_on();
  semaphore.release();
  EXPECT_TRUE(stopped.join().well());
}

TEST(SemaphoreTest, ByName) {
  const std::string name = unique_name();
  auto first = Semaphore::create(name, 1).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Semaphore::create(name, 1).status()));
  EXPECT_TRUE(Child([&] { return Semaphore::open("/" + name)->try_acquire() ? 0 : 1; }).join().well());
  auto second = Semaphore::open_or_create(name, 9).value();
  EXPECT_EQ(second.approx_value(), 0u) << "whoever comes first decides";
  second.release(2);
  EXPECT_EQ(first.approx_value(), 2u);
  EXPECT_TRUE(Semaphore::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Semaphore::open(name).status()));
  EXPECT_EQ(Semaphore::open_or_create(name, 9)->approx_value(), 9u);
}

TEST(SemaphoreTest, AnotherTypeOfThatNameIsRefused) {
  const std::string name = unique_name();
  const auto segment = Segment::create(name, 4096).value();
  const absl::Status status = Semaphore::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a segment, not a semaphore"));
}

TEST(SemaphoreTest, CopiesOfAHandleAreTheSameSemaphore) {
  auto semaphore = Semaphore::create(1).value();
  Semaphore copy = semaphore;
  copy.acquire();
  EXPECT_FALSE(semaphore.try_acquire());
}

// Peers' bytes: any number of permits is one.
TEST(SemaphoreTest, ANumberThatAPeerWroteIsTakenAsItIs) {
  const std::string name = unique_name();
  auto semaphore = Semaphore::create(name, 0).value();
  const test::SegmentFile file(name);
  file.write(layout::kObjectOffset + offsetof(layout::Semaphore, permits), ~std::uint32_t{0});
  EXPECT_FALSE(semaphore.release());
  EXPECT_TRUE(semaphore.try_acquire());
  file.write(layout::kObjectOffset + offsetof(layout::Semaphore, permits), std::uint32_t{0});
  file.write(layout::kObjectOffset + offsetof(layout::Semaphore, waiters), ~std::uint32_t{0});
  EXPECT_FALSE(semaphore.try_acquire_for(1ms));
  EXPECT_TRUE(semaphore.release());
  EXPECT_TRUE(semaphore.try_acquire());
  file.write(offsetof(layout::SegmentHeader, size), std::uint64_t{8});
  EXPECT_TRUE(absl::IsDataLoss(Semaphore::open(name).status()));
}

TEST(PermitTest, AcquiresAndReleases) {
  auto semaphore = Semaphore::create(2).value();
  {
    const Permit one(semaphore);
    semaphore.acquire();
    const Permit two(semaphore, std::adopt_lock);
    EXPECT_EQ(semaphore.approx_value(), 0u);
  }
  EXPECT_EQ(semaphore.approx_value(), 2u);
  static_assert(!std::is_copy_constructible_v<Permit<Semaphore>> && !std::is_copy_assignable_v<Permit<Semaphore>>);
}

TEST(PermitTest, IsReleasedByWhoAcquiredItAndNotByAForkedCopy) {
  auto semaphore = Semaphore::create(1).value();
  std::optional<Permit<Semaphore>> permit(std::in_place, semaphore);
  Child child([&] { permit.reset(); });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(semaphore.approx_value(), 0u);
  permit.reset();
  EXPECT_EQ(semaphore.approx_value(), 1u);
}

TEST(PermitTest, WaitsForOne) {
  auto semaphore = Semaphore::create(1).value();
  auto permit = std::make_unique<Permit<Semaphore>>(semaphore);
  const Blocked other([&] { const Permit mine(semaphore); });
  EXPECT_FALSE(other.returned());
  permit.reset();
}

}  // namespace
}  // namespace warren
