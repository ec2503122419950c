// Deadlines: of one attempt, of one item, hard and soft.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <iostream>

#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using Clock = std::chrono::steady_clock;

class PoolDeadline : public WithMarks {};

[[noreturn]] void run_on() {
  for (;;) ::pause();
}

void expect_overdue(const absl::Status& status, std::uint32_t attempt = 1) {
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  const std::optional<TaskError> error = task_error(status);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->kind, TaskError::Kind::kDeadline);
  EXPECT_EQ(error->attempt, attempt);
  EXPECT_NE(error->worker, 0);
}

// --- hard ------------------------------------------------------------------------------------------------------------

TEST_F(PoolDeadline, WhoseTimeIsOverIsKilledAndReplaced) {
  Pool pool = make_pool(2);
  const auto other = pool.submit([] { marks->pass(0); });
  const auto begin = Clock::now();
  const auto late = pool.submit({.deadline = 50ms}, [] { marks->pids[0] = ::getpid(), run_on(); });
  expect_overdue(late.get_for(kPromptly));
  EXPECT_GE(Clock::now() - begin, 50ms);
  EXPECT_TRUE(gone(marks->pids[0]));
  EXPECT_FALSE(other.ready());
  marks->open(0);
  EXPECT_TRUE(other.get().ok());
  EXPECT_EQ(workers_of(pool).size(), 2u);
}

TEST_F(PoolDeadline, BeginsWithTheAttemptNotWithSubmit) {
  Pool pool = make_pool(1);
  const Future<void> held = pool.submit([] { ++marks->count, std::this_thread::sleep_for(200ms); });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_EQ(pool.submit({.deadline = 100ms}, [] { return 3; }).get().value(), 3);
}

TEST_F(PoolDeadline, InTimeIsInTime) {
  Pool pool = make_pool(2);
  for (int i = 0; i < 300; ++i)
    EXPECT_EQ(pool.submit(
                      {.deadline = 20s}, [](int n) { return n; }, i)
                  .get()
                  .value(),
              i);
  EXPECT_EQ(PoolView::of_this_process().header().worker_deaths, 0u);
}

TEST_F(PoolDeadline, AStoppedWorkerIsKilledToo) {
  Pool pool = make_pool(1);
  const auto stops = pool.submit({.deadline = 100ms}, [] { ::raise(SIGSTOP), run_on(); });
  expect_overdue(stops.get_for(kPromptly));
  EXPECT_EQ(pool.submit([] { return 1; }).get_for(kPromptly).value(), 1);
}

TEST_F(PoolDeadline, IsRetriedAsADeathIs) {
  Pool pool = make_pool(2);
  const auto late_until = [](std::uint32_t good) {
    ++marks->count;
    if (current_task().attempt() < good) run_on();
    return current_task().attempt();
  };
  EXPECT_EQ(pool.submit({.deadline = 40ms, .retries = 2}, late_until, 3u).get_for(kPromptly).value(), 3u);
  EXPECT_EQ(marks->count, 3u);
  expect_overdue(pool.submit({.deadline = 40ms, .retries = 1}, late_until, 9u).get_for(kPromptly).status(), 2);
}

TEST_F(PoolDeadline, AZeroDeadlineIsOver) {
  Pool pool = make_pool(1);
  expect_overdue(pool.submit({.deadline = 0s}, run_on).get_for(kPromptly));
}

// Long ones first: who sleeps until they are over has to look again for a short one.
TEST_F(PoolDeadline, TheEarliestOfManyIsSeen) {
  Pool pool = make_pool(4);
  std::vector<Future<void>> slow;
  for (int i = 0; i < 3; ++i)
    slow.push_back(pool.submit({.deadline = std::chrono::hours(1 + i)}, [] { marks->pass(0); }));
  const auto begin = Clock::now();
  for (int i = 0; i < 3; ++i) expect_overdue(pool.submit({.deadline = 30ms}, run_on).get_for(kPromptly));
  EXPECT_GE(Clock::now() - begin, 90ms);
  marks->open(0);
  for (const auto& each : slow) EXPECT_TRUE(each.get().ok());
}

// At the border either is right, but never both, and nobody else suffers.
TEST_F(PoolDeadline, ARaceWithTheEndHasOneWinner) {
  Pool pool = make_pool(2);
  int late = 0, in_time = 0;
  for (int i = 0; i < 60; ++i) {
    const auto race = pool.submit(
        {.deadline = 5ms},
        [](int n) {
          const auto end = Clock::now() + 5ms + std::chrono::microseconds(20 * (n % 60 - 30));
          while (Clock::now() < end) {
          }
          return n;
        },
        i);
    const auto plain = pool.submit([](int n) { return n; }, i);
    const auto result = race.get_for(kPromptly);
    if (result.ok()) {
      EXPECT_EQ(*result, i);
      ++in_time;
    } else {
      expect_overdue(result.status());
      ++late;
    }
    EXPECT_EQ(plain.get_for(kPromptly).value(), i);
  }
  EXPECT_EQ(PoolView::of_this_process().header().worker_deaths, static_cast<std::uint32_t>(late));
  std::cout << in_time << " in time, " << late << " late\n";
}

TEST_F(PoolDeadline, OfAForgottenTaskKillsToo) {
  Pool pool = make_pool(1);
  pool.submit({.deadline = 30ms}, run_on);
  EXPECT_EQ(pool.submit([] { return 1; }).get_for(kPromptly).value(), 1);
}

TEST_F(PoolDeadline, CloseWaitsNoLonger) {
  Pool pool = make_pool(1);
  const auto late = pool.submit({.deadline = 50ms}, run_on);
  pool.close();
  EXPECT_TRUE(pool.join_for(kPromptly).ok());
  expect_overdue(late.get());
}

// --- of a map's items ------------------------------------------------------------------------------------------------

TEST_F(PoolDeadline, IsAnItems) {
  Pool pool = make_pool(2);
  const auto late_at_3 = [](int n) {
    ++marks->ran[static_cast<std::size_t>(n)];
    if (n == 3) run_on();
    std::this_thread::sleep_for(20ms);  // the chunk takes longer than an item may
    return n;
  };
  const TaskOptions options{.deadline = 120ms};
  std::vector<absl::StatusOr<int>> results;
  for (auto&& each : pool.imap({.chunksize = 10, .task = options}, late_at_3, std::views::iota(0, 10)))
    results.push_back(each);
  ASSERT_EQ(results.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    const auto& result = results[static_cast<std::size_t>(i)];
    EXPECT_EQ(marks->ran[static_cast<std::size_t>(i)], 1u);
    if (i == 3) {
      expect_overdue(result.status());
      EXPECT_EQ(task_error(result.status())->item, 3u);
    } else {
      EXPECT_EQ(result.value(), i);
    }
  }
}

TEST_F(PoolDeadline, AnItemIsRetriedByItself) {
  Pool pool = make_pool(2);
  const auto late_once = [](int n) {
    ++marks->ran[static_cast<std::size_t>(n)];
    if (n % 4 == 1 && current_task().attempt() == 1) run_on();
    return n;
  };
  const auto results =
      pool.map({.chunksize = 6, .task = {.deadline = 60ms, .retries = 1}}, late_once, std::views::iota(0, 12)).value();
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(marks->ran[static_cast<std::size_t>(i)], i % 4 == 1 ? 2u : 1u);
  }
}

// --- soft ------------------------------------------------------------------------------------------------------------

TEST_F(PoolDeadline, ASoftOneAndThenAHardOne) {
  Pool pool = make_pool(1);
  const TaskOptions options{.deadline = 200ms, .soft_deadline = 30ms};
  expect_overdue(pool.submit(options,
                             [] {
                               while (!current_task().stop_requested()) std::this_thread::sleep_for(1ms);
                               ++marks->count, run_on();
                             })
                     .get_for(kPromptly));
  EXPECT_EQ(marks->count, 1u);
}

}  // namespace
}  // namespace warren::test
