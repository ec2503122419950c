// Condition: waiting and notifying, misuse, deaths, handles by fork and by name.
#include <warren/ipc/condition.h>
#include <warren/ipc/segment.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <system_error>
#include <thread>
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
using test::Gate;
using test::Shared;
using test::unique_name;

template <class M>
class AnyCondition : public ::testing::Test {
 protected:
  using Lock = std::unique_lock<M>;
  M mutex_ = M::create().value();
  Condition condition_ = Condition::create().value();
  Shared<int> items_{0};  // guarded by the mutex

  void put(int count = 1) {
    const std::scoped_lock guard(mutex_);
    *items_ += count;
  }
  // As soon as there is one.
  void take() {
    Lock lock(mutex_);
    condition_.wait(lock, [&] { return *items_ > 0; });
    --*items_;
  }
  Child taker() {
    Child child([&] { take(); });
    test::await_futex_sleep(child.pid());
    return child;
  }
};
using Mutexes = ::testing::Types<Mutex, RecursiveMutex>;
TYPED_TEST_SUITE(AnyCondition, Mutexes);

TYPED_TEST(AnyCondition, AWaiterLetsTheMutexGoAndHoldsItAfterwards) {
  Child child([&]() -> int {
    std::unique_lock lock(this->mutex_);
    this->condition_.wait(lock, [&] { return *this->items_ == 1; });
    return lock.owns_lock() && this->mutex_.unlock() ? (lock.release(), 0) : 1;
  });
  test::await_futex_sleep(child.pid());
  {
    const std::scoped_lock guard(this->mutex_);
    *this->items_ = 1;
    this->condition_.notify_one();
  }
  EXPECT_TRUE(child.join().well());
}

TYPED_TEST(AnyCondition, NotifyOneReleasesOneForEachItem) {
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.push_back(this->taker());
  for (int i = 0; i < 3; ++i) {
    this->put();
    this->condition_.notify_one();
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(*this->items_, 0);
}

TYPED_TEST(AnyCondition, NotifyAllReleasesAll) {
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.push_back(this->taker());
  this->put(3);
  this->condition_.notify_all();
  for (Child& child : children) EXPECT_TRUE(child.join().well());
}

TYPED_TEST(AnyCondition, ATimedWaitEndsWithTheLockHeld) {
  std::unique_lock lock(this->mutex_);
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) {
    EXPECT_FALSE(this->condition_.wait_for(lock, d));
    EXPECT_FALSE(this->condition_.wait_for(lock, d, [] { return false; }));
    EXPECT_TRUE(this->condition_.wait_for(lock, d, [] { return true; }));
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(this->condition_.wait_until(lock, begin + 20ms));
  EXPECT_FALSE(this->condition_.wait_until(lock, begin + 40ms, [] { return false; }));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 40ms);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_FALSE(Child([&] { return this->mutex_.try_lock() ? 1 : 0; }).join().code);
}

TYPED_TEST(AnyCondition, ANotificationBeforeTheWaitDoesNotCount) {
  this->condition_.notify_one();
  this->condition_.notify_all();
  std::unique_lock lock(this->mutex_);
  EXPECT_FALSE(this->condition_.wait_for(lock, 5ms));
}

TYPED_TEST(AnyCondition, ATimedWaitTellsThatItWasNotified) {
  std::atomic<bool> notified{false};
  {
    const Blocked waiter([&] {
      std::unique_lock lock(this->mutex_);
      notified = this->condition_.wait_for(lock, kForever);
    });
    this->condition_.notify_one();
  }
  EXPECT_TRUE(notified);
}

TYPED_TEST(AnyCondition, ThrowingPredicatesLeaveTheLockHeld) {
  std::unique_lock lock(this->mutex_);
  EXPECT_THROW(this->condition_.wait(lock, []() -> bool { throw 1; }), int);
  EXPECT_TRUE(lock.owns_lock());
}

TYPED_TEST(AnyCondition, ABoundedBufferLosesNothing) {
  constexpr int kEach = 3'000, kRoom = 2;
  auto room = Condition::create().value();
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&, puts = i % 2 == 0] {
      for (int n = 0; n < kEach; ++n) {
        std::unique_lock lock(this->mutex_);
        (puts ? room : this->condition_).wait(lock, [&] { return puts ? *this->items_ < kRoom : *this->items_ > 0; });
        *this->items_ += puts ? 1 : -1;
        lock.unlock();
        (puts ? this->condition_ : room).notify_one();
      }
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(*this->items_, 0);
}

TYPED_TEST(AnyCondition, ASignalDoesNotLoseAWaiter) {
  Child child([&] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    this->take();
  });
  test::await_futex_sleep(child.pid());
  child.signal(SIGUSR1);
  test::await_futex_sleep(child.pid());
  this->put();
  this->condition_.notify_one();
  EXPECT_TRUE(child.join().well());
}

// What hangs the broadcaster of a process-shared pthread_cond.
TYPED_TEST(AnyCondition, KilledWaitersHoldUpNobody) {
  for (int round = 0; round < 5; ++round) {
    Child dead = this->taker(), alive = this->taker();
    (void)dead.kill();
    this->condition_.notify_all();
    this->condition_.notify_one();
    this->put();
    this->condition_.notify_all();
    EXPECT_TRUE(alive.join().well());
  }
}

TYPED_TEST(AnyCondition, WhoIsStoppedAndKilledInAWaitTakesNothingAlong) {
  for (int round = 0; round < 3; ++round) {
    Child first = this->taker(), second = this->taker();
    first.stop();
    this->put();
    this->condition_.notify_one();
    (void)first.kill();
    EXPECT_TRUE(second.join().well());
    EXPECT_EQ(*this->items_, 0);
  }
}

// Killed between the change and the notification.
TYPED_TEST(AnyCondition, WhoWaitsWithAPredicateSeesWhatNobodyNotified) {
  Child taker = this->taker();
  this->put();
  EXPECT_TRUE(taker.join().well());
}

// Slices come and go: only a notification, or the time limit, ends the forms without a predicate.
TYPED_TEST(AnyCondition, ATimedWaitWithoutAPredicateIsNotEndedByASlice) {
  std::unique_lock lock(this->mutex_);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(this->condition_.wait_for(lock, 250ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 250ms);
}

TYPED_TEST(AnyCondition, AnOwnerThatDiedIsToldToWhoWaited) {
  Gate held;
  Child waiter([&]() -> int {
    std::unique_lock lock(this->mutex_);
    this->condition_.wait(lock, [&] { return *this->items_ > 0; });
    return this->mutex_.owner_died() && lock.owns_lock() ? 0 : 1;
  });
  test::await_futex_sleep(waiter.pid());
  Child owner([&] {
    this->mutex_.lock();
    *this->items_ = 1;
    this->condition_.notify_one();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  (void)owner.kill();
  EXPECT_TRUE(waiter.join().well());
}

TYPED_TEST(AnyCondition, ByName) {
  const std::string name = unique_name();
  auto first = Condition::create(name).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Condition::create(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(TypeParam::open(name).status()));
  Child child([&] {
    auto condition = Condition::open("/" + name).value();
    std::unique_lock lock(this->mutex_);
    condition.wait(lock, [&] { return *this->items_ > 0; });
  });
  test::await_futex_sleep(child.pid());
  this->put();
  Condition::open_or_create(name)->notify_all();
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(Condition::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Condition::open(name).status()));
}

TYPED_TEST(AnyCondition, CopiesOfAHandleAreTheSameCondition) {
  Condition copy = this->condition_;
  Child child = this->taker();
  this->put();
  copy.notify_one();
  EXPECT_TRUE(child.join().well());
}

TEST(ConditionTest, ARecursiveMutexIsLetGoHoweverOftenItWasLocked) {
  auto mutex = RecursiveMutex::create().value();
  auto condition = Condition::create().value();
  Shared<bool> ready{false};
  Child child([&]() -> int {
    const std::scoped_lock once(mutex), twice(mutex);
    std::unique_lock lock(mutex);
    condition.wait(lock, [&] { return *ready; });
    lock.unlock();
    return Child([&] { return mutex.try_lock() ? 1 : 0; }).join().code;  // two are left
  });
  test::await_futex_sleep(child.pid());
  {
    const std::scoped_lock guard(mutex);
    *ready = true;
  }
  condition.notify_one();
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

using ConditionDeathTest = ::testing::Test;

TEST(ConditionDeathTest, ToWaitWithALockThatIsNotHeldStopsTheProgram) {
  auto mutex = Mutex::create().value();
  auto condition = Condition::create().value();
  EXPECT_DEATH(
      {
        std::unique_lock lock(mutex, std::defer_lock);
        condition.wait(lock);
      },
      "a lock that is held");
  EXPECT_DEATH(
      {
        std::unique_lock<Mutex> lock;
        condition.wait(lock);
      },
      "a lock that is held");
}

// What the mutex says may be a peer's false bytes: no reason to stop the program.
TEST(ConditionTest, ToWaitWithAMutexThatSaysItIsNotHeldIsAnError) {
  auto mutex = Mutex::create().value();
  auto condition = Condition::create().value();
  std::unique_lock lock(mutex, std::adopt_lock);
  try {
    condition.wait(lock);
    FAIL() << "it waited";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_not_permitted);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("a lock that this thread holds"));
  }
}

// Written while this thread waits: it takes the mutex back all the same.
TEST(ConditionTest, AWordThatSaysThatTheWaiterHasTheMutexChangesNothing) {
  const std::string name = unique_name();
  auto mutex = Mutex::create(name).value();
  auto condition = Condition::create().value();
  const test::SegmentFile file(name);
  constexpr std::size_t kState = layout::kObjectOffset + offsetof(layout::Mutex, state);
  std::unique_lock lock(mutex);
  const auto mine = file.read<std::uint64_t>(kState);
  std::thread liar([&] {
    while (file.read<std::uint64_t>(kState) == mine) std::this_thread::yield();
    file.write(kState, mine);
    condition.notify_all();
  });
  condition.wait(lock);
  liar.join();
  lock.unlock();
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_TRUE(mutex.unlock());
}

// Peers' bytes: any count is one.
TEST(ConditionTest, AnyCountWillDo) {
  const std::string name = unique_name();
  auto condition = Condition::create(name).value();
  auto mutex = Mutex::create().value();
  const test::SegmentFile file(name);
  file.write(layout::kObjectOffset + offsetof(layout::Condition, notified), ~std::uint64_t{0});
  file.write(layout::kObjectOffset + offsetof(layout::Condition, waiters), ~std::uint32_t{0} - 1);
  {
    const Blocked waiter([&] {
      std::unique_lock lock(mutex);
      condition.wait(lock);
    });
    condition.notify_one();  // goes round
  }
  file.write(offsetof(layout::SegmentHeader, size), std::uint64_t{8});
  EXPECT_TRUE(absl::IsDataLoss(Condition::open(name).status()));
}

}  // namespace
}  // namespace warren
