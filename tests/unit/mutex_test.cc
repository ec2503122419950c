// Mutex and RecursiveMutex: exclusion, misuse, the death of an owner, handles by fork and by name.
#include <warren/ipc/mutex.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Ended;
using test::Gate;
using test::Shared;
using test::unique_name;
using ::testing::HasSubstr;

template <class M>
class AnyMutex : public ::testing::Test {
 protected:
  // A process that locks, and is killed holding.
  static void die_holding(M& mutex, int locks = 1) {
    Gate held;
    Child owner([&] {
      for (int i = 0; i < locks; ++i) mutex.lock();
      held.open();
      for (;;) ::pause();
    });
    held.wait();
    (void)owner.kill();
  }
};
using Mutexes = ::testing::Types<Mutex, RecursiveMutex>;
TYPED_TEST_SUITE(AnyMutex, Mutexes);

TYPED_TEST(AnyMutex, WorksWithTheStandardGuards) {
  auto a = TypeParam::create().value(), b = TypeParam::create().value();
  { const std::scoped_lock both(a, b); }
  std::unique_lock lock(a, std::try_to_lock);
  EXPECT_TRUE(lock.owns_lock());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_for(1ms));
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_until(std::chrono::steady_clock::now() + 1ms));
}

TYPED_TEST(AnyMutex, ThreadsAndProcessesExcludeEachOther) {
  constexpr int kProcesses = 3, kThreads = 2, kEach = 20'000;
  auto mutex = TypeParam::create().value();
  struct Account {
    long plain = 0, copy = 0;
    std::atomic<int> torn{0};
  };
  Shared<Account> account;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          for (int n = 0; n < kEach; ++n) {
            const std::scoped_lock guard(mutex);
            if (account->plain != account->copy) ++account->torn;
            ++account->plain;
            account->copy = account->plain;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(account->plain, kProcesses * kThreads * kEach);
  EXPECT_EQ(account->torn, 0);
}

TYPED_TEST(AnyMutex, OnlyTheOwnerUnlocks) {
  auto mutex = TypeParam::create().value();
  EXPECT_FALSE(mutex.unlock()) << "nobody holds it";
  mutex.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex.unlock());
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_for(5ms));
  }).join();
  EXPECT_TRUE(Child([&] { return mutex.unlock() || mutex.try_lock() ? 1 : 0; }).join().well());
  EXPECT_TRUE(mutex.unlock());
  EXPECT_FALSE(mutex.unlock());
}

TYPED_TEST(AnyMutex, AForkedChildDoesNotHoldWhatItsParentLocked) {
  auto mutex = TypeParam::create().value();
  mutex.lock();
  Gate tried;
  Child child([&]() -> int {
    if (mutex.unlock() || mutex.try_lock()) return 1;
    tried.open();
    mutex.lock();
    return mutex.owner_died() ? 2 : 0;
  });
  tried.wait();
  EXPECT_TRUE(mutex.unlock());
  EXPECT_EQ(child.join().code, 0);
}

TYPED_TEST(AnyMutex, ATimedWaitEnds) {
  auto mutex = TypeParam::create().value();
  const std::scoped_lock guard(mutex);
  std::thread([&] {
    for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) EXPECT_FALSE(mutex.try_lock_for(d));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(mutex.try_lock_until(begin + 20ms));
    EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
  }).join();
}

TYPED_TEST(AnyMutex, TheNextOnesAreToldOfADeathUntilOneRepairs) {
  auto mutex = TypeParam::create().value();
  this->die_holding(mutex);
  for (int i = 0; i < 2; ++i) {
    mutex.lock();
    EXPECT_TRUE(mutex.owner_died());
    EXPECT_TRUE(absl::IsAborted(mutex.owner_death()));
    EXPECT_TRUE(mutex.unlock());
  }
  std::thread([&] {
    mutex.lock();
    EXPECT_TRUE(mutex.consistent());
    EXPECT_FALSE(mutex.consistent()) << "it is";
    EXPECT_FALSE(mutex.owner_died());
    EXPECT_TRUE(mutex.owner_death().ok());
    mutex.unlock();
  }).join();
  mutex.lock();
  EXPECT_FALSE(mutex.owner_died());
  mutex.unlock();
}

TYPED_TEST(AnyMutex, TheDeadAreNamed) {
  auto mutex = TypeParam::create().value();
  Shared<pid_t> pid;
  (void)Child([&] {
    *pid = ::getpid();
    mutex.lock();
  }).join();
  mutex.lock();
  EXPECT_THAT(std::string(mutex.owner_death().message()), HasSubstr("of process " + std::to_string(*pid)));
  mutex.unlock();
}

TYPED_TEST(AnyMutex, OnlyTheHolderRepairs) {
  auto mutex = TypeParam::create().value();
  this->die_holding(mutex);
  mutex.lock();
  std::thread([&] { EXPECT_FALSE(mutex.consistent()); }).join();
  EXPECT_TRUE(mutex.owner_died());
  mutex.unlock();
}

TYPED_TEST(AnyMutex, WhoOnlyTriesGetsItFromTheDead) {
  auto mutex = TypeParam::create().value();
  this->die_holding(mutex);
  while (!mutex.try_lock()) std::this_thread::yield();
  EXPECT_TRUE(mutex.owner_died());
  mutex.unlock();
}

TYPED_TEST(AnyMutex, SleepersGetItFromTheDead) {
  auto mutex = TypeParam::create().value();
  Gate held;
  Child owner([&] {
    mutex.lock();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  std::vector<Child> sleepers;
  for (int i = 0; i < 3; ++i) {
    sleepers.emplace_back([&]() -> int {
      const std::scoped_lock guard(mutex);
      return mutex.owner_died() ? 0 : 1;
    });
  }
  for (const Child& sleeper : sleepers) test::await_futex_sleep(sleeper.pid());
  (void)owner.kill();
  for (Child& sleeper : sleepers) EXPECT_TRUE(sleeper.join().well());
}

TYPED_TEST(AnyMutex, AThreadThatEndsHoldingIsADeath) {
  auto mutex = TypeParam::create().value();
  std::thread([&] { mutex.lock(); }).join();
  mutex.lock();
  EXPECT_TRUE(mutex.owner_died());
  mutex.consistent();
  mutex.unlock();
}

TYPED_TEST(AnyMutex, AStoppedOwnerIsNotDead) {
  auto mutex = TypeParam::create().value();
  Gate held, go;
  Child owner([&]() -> int {
    mutex.lock();
    held.open();
    go.wait();
    return mutex.unlock() ? 0 : 1;
  });
  held.wait();
  owner.stop();
  EXPECT_FALSE(mutex.try_lock_for(300ms));
  owner.go_on();
  go.open();
  EXPECT_TRUE(owner.join().well());
  mutex.lock();
  EXPECT_FALSE(mutex.owner_died());
  mutex.unlock();
}

TYPED_TEST(AnyMutex, ByName) {
  const std::string name = unique_name();
  auto first = TypeParam::create(name).value();
  EXPECT_TRUE(absl::IsAlreadyExists(TypeParam::create(name).status()));
  EXPECT_TRUE(Child([&]() -> int {
                auto mutex = TypeParam::open("/" + name).value();
                mutex.lock();
                return mutex.unlock() ? 0 : 1;
              })
                  .join()
                  .well());
  auto second = TypeParam::open_or_create(name).value();
  first.lock();
  EXPECT_FALSE(Child([&]() -> int { return TypeParam::open(name)->try_lock() ? 1 : 0; }).join().code);
  first.unlock();
  EXPECT_TRUE(TypeParam::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(TypeParam::open(name).status()));
}

TYPED_TEST(AnyMutex, CopiesOfAHandleAreTheSameMutex) {
  auto mutex = TypeParam::create().value();
  TypeParam copy = mutex;
  copy.lock();
  EXPECT_TRUE(mutex.unlock());
}

TEST(MutexTest, AnotherTypeOfThatNameIsRefused) {
  const std::string name = unique_name();
  const auto mutex = Mutex::create(name).value();
  const absl::Status status = RecursiveMutex::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a mutex, not a recursive_mutex"));
}

template <class F>
std::error_code error_of(F&& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

// Each opening has lanes of its own, and so another owner's word for one and the same thread.
template <class M>
void expect_own_lock_is_known_through_another_handle() {
  const std::string name = test::unique_name();
  auto first = M::create(name).value();
  auto second = M::open(name).value();
  first.lock();
  EXPECT_FALSE(second.try_lock());
  EXPECT_FALSE(second.try_lock_for(1ms));
  EXPECT_FALSE(second.unlock());
  EXPECT_TRUE(first.unlock());
  first.lock();
  EXPECT_EQ(error_of([&] { second.lock(); }), std::errc::resource_deadlock_would_occur);
  EXPECT_TRUE(first.unlock());
  // Another thread of this process waits, and gets it.
  first.lock();
  std::thread other([&] {
    EXPECT_FALSE(second.try_lock_for(5ms));
    second.lock();
    EXPECT_TRUE(second.unlock());
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(first.unlock());
  other.join();
  second.lock();
  EXPECT_TRUE(second.unlock());
}
TEST(MutexTest, OnesOwnThroughAnotherHandleIsAnError) { expect_own_lock_is_known_through_another_handle<Mutex>(); }
TEST(MutexTest, OnesOwnRecursiveOneThroughAnotherHandleIsAnError) {
  expect_own_lock_is_known_through_another_handle<RecursiveMutex>();
}

TEST(MutexTest, RelockingOnesOwnIsAnError) {
  auto mutex = Mutex::create().value();
  mutex.lock();
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_for(1s)) << "it would never become free";
  try {
    mutex.lock();
    FAIL() << "locked twice";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_deadlock_would_occur);
    EXPECT_THAT(e.what(), HasSubstr("locked this Mutex already"));
    EXPECT_THAT(e.what(), HasSubstr("a RecursiveMutex may be locked again"));
  }
  EXPECT_TRUE(mutex.unlock()) << "it is held once";
  EXPECT_FALSE(mutex.unlock());
}

TEST(RecursiveMutexTest, IsFreeAfterAsManyUnlocks) {
  auto mutex = RecursiveMutex::create().value();
  for (int i = 0; i < 3; ++i) mutex.lock();
  EXPECT_TRUE(mutex.try_lock());
  const auto others_get_it = [&] { return Child([&] { return mutex.try_lock() ? 0 : 1; }).join().well(); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(mutex.unlock());
    EXPECT_FALSE(others_get_it());
  }
  EXPECT_TRUE(mutex.unlock());
  EXPECT_FALSE(mutex.unlock());
  EXPECT_TRUE(others_get_it());
}

TEST(RecursiveMutexTest, TheDepthOfTheDeadIsForgotten) {
  auto mutex = RecursiveMutex::create().value();
  (void)Child([&] {
    for (int i = 0; i < 5; ++i) mutex.lock();
  }).join();
  mutex.lock();
  EXPECT_TRUE(mutex.owner_died());
  mutex.consistent();
  EXPECT_TRUE(mutex.unlock());
  EXPECT_FALSE(mutex.unlock());
}

// Nobody locks as often; a peer may write so.
TEST(RecursiveMutexTest, ADepthAtItsEndStaysLocked) {
  const std::string name = unique_name();
  auto mutex = RecursiveMutex::create(name).value();
  const auto set_depth = [&](std::uint32_t depth) {
    test::SegmentFile(name).write(layout::kObjectOffset + offsetof(layout::Mutex, depth), depth);
  };
  std::thread([&] {
    mutex.lock();
    set_depth(0xffff'fffe);
    mutex.lock();
    mutex.lock();
    EXPECT_TRUE(mutex.try_lock());
    EXPECT_TRUE(mutex.unlock());
    EXPECT_TRUE(mutex.unlock());
    EXPECT_TRUE(mutex.unlock());
    std::thread([&] { EXPECT_FALSE(mutex.try_lock()); }).join();
  }).join();
  mutex.lock();  // its owner has ended
  EXPECT_TRUE(mutex.owner_died());
  mutex.consistent();
  mutex.unlock();
}

// The generation of the owner's lane is its last one, and the next is 0.
TYPED_TEST(AnyMutex, AnOwnerBeforeTheWrapOfItsLanesGenerationIsFoundDead) {
  auto mutex = TypeParam::create().value();
  detail::Attachment& attachment = test::Reach::attachment(mutex);
  (void)attachment.seat();
  const std::uint32_t next = attachment.lanes_high();
  std::thread([&] { EXPECT_EQ(attachment.seat().lane_index, next); }).join();
  attachment.lane(next).identity = layout::LaneIdentity{.generation = 0xffff}.word();
  std::thread([&] { mutex.lock(); }).join();
  EXPECT_EQ(layout::LaneIdentity::from(attachment.lane(next).identity).generation, 0);
  std::thread([&] {
    mutex.lock();
    EXPECT_TRUE(mutex.owner_died());
    EXPECT_EQ(attachment.seat().lane_index, next);
    EXPECT_TRUE(mutex.consistent());
    EXPECT_TRUE(mutex.unlock());
  }).join();
}

// 16,384 lives of a lane and more: what remembers an owner must not take a later one for it.
TEST(MutexTest, ManyOwnersComeAndGo) {
  auto mutex = Mutex::create().value();
  for (int i = 0; i < 1000; ++i) std::thread([&] { const std::scoped_lock guard(mutex); }).join();
  EXPECT_FALSE(mutex.owner_died());
}

// Peers' bytes: a word that cannot be is somebody's who is gone.
TEST(MutexTest, AnOwnerThatCannotBeIsDead) {
  const std::string name = unique_name();
  auto mutex = Mutex::create(name).value();
  const layout::MutexState forged{.lane = 60'000, .generation = 7, .thread = 1, .held = true};
  test::SegmentFile(name).write(layout::kObjectOffset + offsetof(layout::Mutex, state), forged.word());
  mutex.lock();
  EXPECT_TRUE(mutex.owner_died());
  mutex.unlock();
}

// Nor does a word that names the very thread that looks stop its program.
TEST(MutexTest, AWordThatSaysThatThisThreadHasItIsAnError) {
  const std::string name = unique_name();
  auto mutex = Mutex::create(name).value();
  const test::SegmentFile file(name);
  constexpr std::size_t kState = layout::kObjectOffset + offsetof(layout::Mutex, state);
  mutex.lock();
  const auto mine = file.read<std::uint64_t>(kState);
  ASSERT_TRUE(mutex.unlock());
  file.write(kState, mine);
  EXPECT_EQ(error_of([&] { const std::scoped_lock guard(mutex); }), std::errc::resource_deadlock_would_occur);
  EXPECT_FALSE(mutex.try_lock_for(1s));
  EXPECT_TRUE(mutex.unlock());
  mutex.lock();
  EXPECT_TRUE(mutex.unlock());
}

}  // namespace
}  // namespace warren
