// ThreadPool: many threads submit, cancel, wait, nest and end it at once.
#include <gtest/gtest.h>
#include <warren/pool/thread_pool.h>

#include <atomic>
#include <thread>
#include <vector>

namespace warren {
namespace {

constexpr int kThreads = 4;
constexpr int kTasks = 300;

ThreadPool make_pool(std::uint32_t workers, std::size_t max_pending) {
  return ThreadPool::create({.workers = workers, .max_pending = max_pending}).value();
}

template <class Body>
void in_threads(Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// What was written before submit() is seen by the task, and what the task wrote by who gets its result: plain memory.
TEST(ThreadPoolThreads, ATaskAndItsResultComeAfterWhatWasBefore) {
  ThreadPool pool = make_pool(3, 64);
  in_threads([&](int) {
    std::vector<int> cells(kTasks, 0);
    std::vector<Future<int>> futures;
    for (int i = 0; i < kTasks; ++i) {
      int& cell = cells[static_cast<std::size_t>(i)];
      cell = i;
      futures.push_back(pool.submit([&cell] { return cell += 1; }));
    }
    for (int i = 0; i < kTasks; ++i) {
      EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), i + 1);
      EXPECT_EQ(cells[static_cast<std::size_t>(i)], i + 1);
    }
  });
}

TEST(ThreadPoolThreads, EveryTaskRunsOrIsCancelledOnceAndTellsOnce) {
  ThreadPool pool = make_pool(2, 16);
  std::atomic<int> ran = 0, cancelled = 0, told = 0;
  in_threads([&](int thread) {
    for (int i = 0; i < kTasks; ++i) {
      Future<void> future = pool.submit([&] { ++ran; });
      future.on_done([&](const absl::Status&) { ++told; });
      if (i % 3 == thread % 3) cancelled += future.cancel() ? 1 : 0;
      future.wait();
    }
  });
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(ran + cancelled, kThreads * kTasks);
  EXPECT_EQ(told, kThreads * kTasks);
}

TEST(ThreadPoolThreads, TasksOfTasksAndStreams) {
  ThreadPool pool = make_pool(2, 8);
  in_threads([&](int) {
    for (int i = 0; i < 20; ++i) {
      const auto nested = [&pool](int x) {
        int sum = 0;
        const auto all = pool.map([](int y) { return y; }, std::views::iota(0, x)).value();
        for (const int each : all) sum += each;
        for (auto each : pool.imap_unordered([](int y) { return y; }, std::views::iota(0, x))) sum += each.value();
        return sum;
      };
      EXPECT_EQ(pool.apply(nested, 10).value(), 90);
    }
  });
}

TEST(ThreadPoolThreads, TheEndComesInTheMiddleOfEverything) {
  for (int round = 0; round < 20; ++round) {
    ThreadPool pool = make_pool(2, 8);
    std::atomic<int> settled = 0;
    in_threads([&](int thread) {
      for (int i = 0; i < 50; ++i) {
        if (thread == 0 && i == 10 + round) round % 2 == 0 ? pool.terminate() : pool.close();
        auto future = pool.submit([&pool] { (void)pool.submit([] {}); });
        future.on_done([&](const absl::Status&) { ++settled; });
        if (i % 8 == 0) (void)pool.map([](int x) { return x; }, std::views::iota(0, 20));
      }
    });
    pool.close();
    EXPECT_TRUE(pool.join().ok());
    EXPECT_EQ(settled, kThreads * 50);
  }
}

}  // namespace
}  // namespace warren
