// Queue: many threads pop, call task_done(), for others too, end and join at once. Nothing is ever lost: all live.
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace warren {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 40;
constexpr int kItems = 200;

// What a thread did before task_done() is seen behind join(), as plain memory.
TEST(JoinThreads, WhatWasDoneIsSeenByWhoJoined) {
  auto queue = Queue<int>::create({.capacity = 32}).value();
  std::vector<std::thread> workers;
  std::vector<int> done(kItems, 0);
  for (int i = 0; i < kThreads; ++i) {
    workers.emplace_back([&] {
      while (const auto item = queue.pop()) {
        ++done[static_cast<std::size_t>(*item)];
        EXPECT_TRUE(queue.task_done());
      }
    });
  }
  for (int round = 1; round <= kRounds; ++round) {
    for (int n = 0; n < kItems; ++n) ASSERT_TRUE(queue.push(n));
    ASSERT_TRUE(queue.join().ok());
    for (const int times : done) ASSERT_EQ(times, round);
  }
  queue.close();
  for (std::thread& worker : workers) worker.join();
}

// Threads that end hand on what they took; whoever is left finishes it. Joins look all the while.
TEST(JoinThreads, NothingThatIsHandedOnLooksLost) {
  auto queue = Queue<int>::create({.capacity = 32}).value();
  std::atomic<bool> end{false};
  std::atomic<int> popped{0}, finished{0};
  std::thread joiner([&] {
    while (!end) {
      const absl::Status status = queue.join_for(std::chrono::milliseconds(0));
      ASSERT_FALSE(absl::IsAborted(status)) << status;
    }
  });
  std::thread finisher([&] {
    // No more often than items were popped: while an ended thread's items go to another account one too many may be
    // true.
    while (!end || finished < popped) finished += finished < popped && queue.task_done();
  });
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> takers;
    for (int i = 0; i < kThreads; ++i) {
      takers.emplace_back([&] {
        std::array<int, 3> out;
        for (int n = 0; n < 5; ++n) {
          ASSERT_TRUE(queue.push(n));
          popped += queue.try_pop().has_value();
          ASSERT_TRUE(queue.push(n));
          popped += static_cast<int>(queue.try_pop_n(out));
        }
      });
    }
    for (std::thread& taker : takers) taker.join();
  }
  while (queue.try_pop()) ++popped;
  end = true;
  finisher.join();
  joiner.join();
  EXPECT_EQ(finished, kRounds * kThreads * 10);
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

}  // namespace
}  // namespace warren
