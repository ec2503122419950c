// What Pool and ThreadPool both promise: one text, two pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/thread_pool.h>

#include <future>
#include <limits>
#include <numeric>
#include <set>

#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Processes {
  using Pool = warren::Pool;
  using Options = PoolOptions;
  static constexpr const char* kName = "Pool";
};
struct Threads {
  using Pool = ThreadPool;
  using Options = ThreadPoolOptions;
  static constexpr const char* kName = "ThreadPool";
};
struct Name {
  template <class T>
  static std::string GetName(int) {
    return T::kName;
  }
};

template <class Kind>
class BothPools : public WithMarks {
 protected:
  using Pool = typename Kind::Pool;
  using Options = typename Kind::Options;

  static Pool make(std::uint32_t workers, std::size_t max_pending = 65536) {
    return Pool::create({.workers = workers, .max_pending = max_pending}).value();
  }
  static void expect_refused(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(task_error(status).value_or(TaskError{}).kind, TaskError::Kind::kRefused);
  }
};
using Kinds = testing::Types<Processes, Threads>;
TYPED_TEST_SUITE(BothPools, Kinds, Name);

int twice(int x) { return 2 * x; }
int positive(int x) { return x >= 0 ? x : throw std::invalid_argument("negative"); }

// --- one call --------------------------------------------------------------------------------------------------------

TYPED_TEST(BothPools, ACallGivesItsResultAgainAndAgain) {
  auto pool = this->make(2);
  const Future<std::string> future =
      pool.submit([](const std::string& a, int n) { return a + std::to_string(n); }, "a", 7);
  EXPECT_EQ(future.get().value(), "a7");
  EXPECT_EQ(future.get().value(), "a7");
  EXPECT_TRUE(future.successful());
  EXPECT_FALSE(future.running());
  EXPECT_EQ(pool.apply(twice, 21).value(), 42);
  EXPECT_TRUE(pool.apply([] {}).ok());
}

TYPED_TEST(BothPools, FailuresHaveOneLayer) {
  auto pool = this->make(1);
  const absl::Status threw = pool.apply(positive, -1).status();
  EXPECT_EQ(threw.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(task_error(threw)->type, "std::invalid_argument");
  EXPECT_EQ(task_error(threw)->what, "negative");
  EXPECT_EQ(task_error(threw)->kind, TaskError::Kind::kThrew);
  EXPECT_EQ(task_error(pool.apply([] { throw 7; }))->type, "int");
  const absl::Status returned = pool.apply([] { return absl::NotFoundError("gone"); });
  EXPECT_EQ(returned.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(task_error(returned)->kind, TaskError::Kind::kReturned);
  EXPECT_EQ(pool.apply([]() -> absl::StatusOr<int> { return 3; }).value(), 3);
  EXPECT_EQ(pool.apply([]() -> absl::StatusOr<int> { return absl::DataLossError(""); }).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(
      pool.apply([]() -> int { return absl::StatusOr<int>(absl::AbortedError("inner")).value(); }).status().code(),
      absl::StatusCode::kAborted);
}

TYPED_TEST(BothPools, RetriesOfAnyFailureBeginAfresh) {
  auto pool = this->make(1);
  const auto third_time = [](std::string text) {
    text += std::to_string(current_task().attempt());
    return current_task().attempt() < 3 ? throw std::runtime_error(text) : text;
  };
  const TaskOptions twice_more{.retries = 2, .retry_on = RetryOn::kAnyFailure};
  EXPECT_EQ(pool.apply(twice_more, third_time, "try ").value(), "try 3");
  const absl::Status failed = pool.apply({.retries = 1, .retry_on = RetryOn::kAnyFailure}, third_time, "try ").status();
  EXPECT_EQ(task_error(failed)->what, "try 2");
  EXPECT_EQ(task_error(failed)->attempt, 2u);
  EXPECT_THAT(pool.map({.task = twice_more}, third_time, std::vector<std::string>{"a", "b"}).value(),
              ElementsAre("a3", "b3"));
  EXPECT_EQ(current_task().attempt(), 0u);
}

TYPED_TEST(BothPools, AFullOneRefusesAndWaits) {
  auto pool = this->make(1, 2);
  Future<void> first = pool.submit([] { marks->pass(0); });
  Future<void> second = pool.submit([] {});
  EXPECT_FALSE(pool.try_submit([] {}).has_value());
  std::atomic<bool> submitted = false;
  std::thread third([&] {
    pool.submit([] {}).wait();
    submitted = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(submitted);
  marks->open(0);
  third.join();
  second.wait();
  EXPECT_TRUE(pool.try_submit([] {}).has_value());
}

TYPED_TEST(BothPools, TimesThatAreOverDoNotWait) {
  auto pool = this->make(1);
  const Future<void> future = pool.submit([] { marks->pass(0); });
  EXPECT_FALSE(future.wait_for(-1s));
  EXPECT_FALSE(future.wait_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_EQ(future.get_for(0s).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(task_error(future.get_for(1ms)).has_value()) << "it has not failed";
  marks->open(0);
  EXPECT_TRUE(future.wait_for(std::chrono::seconds::max()));
}

TYPED_TEST(BothPools, TheLargerPriorityIsFirst) {
  auto pool = this->make(1);
  Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<Future<std::uint32_t>> futures;
  for (const int priority : {0, -3, 5, 0, 99, 5}) {
    futures.push_back(pool.submit({.priority = priority}, [] { return ++marks->count; }));
  }
  marks->open(0);
  std::vector<std::uint32_t> places;
  for (const auto& future : futures) places.push_back(future.get().value() - 1);
  EXPECT_THAT(places, ElementsAre(4, 6, 2, 5, 1, 3));
}

TYPED_TEST(BothPools, ProgressIsWhatTheTaskReports) {
  auto pool = this->make(1);
  const Future<void> future = pool.submit([] { current_task().report(0.5), ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_NEAR(future.progress(), 0.5, 1e-6);
  marks->open(0);
  future.wait();
  EXPECT_EQ(future.progress(), 1);
  EXPECT_EQ(pool.map_async(twice, {1, 2, 3}).get().value().back(), 6);
}

// --- cancel ----------------------------------------------------------------------------------------------------------

TYPED_TEST(BothPools, ACancelledTaskNeverRunsAndIsDone) {
  auto pool = this->make(1);
  Future<void> running = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(running.running());
  EXPECT_FALSE(running.cancel());
  Future<void> waiting = pool.submit([] { ++marks->count; });
  EXPECT_FALSE(waiting.running());
  EXPECT_TRUE(waiting.cancel());
  EXPECT_TRUE(waiting.cancel()) << "it is";
  EXPECT_TRUE(waiting.ready());
  EXPECT_TRUE(waiting.wait_for(0s));
  EXPECT_EQ(waiting.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(waiting.error()->kind, TaskError::Kind::kCancelled);
  marks->open(0);
  EXPECT_TRUE(running.get().ok());
  EXPECT_FALSE(running.cancel());
  EXPECT_TRUE(pool.apply([] {}).ok());
  EXPECT_EQ(marks->count, 1u);
}

// --- many ------------------------------------------------------------------------------------------------------------

TYPED_TEST(BothPools, MapKeepsTheOrderAndRunsEachItemOnce) {
  auto pool = this->make(2);
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  const auto counts = [](int i) { return ++marks->ran[static_cast<std::size_t>(i)], i; };
  unsigned rounds = 0;
  for (const std::optional<std::size_t> size : {std::optional<std::size_t>(), {1}, {7}, {99}, {100}, {SIZE_MAX}}) {
    EXPECT_EQ(pool.map({.chunksize = size}, counts, std::views::iota(0, 100)).value(), expected);
    ++rounds;
    EXPECT_TRUE(std::ranges::all_of(std::span(marks->ran).first(100), [&](const auto& ran) { return ran == rounds; }));
  }
  EXPECT_THAT(pool.map([](int a, int b) { return a * b; }, std::vector{1, 2, 3}, std::views::iota(5)).value(),
              ElementsAre(5, 12, 21));
  EXPECT_THAT(pool.map(twice, {1, 2}).value(), ElementsAre(2, 4));
  EXPECT_THAT(pool.map(twice, std::vector<int>()).value(), ElementsAre());
  const auto count = [](int) { ++marks->count; };
  EXPECT_TRUE(pool.map(count, expected).ok());
  EXPECT_EQ(marks->count, 100u);
}

TYPED_TEST(BothPools, AChunksizeOfZeroIsAnInvalidArgument) {
  auto pool = this->make(1);
  auto array = Array<int>::create(2).value();
  const std::vector<std::tuple<int>> none;
  const auto expect_invalid = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  };
  expect_invalid(pool.map({.chunksize = 0}, twice, {1, 2}).status());
  expect_invalid(pool.map({.chunksize = 0}, [](int) {}, {1, 2}));
  expect_invalid(pool.starmap({.chunksize = 0}, twice, none).status());
  expect_invalid(pool.for_each({.chunksize = 0}, array, [](int&) {}));
  auto stream = pool.imap({.chunksize = 0}, twice, std::vector{1, 2});
  expect_invalid(stream.next_for(kForever)->status());
  EXPECT_TRUE(stream.done());
}

TYPED_TEST(BothPools, MapTellsTheFirstErrorInOrderAfterAllHaveRun) {
  auto pool = this->make(2);
  const auto odd_fails = [](int x) { return ++marks->count, x % 2 == 0 ? x : throw std::runtime_error("odd"); };
  const absl::Status status = pool.map({.chunksize = 2}, odd_fails, std::views::iota(0, 10)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("item 1: "));
  EXPECT_EQ(task_error(status)->item, 1u);
  EXPECT_EQ(marks->count, 10u);
}

TYPED_TEST(BothPools, StarmapUnpacks) {
  auto pool = this->make(2);
  const auto product = [](int a, int b) { return a * b; };
  EXPECT_THAT(pool.starmap(product, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}).value(), ElementsAre(2, 12));
  EXPECT_THAT(pool.starmap({.chunksize = 1}, product, std::vector<std::array<int, 2>>{{1, 2}, {3, 4}}).value(),
              ElementsAre(2, 12));
}

TYPED_TEST(BothPools, StreamsGiveEachResultByItself) {
  auto pool = this->make(2);
  std::vector<int> values;
  int failures = 0;
  for (auto result : pool.imap({.chunksize = 3}, positive, std::vector{0, 1, -2, 3, 4})) {
    result.ok() ? values.push_back(*result) : void(++failures);
  }
  EXPECT_THAT(values, ElementsAre(0, 1, 3, 4));
  EXPECT_EQ(failures, 1);
  std::multiset<int> unordered;
  for (auto result : pool.imap_unordered(twice, std::views::iota(0, 500))) unordered.insert(result.value());
  EXPECT_EQ(unordered.size(), 500u);
  EXPECT_EQ(*unordered.rbegin(), 998);
}

TYPED_TEST(BothPools, StreamsReadNoFurtherThanTheyNeed) {
  auto pool = this->make(1);
  int read = 0;
  auto source = std::views::iota(0) | std::views::transform([&read](int x) { return ++read, x; });
  auto stream = pool.imap(twice, source);
  EXPECT_EQ(stream.next_for(kForever)->value(), 0);
  EXPECT_LE(read, 5);
  EXPECT_FALSE(stream.done());
}

TYPED_TEST(BothPools, ForEachChangesAnArrayInPlace) {
  auto pool = this->make(2);
  auto array = Array<int>::create(1000).value();
  EXPECT_TRUE(pool.for_each(array, [](int& x) { x += 1; }).ok());
  EXPECT_TRUE(pool.for_each({.chunksize = 7}, array, [](int& x) { x += 1; }).ok());
  EXPECT_THAT(array.span(), Each(2));
  array.store(3, -1);
  const absl::Status failed = pool.for_each(array, [](int& x) { (void)positive(x), x = 5; });
  EXPECT_EQ(task_error(failed)->item, 3u);
  EXPECT_EQ(array.load(999), 5);
}

// --- callbacks -------------------------------------------------------------------------------------------------------

TYPED_TEST(BothPools, CallbacksRunInOrderBeforeGetReturns) {
  auto pool = this->make(1);
  std::vector<int> order;
  Future<int> future = pool.submit([] { return marks->pass(0), 7; });
  for (int i = 0; i < 10; ++i) future.on_done([&order, i](absl::StatusOr<int> r) { order.push_back(i * *r); });
  marks->open(0);
  EXPECT_EQ(future.get().value(), 7);
  EXPECT_THAT(order, ElementsAre(0, 7, 14, 21, 28, 35, 42, 49, 56, 63));
  std::thread::id where;
  future.on_done([&](absl::StatusOr<int>) { where = std::this_thread::get_id(); });
  EXPECT_EQ(where, std::this_thread::get_id()) << "of a done task at once, here";
}

TYPED_TEST(BothPools, ACallbackThatThrowsIsContained) {
  auto pool = this->make(1);
  int after = 0;
  testing::internal::CaptureStderr();
  Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  future.on_done([](absl::StatusOr<int>) { throw std::runtime_error("my fault"); });
  future.on_done([&](absl::StatusOr<int>) { ++after; });
  marks->open(0);
  EXPECT_EQ(future.get().value(), 1);
  EXPECT_EQ(pool.apply(twice, 1).value(), 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("threw: my fault"));
  EXPECT_EQ(after, 1);
}

TYPED_TEST(BothPools, CallbacksMayUseThePool) {
  auto pool = this->make(1);
  std::promise<int> told;
  pool.submit([] { return marks->pass(0), 20; }).then(twice).on_done([&](absl::StatusOr<int> r) {
    told.set_value(*r + pool.apply(twice, 1).value());
  });
  marks->open(0);
  EXPECT_EQ(told.get_future().get(), 42);
}

TYPED_TEST(BothPools, CallbacksMayEndThePool) {
  std::promise<absl::Status> told;
  {
    auto own = std::make_shared<typename TestFixture::Pool>(this->make(1));
    Future<void> future = own->submit([] { marks->pass(0); });
    for (int i = 0; i < 10; ++i) own->submit([] { ++marks->count; });
    future.on_done([&told, own](const absl::Status&) mutable {
      own->close();
      const absl::Status joined = own->join();
      own.reset();
      told.set_value(joined);
    });
  }
  marks->open(0);
  auto future = told.get_future();
  ASSERT_EQ(future.wait_for(kPromptly), std::future_status::ready) << "it joins itself";
  EXPECT_TRUE(future.get().ok());
  EXPECT_EQ(marks->count, 10u);
}

TYPED_TEST(BothPools, JoinReturnsAfterTheCallbacks) {
  auto pool = this->make(2);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 50; ++i) {
    pool.submit(twice, i).on_done([&](absl::StatusOr<int>) { std::this_thread::sleep_for(1ms), ++ran; });
  }
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(ran, 50);
}

TYPED_TEST(BothPools, ApplyAsyncCallsOneOfTheTwo) {
  auto pool = this->make(1);
  std::vector<int> values;
  std::vector<std::string> errors;
  const Callbacks<int> both{.callback = [&](int r) { values.push_back(r); },
                            .error_callback = [&](const absl::Status& s) { errors.push_back(task_error(s)->what); }};
  pool.apply_async(both, positive, 21).wait();
  pool.apply_async(both, positive, -1).wait();
  EXPECT_THAT(values, ElementsAre(21));
  EXPECT_THAT(errors, ElementsAre("negative"));
}

// --- ends ------------------------------------------------------------------------------------------------------------

TYPED_TEST(BothPools, ClosedItFinishesWhatItAcceptedAndTakesNoMore) {
  auto pool = this->make(2);
  EXPECT_EQ(pool.join_for(0s).code(), absl::StatusCode::kFailedPrecondition) << "it is open";
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(twice, i));
  Future<void> last = pool.submit([] { marks->pass(0); });
  pool.close();
  this->expect_refused(pool.submit(twice, 1).get().status());
  this->expect_refused(pool.try_submit(twice, 1).value().get().status());
  this->expect_refused(pool.map(twice, {1}).status());
  EXPECT_EQ(pool.join_for(1ms).code(), absl::StatusCode::kDeadlineExceeded);
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_TRUE(pool.join_for(0s).ok()) << "again";
  EXPECT_TRUE(last.ready());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), 2 * i);
}

TYPED_TEST(BothPools, TerminatedItFailsAtOnceWhatHasNotBegun) {
  auto pool = this->make(1);
  pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([](int x) { return ++marks->count, x; }, i));
  std::promise<absl::Status> mapped;
  std::thread map([&] { mapped.set_value(pool.map(twice, std::views::iota(0, 100)).status()); });
  std::this_thread::sleep_for(20ms);
  pool.terminate();
  for (const auto& future : futures) {
    ASSERT_TRUE(future.wait_for(kPromptly));
    EXPECT_EQ(future.get().status().code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(mapped.get_future().get().code(), absl::StatusCode::kCancelled);
  map.join();
  this->expect_refused(pool.submit(twice, 1).get().status());
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->count, 1u);
}

TYPED_TEST(BothPools, ShutdownWaitsAndCancelsAsAsked) {
  auto pool = this->make(1);
  Future<void> running = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  Future<void> waiting = pool.submit([] { ++marks->count; });
  const auto mapped = pool.map_async(twice, {1, 2, 3});
  EXPECT_TRUE(pool.shutdown({.wait = false, .cancel_pending = true}).ok());
  EXPECT_EQ(waiting.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(mapped.get().status().code(), absl::StatusCode::kCancelled);
  marks->open(0);
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(pool.shutdown().ok());
  EXPECT_EQ(marks->count, 1u);
}

TYPED_TEST(BothPools, AsCompletedAndWaitTakeTheirFutures) {
  auto pool = this->make(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(twice, i));
  int sum = 0;
  for (Future<int>& future : as_completed(futures)) sum += future.get().value();
  EXPECT_EQ(sum, 90);
  EXPECT_EQ(wait(futures).done.size(), 10u);
  EXPECT_EQ(wait(futures, std::chrono::seconds(1)).done.size(), 10u);
}

TYPED_TEST(BothPools, AnInitializerThatThrowsIsToldByEveryFuture) {
  auto pool =
      TestFixture::Pool::create({.workers = 2, .initializer = [] { throw std::runtime_error("no licence"); }}).value();
  const absl::Status status = pool.submit([] {}).get();
  this->expect_refused(status);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no licence"));
  pool.close();
  EXPECT_EQ(pool.join().code(), absl::StatusCode::kFailedPrecondition);
}

TYPED_TEST(BothPools, EveryWorkerIsInitializedFirst) {
  auto pool = TestFixture::Pool::create({.workers = 2, .initializer = [] { ++marks->count; }}).value();
  const auto sees_it = [](int) { return marks->count > 0; };
  EXPECT_THAT(pool.map(sees_it, std::views::iota(0, 100)).value(), Each(true));
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->count, 2u);
}

TYPED_TEST(BothPools, EndsInSeveralThreadsAtOnce) {
  for (int round = 0; round < 10; ++round) {
    auto pool = this->make(2);
    std::vector<Future<void>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([] {}));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&pool, t] {
        t % 2 == 0 ? pool.close() : pool.terminate();
        EXPECT_TRUE(pool.join().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& future : futures) EXPECT_TRUE(future.get().ok() || absl::IsCancelled(future.get()));
  }
}

TYPED_TEST(BothPools, InAForkedChildEverythingIsRefused) {
  auto pool = this->make(1);
  Future<void> future = pool.submit([] { marks->pass(0); });
  {
    Child child([&] {
      this->expect_refused(pool.submit(twice, 1).get().status());
      this->expect_refused(pool.try_submit(twice, 1).value().get().status());
      this->expect_refused(pool.map(twice, {1}).status());
      EXPECT_FALSE(future.get().ok());
      EXPECT_FALSE(future.cancel());
      pool.close(), pool.terminate();
      EXPECT_EQ(pool.join().code(), absl::StatusCode::kFailedPrecondition);
      const auto taken = std::move(pool);
    });
    const auto ended = ended_within(child, kPromptly);
    ASSERT_TRUE(ended.has_value()) << "it hangs";
    EXPECT_TRUE(ended->well());
  }
  marks->open(0);
  EXPECT_TRUE(future.get().ok());
}

TYPED_TEST(BothPools, WhatCannotBeIsAnInvalidArgument) {
  EXPECT_EQ(TestFixture::Pool::create({.workers = 1025}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TestFixture::Pool::create({.max_pending = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TYPED_TEST(BothPools, ANullFunctionIsRefused) {
  auto pool = this->make(1);
  int (*none)(int) = nullptr;
  const auto expect_refused = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the function pointer is null"));
    ASSERT_TRUE(task_error(status));
    EXPECT_EQ(task_error(status)->kind, TaskError::Kind::kRefused);
  };
  expect_refused(pool.submit(none, 1).get().status());
  expect_refused(pool.map(none, {1, 2}).status());
}

TYPED_TEST(BothPools, LeavesNothingBehind) {
  const auto threads = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); };
  const auto fds = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); };
  const auto threads_before = threads();
  const auto fds_before = fds();
  for (int i = 0; i < 5; ++i) {
    auto pool = this->make(2);
    pool.submit(twice, i).on_done([](absl::StatusOr<int>) {});
    if (i % 2 == 0) pool.terminate();
  }
  EXPECT_EQ(threads(), threads_before);
  EXPECT_EQ(fds(), fds_before);
}

}  // namespace
}  // namespace warren::test
