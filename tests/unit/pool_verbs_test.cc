// submit, try_submit, apply, and what TaskOptions say, of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <stdexcept>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

int twice(int x) { return 2 * x; }
int positive(int x) { return x >= 0 ? x : throw std::invalid_argument("negative"); }

// The order in which tasks began.
int turn() { return static_cast<int>(marks->gates[7].fetch_add(1)); }

// --- one call --------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ACallGivesItsResultAgainAndAgain) {
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

// --- failures --------------------------------------------------------------------------------------------------------

namespace outer {
template <class T>
struct Inner : std::runtime_error {
  struct Innermost {};
  using runtime_error::runtime_error;
};
}  // namespace outer

class NullWhat : public std::exception {
 public:
  const char* what() const noexcept override { return nullptr; }
};
class OwnText : public std::exception {
 public:
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_ = "text";
};
struct MoveOnly {
  MoveOnly() = default;
  MoveOnly(MoveOnly&&) = default;
};

// What a task failed with, and its future says too.
template <class P, class F>
TaskError error_of(P& pool, F f) {
  const Future<void> future = pool.submit(f);
  const absl::Status status = future.get();
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(future.successful());
  const TaskError error = task_error(status).value_or(TaskError{});
  EXPECT_EQ(future.error().value_or(TaskError{}).what, error.what);
  EXPECT_EQ(error.attempt, 1u);
  return error;
}

TEST_OF_EACH_POOL(FailuresHaveOneLayer) {
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

TEST_OF_EACH_POOL(WhatIsNoStdExceptionSettlesTheFutureToo) {
  auto pool = this->make(1);
  EXPECT_EQ(error_of(pool, [] { throw 42; }).what, "42");
  EXPECT_EQ(error_of(pool, [] { throw "text"; }).type, "char const*");
  EXPECT_EQ(error_of(pool, [] { throw std::string("s"); }).what, "s");
  EXPECT_EQ(error_of(pool, [] { throw 2.5; }).type, "double");
  EXPECT_THAT(error_of(pool, [] { throw MoveOnly(); }).type, HasSubstr("MoveOnly"));
  EXPECT_THAT(error_of(pool, [] { throw NullWhat(); }).type, HasSubstr("NullWhat"));
  EXPECT_THAT(error_of(pool, [] { throw outer::Inner<int>("deep"); }).type, HasSubstr("outer::Inner<int>"));
  EXPECT_THAT(error_of(pool, [] { throw outer::Inner<int>::Innermost(); }).type,
              HasSubstr("outer::Inner<int>::Innermost"));
  EXPECT_EQ(pool.apply(twice, 4).value(), 8);
}

TEST_OF_EACH_POOL(ATextComesWhole) {
  auto pool = this->make(1);
  EXPECT_EQ(error_of(pool, [] { throw OwnText(); }).what, "text");
  EXPECT_EQ(error_of(pool, [] { throw std::runtime_error(std::string(1 << 20, 'x')); }).what.size(),
            std::size_t{1} << 20);
}

TEST_OF_EACH_POOL(AReturnedStatusKeepsCodeTextAndPayloads) {
  auto pool = this->make(1);
  const absl::Status status = pool.apply([] {
    absl::Status failure = absl::ResourceExhaustedError("enough");
    failure.SetPayload("mine", absl::Cord("payload"));
    return failure;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(status.GetPayload("mine").value()), "payload");
  EXPECT_EQ(task_error(status)->kind, TaskError::Kind::kReturned);
  EXPECT_EQ(task_error(status)->what, "enough");
}

// --- retries ---------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(RetriesOfAnyFailureBeginAfresh) {
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

// --- how many may be pending -----------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(AFullOneRefusesAndWaits) {
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

TEST_OF_EACH_POOL(MaxPendingIsWhereTrySubmitRefuses) {
  for (const std::size_t most : {1u, 3u, 100u}) {
    marks->gates[0] = 0;
    auto pool = this->make(1, most);
    std::vector<Future<void>> accepted;
    while (auto future = pool.try_submit([] { marks->pass(0); })) accepted.push_back(*std::move(future));
    EXPECT_EQ(accepted.size(), most);
    EXPECT_FALSE(pool.try_submit([] {}).has_value());
    marks->open(0);
    for (const Future<void>& each : accepted) EXPECT_TRUE(each.get().ok());
    EXPECT_TRUE(pool.try_submit([] {})->get().ok());
  }
}

// The results of ended tasks make room: nobody has to get them first.
TEST_OF_EACH_POOL(MaxPendingDoesNotStopWhoSubmitsManyAndThenGetsThem) {
  for (const std::size_t most : {1u, 16u}) {
    auto pool = this->make(2, most);
    std::vector<Future<std::string>> futures;
    const std::string large(300, 'x');
    for (int i = 0; i < 1000; ++i) {
      futures.push_back(pool.submit([](int n, const std::string& s) { return s + std::to_string(n); }, i, large));
    }
    for (int i = 0; i < 1000; ++i)
      EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), large + std::to_string(i));
  }
}

TEST_OF_EACH_POOL(WorkersRunAtTheSameTime) {
  auto pool = this->make(3);
  std::vector<Future<void>> met;
  for (int i = 0; i < 3; ++i) met.push_back(pool.submit([] { marks->meet(0, 3); }));
  for (const Future<void>& each : met) EXPECT_TRUE(each.get().ok());
}

TEST_OF_EACH_POOL(SeveralThreadsSubmit) {
  auto pool = this->make(2, 64);
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        right += pool.submit([](int a, int b) { return a * 1000 + b; }, t, i).get().value() == t * 1000 + i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 800);
}

// --- priorities ------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(LargerPrioritiesComeFirstAndEqualsInOrder) {
  auto pool = this->make(1);
  const Future<void> held = block(pool);
  std::vector<std::pair<int, Future<int>>> tasks;
  for (const int priority : {0, -1, 5, 0, 10, -10, 5, 1, -1, 0, 10}) {
    tasks.emplace_back(priority, pool.submit({.priority = priority}, [] { return turn(); }));
  }
  marks->open(0);
  std::vector<std::pair<int, int>> found;  // {turn, priority}, in order of submission
  for (const auto& [priority, future] : tasks) found.emplace_back(future.get().value(), priority);
  std::vector<std::size_t> expected(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) expected[i] = i;
  std::ranges::stable_sort(expected, std::greater<>(), [&](std::size_t i) { return tasks[i].first; });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[expected[i]].first, static_cast<int>(i)) << "priority " << tasks[expected[i]].first;
  }
}

TEST_OF_EACH_POOL(PrioritiesBeyondTheLastCountAsThat) {
  auto pool = this->make(1);
  const Future<void> held = block(pool);
  const auto first = pool.submit({.priority = 10}, [] { return turn(); });
  const auto second = pool.submit({.priority = INT_MAX}, [] { return turn(); });
  const auto fourth = pool.submit({.priority = INT_MIN}, [] { return turn(); });
  const auto third = pool.submit([] { return turn(); });
  marks->open(0);
  EXPECT_EQ(first.get().value(), 0);
  EXPECT_EQ(second.get().value(), 1);
  EXPECT_EQ(third.get().value(), 2);
  EXPECT_EQ(fourth.get().value(), 3);
}

TEST_OF_EACH_POOL(ManyOfEveryPriorityAreAllRun) {
  auto pool = this->make(3, 500);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 1000; ++i) {
    futures.push_back(pool.submit(
        {.priority = i % 21 - 10}, [](int n) { return ++marks->count, n; }, i));
  }
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), i);
  EXPECT_EQ(marks->count, 1000u);
}

// --- time, and progress ----------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ClosingWaitsForABackoff) {
  auto pool = this->make(1);
  const TaskOptions options{.retries = 1, .backoff = 100ms, .retry_on = RetryOn::kAnyFailure};
  const auto second = pool.submit(options, [] { return current_task().attempt() == 1 ? throw 1 : 2; });
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(second.get().value(), 2);
}

TEST_OF_EACH_POOL(ASoftDeadlineOnlyTellsTheTask) {
  auto pool = this->make(1);
  const auto asks = [] {
    const auto begin = Clock::now();
    const bool at_first = current_task().stop_requested();
    while (!current_task().stop_requested()) std::this_thread::sleep_for(1ms);
    return std::pair(at_first, Clock::now() - begin >= 50ms);
  };
  EXPECT_EQ(pool.submit({.soft_deadline = 60ms}, asks).get_for(kPromptly).value(), std::pair(false, true));
  EXPECT_FALSE(pool.apply([] { return current_task().stop_requested(); }).value()) << "the next task has none";
  EXPECT_FALSE(current_task().stop_requested());
}

TEST_OF_EACH_POOL(ASoftDeadlineIsAnItems) {
  auto pool = this->make(1);
  const auto told = [](int n) {
    if (n % 2 == 0) return current_task().stop_requested();
    std::this_thread::sleep_for(60ms);
    return current_task().stop_requested();
  };
  EXPECT_EQ(pool.map({.chunksize = 4, .task = {.soft_deadline = 40ms}}, told, std::views::iota(0, 4)).value(),
            (std::vector{false, true, false, true}));
}

TEST_OF_EACH_POOL(TasksReportHowFarTheyAre) {
  auto pool = this->make(4);
  const auto reports = [] {
    current_task().report(0.25, "the first quarter");
    ++marks->count, marks->pass(0);
    current_task().report(7);
    ++marks->count, marks->pass(1);
    current_task().report(std::nan(""));
    ++marks->count, marks->pass(2);
    throw 1;
  };
  const Future<void> future = pool.submit(reports);
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_NEAR(future.progress(), 0.25, 1e-9);
  marks->open(0);
  ASSERT_TRUE(marks->await_count(2));
  EXPECT_EQ(future.progress(), 1);
  marks->open(1);
  ASSERT_TRUE(marks->await_count(3));
  EXPECT_EQ(future.progress(), 0);
  marks->open(2);
  future.wait();
  EXPECT_EQ(future.progress(), 0) << "it failed";
  const Future<void> done = pool.submit([] { current_task().report(0.5); });
  done.wait();
  EXPECT_EQ(done.progress(), 1);
  current_task().report(0.5, "outside a task");
  EXPECT_EQ(Future<int>().progress(), 0);
}

}  // namespace
}  // namespace warren::test
