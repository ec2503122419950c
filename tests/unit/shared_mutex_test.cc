// SharedMutex: many readers or one writer, writers first, misuse, deaths of either, handles by fork and by name.
#include <warren/ipc/shared_mutex.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <string>
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
using ::testing::HasSubstr;

// A process that locks, and goes on holding until it is killed.
template <class Lock>
Child holder_by(Lock lock) {
  Gate held;
  Child holder([&] {
    lock();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  return holder;
}

bool another_reads(SharedMutex& mutex) {
  return Child([&] { return mutex.try_lock_shared() ? 0 : 1; }).join().well();
}

TEST(SharedMutexTest, WorksWithTheStandardGuards) {
  auto a = SharedMutex::create().value(), b = SharedMutex::create().value();
  { const std::scoped_lock both(a, b); }
  {
    const std::shared_lock reads(a);
    EXPECT_TRUE(another_reads(a));
  }
  { const std::unique_lock writes(a); }
  std::shared_lock lock(a, std::try_to_lock);
  EXPECT_TRUE(lock.owns_lock());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_for(1ms));
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_until(std::chrono::steady_clock::now() + 1ms));
}

TEST(SharedMutexTest, ManyReadersOrOneWriter) {
  constexpr int kProcesses = 2, kThreads = 2, kEach = 10'000;
  auto mutex = SharedMutex::create().value();
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
        threads.emplace_back([&, t] {
          for (int n = 0; n < kEach; ++n) {
            if (t == 0) {
              const std::scoped_lock guard(mutex);
              ++account->plain;
              account->copy = account->plain;
            } else {
              const std::shared_lock guard(mutex);
              if (account->plain != account->copy) ++account->torn;
            }
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(account->plain, kProcesses * kEach);
  EXPECT_EQ(account->torn, 0);
}

TEST(SharedMutexTest, ReadersKeepWritersOutAndTheOtherWayRound) {
  auto mutex = SharedMutex::create().value();
  mutex.lock_shared();
  EXPECT_TRUE(another_reads(mutex));
  EXPECT_TRUE(Child([&] { return mutex.try_lock() || mutex.try_lock_for(3ms) ? 1 : 0; }).join().well());
  EXPECT_TRUE(another_reads(mutex)) << "the writer gave up";
  EXPECT_TRUE(mutex.unlock_shared());
  mutex.lock();
  EXPECT_TRUE(Child([&] { return mutex.try_lock_shared() || mutex.try_lock_shared_for(3ms) ? 1 : 0; }).join().well());
  EXPECT_TRUE(mutex.unlock());
}

TEST(SharedMutexTest, AWriterWhoWaitsComesBeforeNewReaders) {
  auto mutex = SharedMutex::create().value();
  mutex.lock_shared();
  Gate wrote;
  Child writer([&] {
    mutex.lock();
    wrote.open();
    mutex.unlock();
  });
  test::await_futex_sleep(writer.pid());
  EXPECT_FALSE(another_reads(mutex));
  Child reader([&] {
    mutex.lock_shared();
    return mutex.unlock_shared() ? 0 : 1;
  });
  test::await_futex_sleep(reader.pid());
  EXPECT_TRUE(mutex.unlock_shared());
  wrote.wait();
  EXPECT_TRUE(writer.join().well());
  EXPECT_TRUE(reader.join().well());
}

TEST(SharedMutexTest, AWriterThatGivesUpLetsTheReadersIn) {
  auto mutex = SharedMutex::create().value();
  mutex.lock_shared();
  Child writer([&] { return mutex.try_lock_for(50ms) ? 1 : 0; });
  test::await_futex_sleep(writer.pid());
  Child reader([&] { mutex.lock_shared(); });
  EXPECT_TRUE(reader.join().well());
  EXPECT_TRUE(writer.join().well());
  EXPECT_TRUE(mutex.unlock_shared());
}

TEST(SharedMutexTest, OnlyAHolderUnlocks) {
  auto mutex = SharedMutex::create().value();
  EXPECT_FALSE(mutex.unlock());
  EXPECT_FALSE(mutex.unlock_shared());
  mutex.lock_shared();
  EXPECT_FALSE(mutex.unlock()) << "it reads";
  std::thread([&] { EXPECT_FALSE(mutex.unlock_shared()); }).join();
  EXPECT_TRUE(Child([&] { return mutex.unlock_shared() ? 1 : 0; }).join().well()) << "a forked child reads not";
  EXPECT_TRUE(mutex.unlock_shared());
  EXPECT_FALSE(mutex.unlock_shared());
  mutex.lock();
  EXPECT_FALSE(mutex.unlock_shared()) << "it writes";
  EXPECT_TRUE(mutex.unlock());
}

TEST(SharedMutexTest, ATimedWaitEnds) {
  auto mutex = SharedMutex::create().value();
  const std::scoped_lock guard(mutex);
  std::thread([&] {
    for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) {
      EXPECT_FALSE(mutex.try_lock_for(d));
      EXPECT_FALSE(mutex.try_lock_shared_for(d));
    }
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(mutex.try_lock_shared_until(begin + 20ms));
    EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
  }).join();
}

TEST(SharedMutexTest, AsManyReadersAsThereAreCellsAndNoMore) {
  auto mutex = SharedMutex::create().value();
  Gate all, go;
  Child readers([&] {
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < layout::kReaderCells; ++i) {
      threads.emplace_back([&] {
        mutex.lock_shared();
        all.arrive();
        go.wait();
        mutex.unlock_shared();
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  all.wait_for(layout::kReaderCells);
  EXPECT_FALSE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock_shared_for(3ms));
  Blocked late([&] {
    mutex.lock_shared();
    mutex.unlock_shared();
  });
  go.open();
  late.join();
  EXPECT_TRUE(readers.join().well());
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

// --- deaths ----------------------------------------------------------------------------------------------------------

TEST(SharedMutexTest, ADeadReaderKeepsNoWriterOut) {
  auto mutex = SharedMutex::create().value();
  Child reader = holder_by([&] { mutex.lock_shared(); });
  Child writer([&]() -> int {
    mutex.lock();
    return mutex.owner_died() ? 1 : 0;
  });
  test::await_futex_sleep(writer.pid());
  reader.kill_but_not_reap();
  EXPECT_TRUE(writer.join().well());
}

TEST(SharedMutexTest, WhoOnlyTriesGetsItFromTheDead) {
  auto mutex = SharedMutex::create().value();
  {
    Child reader = holder_by([&] { mutex.lock_shared(); });
    (void)reader.kill();
  }
  while (!mutex.try_lock()) std::this_thread::yield();
  EXPECT_FALSE(mutex.owner_died()) << "a reader damages nothing";
  mutex.unlock();
  {
    Child writer = holder_by([&] { mutex.lock(); });
    (void)writer.kill();
  }
  while (!mutex.try_lock_shared()) std::this_thread::yield();
  EXPECT_TRUE(mutex.owner_died());
  mutex.unlock_shared();
}

TEST(SharedMutexTest, ADeadWriterIsToldToAllUntilOneRepairs) {
  auto mutex = SharedMutex::create().value();
  Child writer = holder_by([&] { mutex.lock(); });
  const pid_t pid = writer.pid();
  Child sleeper([&]() -> int {
    mutex.lock_shared();
    return mutex.owner_died() && mutex.unlock_shared() ? 0 : 1;
  });
  test::await_futex_sleep(sleeper.pid());
  (void)writer.kill();
  EXPECT_TRUE(sleeper.join().well());
  mutex.lock_shared();
  EXPECT_TRUE(mutex.owner_died());
  EXPECT_THAT(std::string(mutex.owner_death().message()), HasSubstr("of process " + std::to_string(pid)));
  EXPECT_FALSE(mutex.consistent()) << "a reader repairs nothing";
  mutex.unlock_shared();
  mutex.lock();
  EXPECT_TRUE(mutex.owner_died());
  EXPECT_TRUE(mutex.consistent());
  EXPECT_FALSE(mutex.consistent()) << "it is";
  mutex.unlock();
  const std::shared_lock guard(mutex);
  EXPECT_FALSE(mutex.owner_died());
  EXPECT_TRUE(mutex.owner_death().ok());
}

TEST(SharedMutexTest, AThreadThatEndsReadingIsForgotten) {
  auto mutex = SharedMutex::create().value();
  std::thread([&] { mutex.lock_shared(); }).join();
  mutex.lock();
  EXPECT_FALSE(mutex.owner_died());
  mutex.unlock();
}

TEST(SharedMutexTest, AStoppedReaderIsNotDead) {
  auto mutex = SharedMutex::create().value();
  Child reader = holder_by([&] { mutex.lock_shared(); });
  reader.stop();
  EXPECT_FALSE(mutex.try_lock_for(300ms));
  (void)reader.kill();
  mutex.lock();
  mutex.unlock();
}

// --- handles, misuse, a peer's bytes ---------------------------------------------------------------------------------

TEST(SharedMutexTest, ByName) {
  const std::string name = unique_name();
  auto mutex = SharedMutex::create(name).value();
  EXPECT_TRUE(absl::IsAlreadyExists(SharedMutex::create(name).status()));
  mutex.lock_shared();
  EXPECT_TRUE(Child([&] {
                auto other = SharedMutex::open("/" + name).value();
                return other.try_lock_shared() && other.unlock_shared() && !other.try_lock() ? 0 : 1;
              })
                  .join()
                  .well());
  mutex.unlock_shared();
  EXPECT_TRUE(SharedMutex::open_or_create(name).ok());
  EXPECT_TRUE(SharedMutex::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(SharedMutex::open(name).status()));
}

TEST(SharedMutexTest, TryingAgainInOneThreadIsRefused) {
  auto mutex = SharedMutex::create().value();
  mutex.lock_shared();
  EXPECT_FALSE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_for(1s)) << "it would never become free";
  EXPECT_FALSE(mutex.try_lock_shared_for(1s));
  EXPECT_TRUE(mutex.unlock_shared());
  mutex.lock();
  EXPECT_FALSE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
}

TEST(SharedMutexTest, RelockingIsAnError) {
  const auto locks = [](auto first, auto second) -> std::string {
    auto mutex = SharedMutex::create().value();
    first(mutex);
    try {
      second(mutex);
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_deadlock_would_occur);
      return e.what();
    }
    return "it was locked twice";
  };
  const auto write = [](SharedMutex& m) { m.lock(); };
  const auto read = [](SharedMutex& m) { m.lock_shared(); };
  const auto says_so = HasSubstr("locked this SharedMutex already");
  EXPECT_THAT(locks(read, write), says_so);
  EXPECT_THAT(locks(write, read), says_so);
  EXPECT_THAT(locks(read, read), says_so);
  EXPECT_THAT(locks(write, write), says_so);
}

TEST(SharedMutexTest, BytesThatCannotBe) {
  const std::string name = unique_name();
  auto mutex = SharedMutex::create(name).value();
  const test::SegmentFile file(name);
  file.write(layout::kObjectOffset + offsetof(layout::SharedMutex, cells_high), 0xffff'ffffu);
  for (std::uint32_t i = 0; i < layout::kReaderCells; ++i) {
    const layout::OwnedCell forged{.lane = 60'000, .generation = 7, .note = i, .owned = i % 2 == 0};
    file.write(layout::kObjectOffset + offsetof(layout::SharedMutex, cells) + i * sizeof(layout::ReaderCell),
               forged.word());
  }
  EXPECT_TRUE(mutex.try_lock_shared());
  EXPECT_TRUE(mutex.unlock_shared());
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.owner_died());
  EXPECT_TRUE(mutex.unlock());
  const layout::MutexState nobody{.lane = 60'000, .generation = 7, .thread = 1, .held = true};
  file.write(layout::kObjectOffset + offsetof(layout::Mutex, state), nobody.word());
  EXPECT_TRUE(mutex.try_lock_shared());
  EXPECT_TRUE(mutex.owner_died());
  EXPECT_TRUE(mutex.unlock_shared());
}

}  // namespace
}  // namespace warren
