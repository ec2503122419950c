// What ThreadPool promises beyond Pool, or otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <warren/pool/thread_pool.h>

#include <future>
#include <latch>
#include <list>

#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using std::chrono_literals::operator""h;

ThreadPool make_threads(std::uint32_t workers, std::size_t max_pending = 65536) {
  return ThreadPool::create({.workers = workers, .max_pending = max_pending}).value();
}

// --- functions, arguments, results -----------------------------------------------------------------------------------

TEST(ThreadPoolTest, TakesWhatAThreadTakes) {
  ThreadPool pool = make_threads(2);
  int here = 1;
  pool.submit([&here] { ++here; }).wait();
  pool.submit([](int& x) { ++x; }, std::ref(here)).wait();
  pool.submit([](int* x) { ++*x; }, &here).wait();
  EXPECT_EQ(here, 4);
  auto owner = [p = std::make_unique<int>(5)] { return *p; };
  EXPECT_EQ(pool.submit(std::move(owner)).get().value(), 5);
  EXPECT_EQ(pool.submit([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(6)).get().value(), 6);
  std::vector<std::unique_ptr<int>> many;
  many.push_back(std::make_unique<int>(7));
  EXPECT_EQ(pool.submit([v = std::move(many)] { return v.size(); }).get().value(), 1u);
  struct Shape {
    int side;
    [[nodiscard]] int area() const { return side * side; }
  };
  EXPECT_EQ(pool.submit(&Shape::area, Shape{3}).get().value(), 9);
  auto once = [](auto&& self) -> int { return self; };
  EXPECT_EQ(pool.submit(once, 8).get().value(), 8);
}

TEST(ThreadPoolTest, TextsAreKeptAsStringsWhereTheFunctionTakesThem) {
  ThreadPool pool = make_threads(1);
  EXPECT_EQ(pool.apply([](const auto& s) { return s.size(); }, "four").value(), 4u);
  EXPECT_EQ(pool.apply([](std::string_view s) { return s.size(); }, std::string_view("four")).value(), 4u);
  const char* const text = "same";
  EXPECT_EQ(pool.apply([](const char* s) { return static_cast<const void*>(s); }, text).value(), text);
}

TEST(ThreadPoolTest, ResultsAreOfAnyType) {
  ThreadPool pool = make_threads(1);
  auto shared = std::make_shared<int>(1);
  const Future<std::shared_ptr<int>> copied = pool.submit([shared] { return shared; });
  EXPECT_EQ(copied.get().value(), shared);
  EXPECT_EQ(copied.get().value(), shared) << "again";
  const Future<std::unique_ptr<int>> moved = pool.submit([] { return std::make_unique<int>(2); });
  EXPECT_EQ(*moved.get().value(), 2);
  EXPECT_EQ(moved.get().status().code(), absl::StatusCode::kFailedPrecondition) << "it is gone";
  const auto flat = pool.submit([]() -> absl::StatusOr<std::unique_ptr<int>> { return std::make_unique<int>(3); });
  EXPECT_EQ(*flat.get().value(), 3);
  const auto pointers = pool.map([](int x) { return std::make_unique<int>(x); }, {1, 2}).value();
  EXPECT_EQ(*pointers[1], 2);
  const auto later = pool.map_async([](int x) { return std::make_unique<int>(x); }, {1, 2});
  EXPECT_EQ(*later.get().value()[1], 2);
  EXPECT_THAT(pool.map([](int x) { return x > 1; }, {1, 2}).value(), ElementsAre(false, true));
}

TEST(ThreadPoolTest, ATaskLetsGoOfWhatItHasBeforeItsResultIsThere) {
  ThreadPool pool = make_threads(1);
  const auto held = std::make_shared<int>(1);
  Future<void> ran = pool.submit([held](const std::shared_ptr<int>&) {}, held);
  ran.wait();
  EXPECT_EQ(held.use_count(), 1);
  std::latch go(1);
  pool.submit([&] { go.wait(); });
  Future<void> cancelled = pool.submit([held] {});
  EXPECT_TRUE(cancelled.cancel());
  EXPECT_EQ(held.use_count(), 1);
  go.count_down();
}

TEST(ThreadPoolTest, ArgumentsOfARefusedTrySubmitAreUntouched) {
  ThreadPool pool = make_threads(1, 1);
  std::latch go(1);
  Future<void> running = pool.submit([&] { go.wait(); });
  auto mine = std::make_unique<int>(1);
  EXPECT_FALSE(pool.try_submit([](std::unique_ptr<int>) {}, std::move(mine)).has_value());
  EXPECT_NE(mine, nullptr);
  go.count_down();
}

struct ThrowsWhenCopied {
  ThrowsWhenCopied() = default;
  ThrowsWhenCopied(ThrowsWhenCopied&&) = default;
  ThrowsWhenCopied(const ThrowsWhenCopied&) { throw std::runtime_error("no copy"); }
};

TEST(ThreadPoolTest, WhatCopyingThrowsIsTheCallersAndTakesNoPlace) {
  ThreadPool pool = make_threads(1, 1);
  const ThrowsWhenCopied bad;
  for (int i = 0; i < 3; ++i) EXPECT_THROW(pool.submit([](const ThrowsWhenCopied&) {}, bad), std::runtime_error);
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
}

TEST(ThreadPoolTest, RetriesOfWhatIsUsedUpAreInvalid) {
  ThreadPool pool = make_threads(1);
  const TaskOptions again{.retries = 1, .retry_on = RetryOn::kAnyFailure};
  const auto takes = [](std::unique_ptr<int>) {};
  EXPECT_EQ(pool.apply(again, takes, std::make_unique<int>(1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(pool.apply({.retries = 1}, takes, std::make_unique<int>(1)).ok()) << "no worker dies alone";
}

TEST(ThreadPoolTest, WhatMakesNoSenseOnThreadsIsInvalid) {
  ThreadPool pool = make_threads(1);
  const auto expect_invalid = [](const absl::Status& status, const char* remedy) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(remedy));
  };
  expect_invalid(pool.apply({.deadline = 1s}, [] {}), ".soft_deadline");
  expect_invalid(pool.apply({.worker = 0}, [] {}), "Pool");
  expect_invalid(pool.map({.task = {.deadline = 1s}}, [](int) {}, {1, 2}), ".soft_deadline");
  EXPECT_TRUE(pool.apply({.name = "unseen"}, [] {}).ok());
}

TEST(ThreadPoolTest, TasksSeeThatTheyShouldStop) {
  ThreadPool pool = make_threads(2);
  const auto until_stopped = [] {
    while (!current_task().stop_requested()) std::this_thread::sleep_for(1ms);
  };
  EXPECT_TRUE(pool.apply({.soft_deadline = 5ms}, until_stopped).ok());
  EXPECT_FALSE(pool.apply([] { return current_task().stop_requested(); }).value());
  Future<void> running = pool.submit(until_stopped);
  while (!running.running()) std::this_thread::yield();
  pool.terminate();
  EXPECT_TRUE(running.get().ok()) << "it ran to its end";
}

TEST(ThreadPoolTest, BackoffEndsWhenThePoolIsTerminated) {
  ThreadPool pool = make_threads(1);
  std::latch in(1);
  const Future<void> future = pool.submit({.retries = 1, .backoff = 1h, .retry_on = RetryOn::kAnyFailure}, [&] {
    in.count_down();
    throw std::runtime_error("first");
  });
  in.wait();
  pool.terminate();
  ASSERT_TRUE(future.wait_for(kPromptly));
  EXPECT_EQ(task_error(future.get())->what, "first");
}

// --- threads ---------------------------------------------------------------------------------------------------------

TEST(ThreadPoolTest, ThreadsHaveThePoolsName) {
  ThreadPool pool = ThreadPool::create({.workers = 1, .name = "resize-the-images"}).value();
  const auto name = [] {
    std::array<char, 16> text{};
    ::pthread_getname_np(::pthread_self(), text.data(), text.size());
    return std::string(text.data());
  };
  EXPECT_EQ(pool.apply(name).value(), "resize-the-imag");
}

TEST(ThreadPoolTest, AsManyTasksRunAtOnceAsThereAreWorkers) {
  ThreadPool pool = make_threads(4);
  std::latch all(4);
  std::vector<Future<void>> futures;
  for (int i = 0; i < 4; ++i) futures.push_back(pool.submit([&] { all.arrive_and_wait(); }));
  for (const auto& future : futures) EXPECT_TRUE(future.wait_for(kPromptly));
  std::atomic<int> now = 0, most = 0;
  const auto busy = [&](int) {
    const int with_me = ++now;
    for (int seen = most; seen < with_me && !most.compare_exchange_weak(seen, with_me);) {
    }
    std::this_thread::sleep_for(1ms);
    --now;
  };
  EXPECT_TRUE(pool.map({.chunksize = 1}, busy, std::views::iota(0, 40)).ok());
  EXPECT_LE(most, 4);
}

TEST(ThreadPoolTest, ForEachTakesAnyContainerInPlace) {
  ThreadPool pool = make_threads(2);
  std::list<std::string> texts(100, "a");
  EXPECT_TRUE(pool.for_each({.chunksize = 7}, texts, [](std::string& s) { s += "b"; }).ok());
  EXPECT_THAT(texts, Each("ab"));
  std::array<int, 3> numbers{1, 2, 3};
  int sum_of_places = 0;
  EXPECT_TRUE(pool.for_each(std::span(numbers), [&](int& x) { std::atomic_ref(sum_of_places) += x; }).ok());
  EXPECT_EQ(sum_of_places, 6);
  const auto sum = [](const int& x) { EXPECT_GT(x, 0); };
  EXPECT_TRUE(pool.for_each(std::as_const(numbers), sum).ok());
}

TEST(ThreadPoolTest, OneFunctionForAllByReference) {
  ThreadPool pool = make_threads(2);
  struct Counter {
    std::atomic<int> calls = 0;
    int operator()(int x) { return ++calls, x; }
  } counter;
  EXPECT_TRUE(pool.map(std::ref(counter), std::views::iota(0, 100)).ok());
  EXPECT_EQ(counter.calls, 100);
}

// --- tasks of tasks --------------------------------------------------------------------------------------------------

TEST(ThreadPoolTest, TasksThatWaitForTasksNeverWaitForAThread) {
  ThreadPool pool = make_threads(1);
  std::function<int(int)> fibonacci = [&](int n) -> int {
    if (n < 2) return n;
    Future<int> before = pool.submit(fibonacci, n - 1);
    return before.get().value() + pool.apply(fibonacci, n - 2).value();
  };
  const Future<int> result = pool.submit(fibonacci, 10);
  ASSERT_TRUE(result.wait_for(kPromptly)) << "it hangs";
  EXPECT_EQ(result.get().value(), 55);
  const Future<int> mapped = pool.submit([&] {
    int sum = 0;
    const auto all = pool.map([](int i) { return i; }, std::views::iota(0, 100)).value();
    for (const int x : all) sum += x;
    for (auto r : pool.imap_unordered([](int i) { return i; }, std::views::iota(0, 100))) sum += r.value();
    return sum;
  });
  ASSERT_TRUE(mapped.wait_for(kPromptly)) << "it hangs";
  EXPECT_EQ(mapped.get().value(), 9900);
}

TEST(ThreadPoolTest, AThreadTooManyRestsUntilItIsNeeded) {
  ThreadPool pool = make_threads(1);
  std::atomic<int> now = 0, most = 0;
  const auto busy = [&] {
    const int with_me = ++now;
    for (int seen = most; seen < with_me && !most.compare_exchange_weak(seen, with_me);) {
    }
    std::this_thread::sleep_for(1ms);
    --now;
  };
  for (int i = 0; i < 5; ++i) pool.apply([&] { pool.apply(busy).IgnoreError(); }).IgnoreError();
  const auto threads = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  std::vector<Future<void>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(pool.submit(busy));
  for (const auto& future : futures) future.wait();
  EXPECT_EQ(most, 1);
  pool.apply([&] { pool.apply(busy).IgnoreError(); }).IgnoreError();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}), threads) << "it is used again";
}

TEST(ThreadPoolTest, SubmitInATaskTakesMoreThanMaxPending) {
  ThreadPool pool = make_threads(1, 1);
  const Future<int> outer = pool.submit([&] {
    EXPECT_FALSE(pool.try_submit([] { return 0; }).has_value());
    std::vector<Future<int>> inner;
    for (int i = 0; i < 10; ++i) inner.push_back(pool.submit([i] { return i; }));
    int sum = 0;
    for (const auto& each : inner) sum += each.get().value();
    return sum;
  });
  ASSERT_TRUE(outer.wait_for(kPromptly)) << "it hangs";
  EXPECT_EQ(outer.get().value(), 45);
}

TEST(ThreadPoolTest, ATaskMayWaitForCallbacksOfAnother) {
  ThreadPool pool = make_threads(1);
  const Future<int> outer = pool.submit([&] {
    int told = 0;
    Future<int> inner = pool.submit([] { return 1; });
    inner.on_done([&](absl::StatusOr<int> r) { told = *r; });
    inner.wait();
    return told;
  });
  ASSERT_TRUE(outer.wait_for(kPromptly)) << "it hangs";
  EXPECT_EQ(outer.get().value(), 1);
}

// --- cancel, terminate, the end --------------------------------------------------------------------------------------

TEST(ThreadPoolTest, NobodyEndsAThread) {
  ThreadPool pool = make_threads(1);
  std::latch in(1), go(1);
  Future<int> running = pool.submit([&] { return in.count_down(), go.wait(), 1; });
  Future<int> waiting = pool.submit([] { return 2; });
  in.wait();
  EXPECT_FALSE(running.kill());
  EXPECT_TRUE(waiting.kill());
  pool.terminate();
  EXPECT_FALSE(running.ready());
  EXPECT_EQ(pool.join_for(1ms).code(), absl::StatusCode::kDeadlineExceeded);
  go.count_down();
  EXPECT_EQ(running.get().value(), 1);
  EXPECT_EQ(waiting.get().status().code(), absl::StatusCode::kCancelled);
}

TEST(ThreadPoolTest, TerminateEndsAMapBehindTheItemThatRuns) {
  ThreadPool pool = make_threads(1);
  std::latch in(1), go(1);
  std::atomic<int> ran = 0;
  const auto item = [&](int) { in.count_down(), go.wait(), ++ran; };
  const Future<void> mapped = pool.map_async({.chunksize = 100}, item, std::views::iota(0, 100));
  in.wait();
  EXPECT_TRUE(mapped.running());
  pool.terminate();
  go.count_down();
  EXPECT_EQ(mapped.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ran, 1);
}

TEST(ThreadPoolTest, CallbacksRunInTheThreadThatRanOrCancelled) {
  ThreadPool pool = make_threads(1);
  std::latch in(1), go(1);
  std::thread::id ran_in, told_in, cancelled_in;
  Future<void> running = pool.submit([&] { in.count_down(), go.wait(), ran_in = std::this_thread::get_id(); });
  running.on_done([&](const absl::Status&) { told_in = std::this_thread::get_id(); });
  in.wait();
  Future<void> waiting = pool.submit([] {});
  waiting.on_done([&](const absl::Status&) { cancelled_in = std::this_thread::get_id(); });
  EXPECT_TRUE(waiting.cancel());
  go.count_down();
  running.wait();
  EXPECT_EQ(cancelled_in, std::this_thread::get_id());
  EXPECT_EQ(told_in, ran_in);
}

TEST(ThreadPoolTest, MayBeDestroyedInItsOwnTask) {
  std::promise<int> told;
  std::atomic<int> others = 0;
  std::latch go(1);
  {
    auto pool = std::make_shared<ThreadPool>(make_threads(2));
    ThreadPool& own = *pool;
    own.submit([&told, &others, &go, pool]() mutable {
      go.wait();
      for (int i = 0; i < 10; ++i) pool->submit([&others] { ++others; });
      pool.reset();  // the last one, once the caller has let go
      told.set_value(others);
    });
    pool.reset();
    go.count_down();
  }
  auto future = told.get_future();
  ASSERT_EQ(future.wait_for(kPromptly), std::future_status::ready) << "it joins itself";
  EXPECT_EQ(future.get(), 10);
}

TEST(ThreadPoolTest, TwoTasksMayJoinAtOnce) {
  ThreadPool pool = make_threads(2);
  std::latch both(2);
  const auto joins = [&] {
    both.arrive_and_wait();
    pool.close();
    return pool.join();
  };
  Future<void> first = pool.submit(joins), second = pool.submit(joins);
  ASSERT_TRUE(first.wait_for(kPromptly) && second.wait_for(kPromptly)) << "they wait for each other";
  EXPECT_TRUE(first.get().ok() && second.get().ok());
  EXPECT_TRUE(pool.join().ok());
}

}  // namespace
}  // namespace warren::test
