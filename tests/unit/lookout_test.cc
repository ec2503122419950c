// Lookouts: whoever sleeps for what a dead process had is told soon, however many are attached. Slices never end in
// these tests, so whatever comes of a death comes of a look.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/event.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/semaphore.h>
#include <warren/ipc/shared_mutex.h>
#include <warren/layout/event.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/no_slices.h"
#include "support/reach.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using detail::Lookout;
using layout::LaneIdentity;
using Phase = LaneIdentity::Phase;
using test::Child;
using test::Gate;
using test::NoSlices;
using test::Reach;

// In this process and in those that it forks.
class OnlyLooks {
 public:
  OnlyLooks() { detail::wait_tuning().look_ns = 2'000'000; }
  OnlyLooks(const OnlyLooks&) = delete;
  OnlyLooks& operator=(const OnlyLooks&) = delete;

 private:
  const NoSlices no_slices_;
};

// More than forty lanes of others, who do nothing.
class Crowd {
 public:
  explicit Crowd(detail::Attachment& attachment) {
    constexpr int kProcesses = 4, kThreads = 11;
    Gate seated;
    for (int i = 0; i < kProcesses; ++i) {
      idle_.emplace_back([&] {
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t) {
          threads.emplace_back([&] {
            (void)attachment.seat();
            seated.arrive();
            Gate().wait();
          });
        }
        threads.front().join();
      });
    }
    seated.wait_for(kProcesses * kThreads);
    EXPECT_GE(attachment.lanes_high(), 40u);
  }

 private:
  std::vector<Child> idle_;
};

void stay() {
  for (;;) ::pause();
}

// `hold` is what the one does who then dies, and `wait` what another sleeps in; true: as it should.
template <class Hold, class Wait>
void expect_told(const Handle& object, const Hold& hold, const Wait& wait) {
  const OnlyLooks only_looks;
  const Crowd crowd(Reach::attachment(object));
  Gate held;
  Child victim([&] {
    hold();
    held.open();
    stay();
  });
  held.wait();
  Child survivor([&] { return wait() ? 0 : 1; });
  test::await_futex_sleep(survivor.pid());
  victim.kill_but_not_reap();
  EXPECT_TRUE(survivor.join().well());
}

// --- for every object ------------------------------------------------------------------------------------------------

TEST(ADeathIsTold, ToWhoWaitsForAMutex) {
  auto mutex = Mutex::create().value();
  expect_told(
      mutex, [&] { mutex.lock(); }, [&] { return mutex.lock(), mutex.owner_died(); });
}

TEST(ADeathIsTold, ToAWriterWhoWaitsForAReader) {
  auto mutex = SharedMutex::create().value();
  expect_told(
      mutex, [&] { mutex.lock_shared(); }, [&] { return mutex.lock(), !mutex.owner_died(); });
}

TEST(ADeathIsTold, ToAReaderWhoWaitsForAWriter) {
  auto mutex = SharedMutex::create().value();
  expect_told(
      mutex, [&] { mutex.lock(); }, [&] { return mutex.lock_shared(), mutex.owner_died(); });
}

TEST(ADeathIsTold, ToWhoWaitsForOneOfManyPermits) {
  auto semaphore = BoundedSemaphore::create(100).value();
  for (int i = 0; i < 99; ++i) semaphore.acquire();
  expect_told(
      semaphore, [&] { semaphore.acquire(); }, [&] { return semaphore.acquire(), true; });
}

TEST(ADeathIsTold, ToTheOtherPartiesOfABarrier) {
  auto barrier = Barrier::create(2).value();
  const auto party = [&] {
    const detail::LaneRef lane = Reach::attachment(barrier).process_lane(Reach::attachment(barrier).seat());
    Reach::attachment(barrier).lane(lane.index).announcement = layout::barrier_party(lane.generation);
  };
  expect_told(barrier, party, [&] { return absl::IsAborted(barrier.arrive_and_wait().status()); });
}

TEST(ADeathIsTold, ToWhoWaitsForTheMutexOfACondition) {
  auto mutex = Mutex::create().value();
  auto condition = Condition::create().value();
  const auto wait = [&] {
    std::unique_lock lock(mutex);  // of the dead: asleep here
    return mutex.owner_died() && !condition.wait_for(lock, 1ms, [] { return false; });
  };
  expect_told(
      mutex, [&] { mutex.lock(); }, wait);
}

TEST(ADeathIsTold, ToWhoWaitsForAnItemOnLease) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(7));
  std::optional<Lease<int>> lease;
  expect_told(
      queue, [&] { lease.emplace(queue.lease()); }, [&] { return queue.pop() == 7; });
}

TEST(ADeathIsTold, ToWhoJoinsAQueue) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(7));
  expect_told(
      queue, [&] { (void)queue.pop(); }, [&] { return absl::IsAborted(queue.join()); });
}

TEST(ADeathIsTold, ToAWriterWhoWaitsForASubscriber) {
  auto broadcast = Broadcast<int>::create({.capacity = 1, .slow_reader = SlowReader::kBlocksWriter}).value();
  std::optional<Subscriber<int>> subscriber;
  const auto subscribe = [&] {
    subscriber.emplace(broadcast.subscribe().value());
    while (broadcast.try_push(1)) {
    }
  };
  expect_told(broadcast, subscribe, [&] { return broadcast.push(2); });
}

// Whoever dies between what it did and the wake that should follow.
TEST(ADeathIsTold, ToWhomTheDeadShouldHaveWoken) {
  auto event = Event::create().value();
  const OnlyLooks only_looks;
  const Crowd crowd(Reach::attachment(event));
  Child survivor([&] { event.wait(); });
  test::await_futex_sleep(survivor.pid());
  Child victim([&] {
    (void)Reach::attachment(event).seat();
    reinterpret_cast<layout::Event*>(Reach::attachment(event).object())->state = layout::EventState{}.when_set().word();
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(survivor.join().well());
}

TEST(ADeathIsTold, ToAllWhoWait) {
  auto semaphore = BoundedSemaphore::create(3).value();
  const OnlyLooks only_looks;
  const Crowd crowd(Reach::attachment(semaphore));
  Gate held;
  Child victim([&] {
    for (int i = 0; i < 3; ++i) semaphore.acquire();
    held.open();
    stay();
  });
  held.wait();
  std::vector<Child> survivors;
  for (int i = 0; i < 3; ++i) {
    survivors.emplace_back([&] {
      semaphore.acquire();
      stay();
    });
    test::await_futex_sleep(survivors.back().pid());
  }
  victim.kill_but_not_reap();
  while (semaphore.approx_value() != 0 || Reach::attachment(semaphore).sweep() != 0) ::sched_yield();
}

// The control: what the tests above see is a look's doing.
TEST(ADeathIsTold, NotWithoutLooks) {
  auto mutex = Mutex::create().value();
  const NoSlices no_slices;
  Gate held;
  Child victim([&] {
    mutex.lock();
    held.open();
    stay();
  });
  held.wait();
  Child survivor([&] { mutex.lock(); });
  test::await_futex_sleep(survivor.pid());
  victim.kill_but_not_reap();
  std::this_thread::sleep_for(200ms);
  test::await_futex_sleep(survivor.pid());
}

// --- who looks -------------------------------------------------------------------------------------------------------

class Lookouts : public ::testing::Test {
 protected:
  // A lane made up by hand.
  std::uint32_t forge(pid_t pid, Phase phase = Phase::kLive) {
    std::uint32_t index = 0;
    std::thread([&] { index = at_->seat().lane_index; }).join();  // of a thread that has just ended
    layout::Lane& lane = at_->lane(index);
    const detail::ProcessIdentity& self = detail::this_process();
    lane.start_time = phase == Phase::kLive ? 1 : 0;
    lane.pid_namespace = self.pid_namespace;
    lane.time_namespace = self.time_namespace;
    const bool own = pid == self.pid;
    lane.identity = LaneIdentity{.pid = static_cast<std::uint32_t>(pid),
                                 .start_low = own ? self.start_low() : 1,
                                 .generation = 7,
                                 .phase = phase}
                        .word();
    return index;
  }
  static pid_t reaped() {
    Child child([] {});
    const pid_t pid = child.pid();
    child.join();
    return pid;
  }
  // At a time that many periods after the test began.
  bool found(Lookout& lookout, double periods) const { return lookout.found_dead(at(periods)); }
  bool found(double periods = 0) const {
    Lookout lookout(*at_);
    return found(lookout, periods);
  }
  [[nodiscard]] detail::Time at(double periods) const {
    return begin_ + std::chrono::nanoseconds(static_cast<std::int64_t>(periods * kPeriod.count()));
  }
  // Of the next look, in periods from then on.
  [[nodiscard]] double next(const Lookout& lookout, double periods) const {
    return static_cast<double>((lookout.next(at(periods)) - at(periods)).count()) / kPeriod.count();
  }
  void expect_next(const Lookout& lookout, double now, double periods) const {
    EXPECT_LE(next(lookout, now), periods);
    EXPECT_GE(next(lookout, now), periods * 0.74);
  }
  layout::SegmentHeader& header() const {
    return *reinterpret_cast<layout::SegmentHeader*>(at_->object() - layout::kObjectOffset);
  }
  static constexpr std::chrono::nanoseconds kPeriod = 32ms;
  const detail::Time begin_ = std::chrono::steady_clock::now();
  detail::Attachment::Pointer at_ =
      detail::Attachment::create({}, {.kind = layout::ObjectKind::kRaw, .size = 4096, .wait_words = {64}}, {}).value();
};

TEST_F(Lookouts, FindNobodyWhereAllLive) {
  Gate seated;
  Child stopped([&] {
    (void)at_->seat();
    seated.open();
    stay();
  });
  seated.wait();
  stopped.stop();
  EXPECT_FALSE(found());
}

TEST_F(Lookouts, FindTheReapedAndTheZombie) {
  (void)forge(reaped());
  EXPECT_TRUE(found(0));
  EXPECT_EQ(at_->sweep(), 1u);
  EXPECT_FALSE(found(1));
  Gate seated;
  Child zombie([&] {
    (void)at_->seat();
    seated.open();
    stay();
  });
  seated.wait();
  zombie.kill_but_not_reap();
  EXPECT_TRUE(found(2));
}

// The hint says that it may be gone, and the kernel that it is not.
TEST_F(Lookouts, DoNotTakeAThreadForDeadWhoseLeaderEnded) {
  Gate seated;
  Child child([&] {
    std::thread([&] {
      (void)at_->seat();
      seated.open();
      stay();
    }).detach();
    ::syscall(SYS_exit, 0);
  });
  seated.wait();
  while (!detail::seems_gone(child.pid())) ::sched_yield();
  EXPECT_FALSE(found());
}

TEST_F(Lookouts, OfAnotherNamespaceFindNobody) {
  const std::uint32_t index = forge(reaped());
  at_->lane(index).pid_namespace = detail::this_process().pid_namespace + 1;
  EXPECT_FALSE(found());
}

// The pid that one has there was another one's here.
TEST_F(Lookouts, OfAnotherNamespaceHideNobodyOfThisOne) {
  const pid_t pid = reaped();
  const std::uint32_t foreign = forge(pid), local = forge(pid);
  ASSERT_LT(foreign, local);
  at_->lane(foreign).pid_namespace = detail::this_process().pid_namespace + 1;
  EXPECT_TRUE(found());
}

TEST_F(Lookouts, OneLooksForAllAndGoesOn) {
  (void)forge(reaped());
  Lookout a(*at_), b(*at_);
  expect_next(a, 0, 1);
  EXPECT_TRUE(found(a, 0));
  EXPECT_FALSE(found(b, 0.9)) << "a has looked";
  expect_next(a, 0, 1);
  expect_next(b, 0.5, 1.5);
  EXPECT_TRUE(found(a, 0.8));
  EXPECT_FALSE(found(b, 1.7));
}

// It has what it waited for; or it died, or stands still, also within a look.
TEST_F(Lookouts, ALookerThatIsGoneIsReplaced) {
  (void)forge(reaped());
  Lookout a(*at_), b(*at_);
  EXPECT_TRUE(found(a, 0));
  expect_next(b, 0.1, 1.9);
  EXPECT_TRUE(found(b, 1.5));
  EXPECT_FALSE(found(a, 2)) << "it came back too late";
  expect_next(a, 2, 1.5);
  EXPECT_TRUE(found(b, 2.5));
}

TEST_F(Lookouts, GoThroughAllLanes) {
  std::vector<std::thread> threads;
  Gate seated, end;
  for (std::uint32_t i = 0; i < 3 * Lookout::kLanes; ++i) {
    threads.emplace_back([&] {
      (void)at_->seat();
      seated.arrive();
      end.wait();
    });
  }
  seated.wait_for(3 * Lookout::kLanes);
  (void)forge(reaped());
  int times = 0;
  for (int i = 0; i < 8; ++i) times += found(i) ? 1 : 0;
  EXPECT_EQ(times, 2) << "one in four";
  expect_next(Lookout(*at_), 7.5, 4.5);  // who does not look
  end.open();
  for (std::thread& thread : threads) thread.join();
}

// A clock that is shifted against this one, or a peer that lies.
TEST_F(Lookouts, AreNotKeptFromItByALookThatIsYetToCome) {
  (void)forge(reaped());
  for (const std::uint64_t said : {~std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 63}) {
    header().looked_ns = said;
    Lookout lookout(*at_);
    expect_next(lookout, 0, 1);
    EXPECT_TRUE(found(lookout, 0));
  }
  header().looks = ~0u;
  EXPECT_TRUE(found(1));
  EXPECT_EQ(header().looks, 0u);
}

TEST_F(Lookouts, TellOnceOfALaneThatAnotherOneSweeps) {
  (void)forge(::getpid(), Phase::kSweeping);
  Lookout lookout(*at_);
  EXPECT_TRUE(found(lookout, 0));
  EXPECT_FALSE(found(lookout, 1));
  EXPECT_FALSE(found(2)) << "in a later sleep";
}

// Their sweepers stand still, and each look would be a sweep that wakes all.
TEST_F(Lookouts, TellOnceOfEachOfSeveralLanesThatOthersSweep) {
  for (int i = 0; i < 3; ++i) (void)forge(::getpid(), Phase::kSweeping);
  Lookout lookout(*at_);
  int times = 0;
  for (int i = 0; i < 9; ++i) times += found(lookout, i) ? 1 : 0;
  EXPECT_EQ(times, 3);
}

TEST_F(Lookouts, FindADeadSweeper) {
  (void)forge(reaped(), Phase::kSweeping);
  Lookout lookout(*at_);
  EXPECT_TRUE(found(lookout, 0));
  EXPECT_TRUE(found(lookout, 1));
}

// Whoever is being swept can hold nothing any more, though its sweeper may stand still.
TEST_F(Lookouts, WhoIsBeingSweptHoldsNothing) {
  const std::uint32_t index = forge(::getpid(), Phase::kSweeping);
  EXPECT_TRUE(at_->lane_given_back(index, 7));
  EXPECT_FALSE(at_->holds_lane(index, 7));
}

}  // namespace
}  // namespace warren
