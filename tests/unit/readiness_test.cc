// fileno() of queues and events: readable while there is something, for loops of events and wait(); deaths, forks, and
// what it costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <warren/ipc/event.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/limits.h"
#include "support/reach.h"
#include "support/readiness.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Census;
using test::Child;
using test::Gate;
using test::kAges;
using test::readable;
using test::Readiness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using QueueReadiness = Readiness;
using EventReadiness = Readiness;

// --- level: readable means try now -----------------------------------------------------------------------------------

TEST_F(QueueReadiness, IsReadableUntilATryPopFindsNothing) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(i));
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(readable(queue, kAges));
      ASSERT_EQ(queue.try_pop(), i);
    }
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    EXPECT_FALSE(readable(queue)) << round;
  }
}

TEST_F(QueueReadiness, WhatLayThereBeforeItWasAskedForCounts) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  ASSERT_TRUE(queue.push(1));
  EXPECT_TRUE(readable(queue, kAges));
}

TEST_F(QueueReadiness, EveryCallThatFindsNothingQuietensIt) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  int out = 0;
  const auto after = [&](const auto& call) {
    EXPECT_TRUE(queue.push(1));
    EXPECT_TRUE(readable(queue, kAges));
    EXPECT_EQ(queue.pop(), 1);
    call();
    EXPECT_FALSE(readable(queue));
  };
  after([&] { EXPECT_EQ(queue.try_pop(), std::nullopt); });
  after([&] { EXPECT_EQ(queue.try_pop_for(0s), std::nullopt); });
  after([&] { EXPECT_EQ(queue.try_pop_for(1ms), std::nullopt); });
  after([&] { EXPECT_EQ(queue.try_pop_n({&out, 1}), 0u); });
  after([&] { EXPECT_FALSE(queue.try_borrow()); });
  after([&] { EXPECT_THAT(wait({queue}, 0s), IsEmpty()); });
}

TEST_F(QueueReadiness, UnboundedQueuesAndStringsHaveOneToo) {
  auto numbers = Queue<int>::create().value();
  EXPECT_FALSE(readable(numbers));
  ASSERT_TRUE(numbers.push(1));
  ASSERT_TRUE(readable(numbers, kAges));
  auto queue = Queue<std::string>::create({.capacity = 4}).value();
  EXPECT_FALSE(readable(queue));
  for (const std::size_t size : {std::size_t{3}, std::size_t{5'000}}) {
    ASSERT_TRUE(queue.push(std::string(size, 'x')));
    ASSERT_TRUE(readable(queue, kAges));
    EXPECT_EQ(queue.try_pop()->size(), size);
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    EXPECT_FALSE(readable(queue));
  }
}

TEST_F(QueueReadiness, AClosedOneIsReadableForEver) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  ASSERT_TRUE(queue.push(1));
  queue.close();
  ASSERT_TRUE(readable(queue, kAges));
  EXPECT_EQ(queue.try_pop(), 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    int out = 0;
    EXPECT_EQ(queue.try_pop_n({&out, 1}), 0u);
    EXPECT_TRUE(readable(queue)) << "the end";
  }
}

TEST_F(QueueReadiness, ClosingAnEmptyOneIsTold) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  queue.close();
  EXPECT_TRUE(readable(queue, kAges));
  EXPECT_TRUE(queue.drained());
}

TEST_F(EventReadiness, IsReadableWhileItIsSet) {
  auto event = Event::create().value();
  for (int round = 0; round < 100; ++round) {
    EXPECT_FALSE(readable(event)) << round;
    event.set();
    ASSERT_TRUE(readable(event, kAges));
    EXPECT_TRUE(event.is_set());
    EXPECT_TRUE(readable(event));
    event.clear();
  }
}

TEST_F(EventReadiness, ALookQuietensWhatAnotherProcessCleared) {
  auto event = Event::create().value();
  event.set();
  ASSERT_TRUE(readable(event, kAges));
  EXPECT_TRUE(Child([&] { event.clear(); }).join().well());
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(readable(event));
  EXPECT_TRUE(Child([&] { event.set(); }).join().well());
  EXPECT_TRUE(readable(event, kAges));
}

TEST_F(EventReadiness, QuieteningKeepsErrno) {
  auto event = Event::create().value();
  event.set();
  ASSERT_TRUE(readable(event, kAges));
  errno = 77;
  event.clear();
  EXPECT_EQ(errno, 77);
}

// --- loops of events -------------------------------------------------------------------------------------------------

// A loop that only ever looks at the descriptor, against a producer that never waits for it.
void loop_of_events(std::uint32_t events) {
  constexpr int kItems = 30'000;
  auto queue = Queue<int>::create({.capacity = 64}).value();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = events, .data = {}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, queue.fileno(), &event), 0);
  Child producer([&] {
    for (int i = 0; i < kItems; ++i) {
      ASSERT_TRUE(queue.push(i));
      if (i % 97 == 0) std::this_thread::yield();
      if (i % 1'001 == 0) std::this_thread::sleep_for(200us);
    }
    queue.close();
  });
  int next = 0;
  while (!queue.drained()) {
    ASSERT_EQ(::epoll_wait(epoll, &event, 1, kAges), 1) << "overslept at " << next;
    while (const std::optional<int> item = queue.try_pop()) {
      ASSERT_EQ(*item, next++);
      if ((events & EPOLLET) == 0 && next % 3 == 0) break;  // level: the rest is told again
    }
  }
  ::close(epoll);
  EXPECT_EQ(next, kItems);
  EXPECT_TRUE(producer.join().well());
}

TEST_F(QueueReadiness, ALevelTriggeredLoopMissesNothing) { loop_of_events(EPOLLIN); }
TEST_F(QueueReadiness, AnEdgeTriggeredLoopThatPopsAllMissesNothing) { loop_of_events(EPOLLIN | EPOLLET); }

// Watchers and poppers, threads and processes, on one queue: whoever takes, nobody oversleeps.
TEST_F(QueueReadiness, WatchersAndBlockedConsumersShareAQueue) {
  constexpr int kItems = 20'000;
  auto queue = Queue<int>::create({.capacity = 32}).value();
  auto taken = test::Shared<std::atomic<int>>(0);
  const auto watch = [&] {
    while (!queue.drained()) {
      ASSERT_TRUE(readable(queue, kAges));
      if (queue.try_pop()) ++*taken;
    }
  };
  const auto block = [&] {
    while (queue.pop()) ++*taken;
  };
  Child far_watcher(watch), far_consumer(block);
  std::vector<std::thread> near;
  near.emplace_back(watch);
  near.emplace_back(watch);
  near.emplace_back(block);
  for (int i = 0; i < kItems; ++i) {
    ASSERT_TRUE(queue.push(i));
    if (i % 61 == 0) std::this_thread::sleep_for(20us);
  }
  queue.close();
  for (std::thread& thread : near) thread.join();
  EXPECT_TRUE(far_watcher.join().well());
  EXPECT_TRUE(far_consumer.join().well());
  EXPECT_EQ(*taken, kItems);
}

TEST_F(QueueReadiness, AMirrorKeepsNoWakeFromWhoTakes) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  test::expect_that_a_mirror_keeps_no_wake(queue, 100);
}

TEST_F(QueueReadiness, EveryProcessIsToldOfOneItem) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  Gate ready;
  std::vector<Child> watchers;
  for (int i = 0; i < 4; ++i) {
    watchers.emplace_back([&] {
      const bool early = readable(queue);
      ready.arrive();
      return !early && readable(queue, kAges) ? 0 : 1;
    });
  }
  ready.wait_for(4);
  ASSERT_TRUE(queue.push(1));
  for (Child& watcher : watchers) EXPECT_TRUE(watcher.join().well());
}

// --- wait() ----------------------------------------------------------------------------------------------------------

TEST_F(Readiness, AQueueAnEventAConnectionAndASentinelAreWaitedForTogether) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  auto event = Event::create().value();
  auto [mine, theirs] = Pipe::create().value();
  Gate end;
  Child child([&] { end.wait(); });
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0));
  const Descriptor sentinel = Descriptor::dup(pidfd).value();
  ::close(pidfd);
  const auto all = [&](Timeout d) { return wait({queue, event, mine, sentinel}, d); };
  const Timeout long_enough = 20s;

  EXPECT_THAT(all(1ms), IsEmpty());
  Child([&] { ASSERT_TRUE(queue.push(1)); }).join();
  EXPECT_THAT(all(long_enough), ElementsAre(0u));
  EXPECT_THAT(all(0s), ElementsAre(0u)) << "it is still there";
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_THAT(all(1ms), IsEmpty()) << "what was rung is no more";

  Child([&] { event.set(); }).join();
  EXPECT_THAT(all(long_enough), ElementsAre(1u));
  Child([&] { event.clear(); }).join();
  EXPECT_THAT(all(1ms), IsEmpty());

  ASSERT_TRUE(theirs.send(1).ok());
  EXPECT_THAT(all(long_enough), ElementsAre(2u));
  EXPECT_TRUE(mine.recv<int>().ok());

  end.open();
  EXPECT_THAT(all(long_enough), ElementsAre(3u));
  queue.close();
  event.set();
  while (all(long_enough).size() != 3) std::this_thread::yield();
  EXPECT_THAT(all(0s), ElementsAre(0u, 1u, 3u));
}

TEST_F(Readiness, WaitDoesWithoutDescriptors) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  auto queue = Queue<int>::create({.capacity = 8}).value();
  auto event = Event::create().value();
  {
    const test::NoDescriptors none;
    EXPECT_EQ(queue.fileno(), -1);
    EXPECT_EQ(event.fileno(), -1);
    EXPECT_THAT(wait({queue, event}, 1ms), IsEmpty());
    std::thread setter([&] { event.set(); });
    EXPECT_THAT(wait({queue, event}), ElementsAre(1u));
    setter.join();
  }
  EXPECT_TRUE(readable(event, kAges)) << "it is tried again";
}

// --- processes -------------------------------------------------------------------------------------------------------

TEST_F(QueueReadiness, AForkedChildHasItsOwnAndLeavesTheParentsAlone) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(readable(queue, kAges));
  const int mine = queue.fileno();
  Child child([&] {
    EXPECT_EQ(queue.try_pop(), 1);
    EXPECT_EQ(queue.try_pop(), std::nullopt);  // its bell is not this one
    pollfd fd{.fd = mine, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&fd, 1, 0), 1);
    EXPECT_FALSE(readable(queue));
    EXPECT_TRUE(queue.push(2));
    EXPECT_TRUE(readable(queue, kAges));
    EXPECT_EQ(queue.try_pop(), 2);
    const Census before = Census::now();
    EXPECT_EQ(before.threads, 2u);
    auto last = std::move(queue);
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(queue.fileno(), mine);
  EXPECT_TRUE(readable(queue)) << "for nothing";
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_FALSE(readable(queue));
  ASSERT_TRUE(queue.push(3));
  EXPECT_TRUE(readable(queue, kAges));
}

TEST_F(QueueReadiness, AWaitableFromBeforeTheForkIsTheChildsOwn) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  const Waitable waitable = queue;
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(readable(queue, kAges));
  Child child([&] {
    if (queue.try_pop() != 1) return 1;  // that the parent was rung is not this process's matter
    pollfd fd{.fd = waitable.fileno(), .events = POLLIN, .revents = 0};
    if (::poll(&fd, 1, 0) != 0) return 2;
    return wait({waitable}, 1ms).empty() ? 0 : 3;
  });
  EXPECT_EQ(child.join().code, 0);
}

TEST_F(QueueReadiness, AGrandchildHasItsOwnToo) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  Child child([&]() -> int {
    if (readable(queue)) return 1;
    Child grandchild([&] { return !readable(queue) && queue.push(1) && readable(queue, kAges) ? 0 : 1; });
    return grandchild.join().well() && readable(queue, kAges) ? 0 : 2;
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(readable(queue, kAges));
}

// The claim of a producer that died: the tail moved, and no lane announces it.
TEST_F(QueueReadiness, AnItemBehindADeadClaimIsTold) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
  EXPECT_FALSE(readable(queue));
  header.tail.fetch_add(1);
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(readable(queue, kAges)) << "the mirror has buried it";
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.stats().buried, 1u);
}

TEST_F(QueueReadiness, ADeadClaimIsNoItemAndTheEndBehindItIsTold) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
  header.tail.fetch_add(1);
  EXPECT_FALSE(readable(queue, 20));
  queue.close();
  EXPECT_TRUE(readable(queue, kAges));
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_TRUE(queue.drained());
}

// Who dies between commit and wake leaves it to the slices.
TEST(QueueReadinessSlices, WhatNobodyWokeForIsTold) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
  while ((header.not_empty.load() & 1) == 0) std::this_thread::yield();  // the mirror is about to sleep
  std::this_thread::sleep_for(1ms);
  header.tail.fetch_or(layout::kClosedBit);  // as close() does, before its wakes
  EXPECT_TRUE(readable(queue, kAges));
}

TEST_F(QueueReadiness, WhatNobodyWokeForIsToldByALook) {
  detail::wait_tuning().look_ns = 2'000'000;
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue, 20)) << "looks find nothing";
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
  header.tail.fetch_or(layout::kClosedBit);
  EXPECT_TRUE(readable(queue, kAges));
}

// --- what it costs ---------------------------------------------------------------------------------------------------

TEST_F(Readiness, ThreadAndDescriptorComeWithTheFirstCallAndGoWithTheLastHandle) {
  auto queue = std::make_optional(Queue<int>::create({.capacity = 8}).value());
  auto event = std::make_optional(Event::create().value());
  (void)queue->try_pop();
  const Census before = Census::now();
  const auto copy = queue;
  EXPECT_EQ(queue->fileno(), copy->fileno());
  EXPECT_EQ(queue->fileno(), queue->fileno());
  (void)event->fileno();
  const Census with = Census::now();
  EXPECT_EQ(with.threads, before.threads + 2);
  EXPECT_EQ(with.descriptors.size(), before.descriptors.size() + 2);
  queue.reset();
  event.reset();
  EXPECT_FALSE(readable(*copy)) << "there is another handle";
}

TEST_F(Readiness, ManyObjectsComeAndGo) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Queue<int>> queues;
    std::vector<Event> events;
    for (int i = 0; i < 40; ++i) {
      queues.push_back(Queue<int>::create({.capacity = 8}).value());
      events.push_back(Event::create().value());
      EXPECT_FALSE(readable(queues.back()));
      EXPECT_FALSE(readable(events.back()));
    }
    for (int i = 0; i < 40; i += 7) {
      EXPECT_TRUE(queues[static_cast<std::size_t>(i)].push(i));
      events[static_cast<std::size_t>(i)].set();
    }
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(readable(queues[static_cast<std::size_t>(i)], i % 7 == 0 ? kAges : 0), i % 7 == 0);
      EXPECT_EQ(readable(events[static_cast<std::size_t>(i)], i % 7 == 0 ? kAges : 0), i % 7 == 0);
    }
  }
}

TEST_F(Readiness, TheObjectGoesAtAnyMoment) {
  for (int round = 0; round < 300; ++round) {
    auto queue = Queue<int>::create({.capacity = 8}).value();
    (void)queue.fileno();
    if (round % 3 == 0) (void)queue.try_push(1);
    if (round % 5 == 0) (void)queue.try_pop();
    if (round % 7 == 0) std::this_thread::yield();
  }
}

TEST_F(Readiness, MirrorsAreCountedWhileTheyComeAndGo) {
  std::atomic<bool> over{false};
  std::thread counting([&] {
    while (!over) EXPECT_LE(detail::Attachment::mirrors(), 1u);
  });
  for (int round = 0; round < 200; ++round) {
    auto queue = Queue<int>::create({.capacity = 8}).value();
    (void)queue.fileno();
  }
  over = true;
  counting.join();
}

TEST_F(Readiness, TheMirrorTakesNoLane) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  (void)queue.try_pop();
  const std::uint32_t lanes = test::Reach::attachment(queue).lanes_high();
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(readable(queue, kAges));
  (void)queue.try_pop();
  (void)queue.try_pop();
  EXPECT_EQ(test::Reach::attachment(queue).lanes_high(), lanes);
}

TEST_F(Readiness, NoSignalIsHandledByTheMirror) {
  namespace fs = std::filesystem;
  auto event = Event::create().value();
  (void)event.fileno();
  int mirrors = 0;
  for (const fs::directory_entry& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    std::string line, name, blocked;
    while (std::getline(status, line)) {
      if (line.starts_with("Name:")) name = line.substr(6);
      if (line.starts_with("SigBlk:")) blocked = line.substr(8);
    }
    if (name != "warren-mirror") continue;
    ++mirrors;
    const std::uint64_t mask = std::stoull(blocked, nullptr, 16);
    for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM}) {
      EXPECT_NE(mask >> (number - 1) & 1, 0u) << number;
    }
  }
  EXPECT_EQ(mirrors, 1);
}

}  // namespace
}  // namespace warren
