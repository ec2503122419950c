// Queues and events as descriptors with threads only, so that ThreadSanitizer sees every access. Slices that never
// come: a lost ring hangs a poll, which tells.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/event.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/stack.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/readiness.h"
#include "support/resources.h"

namespace warren {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr int kScale = 1;
#else
constexpr int kScale = 4;
#endif

class ReadinessThreads : public test::Readiness {
 protected:
  void run(const std::vector<std::function<void()>>& work) {
    std::vector<std::thread> threads;
    threads.reserve(work.size());
    for (const auto& each : work) threads.emplace_back(each);
    for (std::thread& thread : threads) thread.join();
  }
};

// One item at a time and nobody sleeps in pop(): each item has to be told.
TEST_F(ReadinessThreads, EveryItemIsToldToSomebody) {
  const int items = 5'000 * kScale;
  auto queue = Queue<int>::create({.capacity = 2}).value();
  std::atomic<int> taken{0};
  const auto watch = [&] {
    while (!queue.drained()) {
      ASSERT_TRUE(test::readable(queue, test::kAges)) << taken;
      if (queue.try_pop()) ++taken;
    }
  };
  run({watch, watch, watch, [&] {
         for (int i = 0; i < items; ++i) {
           ASSERT_TRUE(queue.push(i));
           while (taken <= i && i % 3 == 0) ::sched_yield();
         }
         queue.close();
       }});
  EXPECT_EQ(taken, items);
}

// Two handles opened each for itself are two mirrors: each passes on the wake.
TEST_F(ReadinessThreads, MirrorsAndSleepersShareAQueue) {
  const int items = 5'000 * kScale;
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  auto again = Queue<int>::open(name).value();
  std::atomic<int> taken{0};
  const auto watch = [&](Queue<int>& mine) {
    while (!mine.drained()) {
      ASSERT_TRUE(test::readable(mine, test::kAges)) << taken;
      if (mine.try_pop()) ++taken;
    }
  };
  run({[&] { watch(queue); }, [&] { watch(again); },
       [&] {
         while (queue.pop()) ++taken;
       },
       [&] {
         for (int i = 0; i < items; ++i) ASSERT_TRUE(again.push(i));
         again.close();
       }});
  EXPECT_EQ(taken, items);
}

TEST_F(ReadinessThreads, AnEventGoesBackAndForth) {
  const int turns = 3'000 * kScale;
  auto there = Event::create().value(), back = Event::create().value();
  int plain = 0;
  run({[&] {
         for (int n = 0; n < turns; ++n) {
           ++plain;
           there.set();
           while (!back.is_set()) ASSERT_TRUE(test::readable(back, test::kAges));
           back.clear();
         }
       },
       [&] {
         for (int n = 0; n < turns; ++n) {
           while (!there.is_set()) ASSERT_TRUE(test::readable(there, test::kAges));
           there.clear();
           ++plain;
           back.set();
         }
       }});
  EXPECT_EQ(plain, 2 * turns);
}

TEST_F(ReadinessThreads, TheOneConsumerIsToldOfEveryItem) {
  const int items = 20'000 * kScale;
  auto queue = SpscQueue<int>::create({.capacity = 4}).value();
  int next = 0;
  run({[&] {
         while (!queue.drained()) {
           ASSERT_TRUE(test::readable(queue, test::kAges)) << next;
           while (const std::optional<int> item = queue.try_pop()) ASSERT_EQ(*item, next++);
         }
       },
       [&] {
         for (int i = 0; i < items; ++i) ASSERT_TRUE(queue.push(i));
         queue.close();
       }});
  EXPECT_EQ(next, items);
}

TEST_F(ReadinessThreads, EverySubscriberIsToldOfEveryItem) {
  const int items = 3'000 * kScale;
  auto wave = Broadcast<int>::create({.capacity = 4, .slow_reader = SlowReader::kBlocksWriter}).value();
  const auto watch = [&, items](Subscriber<int> mine) {
    int next = 0;
    while (!mine.drained()) {
      ASSERT_TRUE(test::readable(mine, test::kAges)) << next;
      while (const std::optional<int> item = mine.try_pop()) ASSERT_EQ(*item, next++);
      if (next % 100 == 50) mine = Subscriber<int>(std::move(mine));
    }
    EXPECT_EQ(next, items);
  };
  auto first = wave.subscribe().value(), second = wave.subscribe().value();
  run({[&] { watch(std::move(first)); }, [&] { watch(std::move(second)); },
       [&] {
         for (int i = 0; i < items; ++i) ASSERT_TRUE(wave.push(i));
         wave.close();
       }});
}

TEST_F(ReadinessThreads, WatchersAndSleepersShareAStack) {
  const int items = 5'000 * kScale;
  auto stack = Stack<int>::create({.capacity = 4}).value();
  std::atomic<int> taken{0};
  const auto watch = [&] {
    while (!stack.drained()) {
      ASSERT_TRUE(test::readable(stack, test::kAges)) << taken;
      if (stack.try_pop()) ++taken;
    }
  };
  run({watch, watch,
       [&] {
         while (stack.pop()) ++taken;
       },
       [&] {
         for (int i = 0; i < items; ++i) ASSERT_TRUE(stack.push(i));
         stack.close();
       }});
  EXPECT_EQ(taken, items);
}

TEST_F(ReadinessThreads, FirstCallsAtOnceMakeOne) {
  for (int round = 0; round < 50 * kScale; ++round) {
    auto queue = Queue<int>::create({.capacity = 2}).value();
    std::atomic<int> number{-1};
    const auto ask = [&] {
      int found = -1;
      const int mine = queue.fileno();
      ASSERT_GE(mine, 0);
      EXPECT_TRUE(number.compare_exchange_strong(found, mine) || found == mine) << found;
      (void)queue.try_pop();
    };
    run({ask, ask, ask});
  }
}

}  // namespace
}  // namespace warren
