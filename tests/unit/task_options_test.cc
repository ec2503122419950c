// TaskOptions: priority, worker, name, backoff. Deadlines: pool_deadline_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::HasSubstr;

using Clock = std::chrono::steady_clock;

class TaskOptionsTest : public WithMarks {
 protected:
  // Keeps the pool's one worker busy until gate 0 opens.
  static Future<void> hold(Pool& pool) {
    Future<void> held = pool.submit([] { ++marks->count, marks->pass(0); });
    EXPECT_TRUE(marks->await_count(1));
    return held;
  }
};

// The order in which tasks began.
int turn() { return static_cast<int>(marks->gates[7].fetch_add(1)); }

// A worker may run a task before its supervisor has noted who it is.
bool is_in_place(pid_t pid, std::uint32_t place) {
  return eventually([&] { return static_cast<pid_t>(PoolView::of_this_process().workers()[place].pid) == pid; },
                    kPromptly);
}

// --- priority --------------------------------------------------------------------------------------------------------

// Hints of tasks that were cancelled stay in the ring until a worker comes by.
TEST_F(TaskOptionsTest, MoreThanTheRingOfAPriorityHoldsStillComeFirst) {
  constexpr std::size_t kPending = 64;
  Pool pool = make_pool(1, kPending);
  const Future<void> held = hold(pool);
  for (const int priority : {5, -5}) {
    for (std::size_t i = 0; i < 2 * kPending; ++i) {
      EXPECT_TRUE(pool.submit({.priority = priority}, [] { return turn(); }).cancel());
    }
  }
  std::vector<Future<int>> below, plain, above;
  for (int i = 0; i < 8; ++i) {
    below.push_back(pool.submit({.priority = -5}, [] { return turn(); }));
    plain.push_back(pool.submit([] { return turn(); }));
    above.push_back(pool.submit({.priority = 5}, [] { return turn(); }));
  }
  marks->open(0);
  for (int i = 0; i < 8; ++i) EXPECT_LT(above[static_cast<std::size_t>(i)].get().value(), 8);
  for (int i = 0; i < 8; ++i) EXPECT_LT(plain[static_cast<std::size_t>(i)].get().value(), 16);
  for (int i = 0; i < 8; ++i) EXPECT_GE(below[static_cast<std::size_t>(i)].get().value(), 16);
}

TEST_F(TaskOptionsTest, AMapHasAPriorityToo) {
  Pool pool = make_pool(1);
  const Future<void> held = hold(pool);
  const Future<int> before = pool.submit([] { return turn(); });
  std::thread opens([&] {
    EXPECT_TRUE(eventually([] { return PoolView::of_this_process().header().bands != 0; }, kPromptly));
    marks->open(0);
  });
  const auto turns = pool.map(
      {.chunksize = 2, .task = {.priority = 1}}, [](int) { return turn(); }, std::views::iota(0, 2));
  opens.join();
  EXPECT_EQ(turns.value(), (std::vector{0, 1}));
  EXPECT_EQ(before.get().value(), 2);
}

TEST_F(TaskOptionsTest, AStoppedOrKilledWorkerLosesNoPriorityTask) {
  Pool pool = make_pool(2);
  for (int round = 0; round < 20; ++round) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 40; ++i) {
      futures.push_back(pool.submit(
          {.retries = 50, .priority = i % 3 - 1}, [](int n) { return n; }, i));
    }
    for (const pid_t worker : workers_of(pool)) ::kill(worker, SIGKILL);
    for (int i = 0; i < 40; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get_for(kPromptly).value(), i);
  }
}

// --- one worker alone ------------------------------------------------------------------------------------------------

TEST_F(TaskOptionsTest, OneWorkerAloneRunsWhatIsForIt) {
  Pool pool = make_pool(3);
  std::array<pid_t, 3> pids{};
  for (std::uint32_t i = 0; i < 3; ++i) {
    pids[i] = pool.submit({.worker = i}, [] { return ::getpid(); }).get().value();
    EXPECT_TRUE(is_in_place(pids[i], i));
  }
  std::vector<std::pair<std::uint32_t, Future<pid_t>>> many;
  for (std::uint32_t i = 0; i < 900; ++i)
    many.emplace_back(i % 3, pool.submit({.worker = i % 3}, [] { return ::getpid(); }));
  for (const auto& [worker, future] : many) EXPECT_EQ(future.get().value(), pids[worker]);
}

// More than its ring holds: the table is looked through.
TEST_F(TaskOptionsTest, ManyForOneWorkerAreAllRunThere) {
  Pool pool = make_pool(2, 5000);
  const pid_t first = pool.submit({.worker = 0}, [] { return ::getpid(); }).get().value();
  std::vector<Future<void>> held;
  for (std::uint32_t i = 0; i < 2; ++i)
    held.push_back(pool.submit({.worker = i}, [] { ++marks->count, marks->pass(0); }));
  ASSERT_TRUE(marks->await_count(2));
  std::vector<Future<pid_t>> futures;
  for (int i = 0; i < 1000; ++i) futures.push_back(pool.submit({.worker = 0}, [] { return ::getpid(); }));
  marks->open(0);
  for (const auto& each : futures) EXPECT_EQ(each.get_for(kPromptly).value(), first);
}

// Those that its ring had no room for as well.
TEST_F(TaskOptionsTest, ManyForOneWorkerComeBeforeAllOthersThere) {
  Pool pool = make_pool(1);
  const Future<void> held = hold(pool);
  std::vector<Future<int>> others, pinned;
  for (int i = 0; i < 50; ++i) others.push_back(pool.submit([] { return turn(); }));
  for (int i = 0; i < 50; ++i) others.push_back(pool.submit({.priority = 1}, [] { return turn(); }));
  for (int i = 0; i < 400; ++i) pinned.push_back(pool.submit({.worker = 0}, [] { return turn(); }));
  marks->open(0);
  for (const auto& each : pinned) EXPECT_LT(each.get_for(kPromptly).value(), 400);
  for (const auto& each : others) EXPECT_GE(each.get_for(kPromptly).value(), 400);
}

TEST_F(TaskOptionsTest, TheOneInItsPlaceRunsItWhenItDied) {
  Pool pool = make_pool(2);
  const pid_t first = pool.submit({.worker = 1}, [] { return ::getpid(); }).get().value();
  const auto dies = pool.submit({.worker = 1}, [] { marks->pass(0), die(Death::kKilled); });
  const auto after = pool.submit({.worker = 1}, [] { return ::getpid(); });
  EXPECT_EQ(pool.submit({.worker = 0}, [] { return 1; }).get().value(), 1);
  marks->open(0);
  EXPECT_EQ(dies.get().code(), absl::StatusCode::kAborted);
  const pid_t second = after.get_for(kPromptly).value();
  EXPECT_NE(second, first);
  EXPECT_TRUE(is_in_place(second, 1));
}

TEST_F(TaskOptionsTest, ItComesBeforeAllOthersThere) {
  Pool pool = make_pool(1);
  const Future<void> held = hold(pool);
  const auto third = pool.submit([] { return turn(); });
  const auto second = pool.submit({.priority = 10}, [] { return turn(); });
  const auto first = pool.submit({.priority = -10, .worker = 0}, [] { return turn(); });
  marks->open(0);
  EXPECT_EQ(first.get().value(), 0);
  EXPECT_EQ(second.get().value(), 1);
  EXPECT_EQ(third.get().value(), 2);
}

TEST_F(TaskOptionsTest, AWorkerThatIsNotThereIsRefused) {
  Pool pool = make_pool(2);
  const absl::Status status = pool.submit({.worker = 2}, [] {}).get();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("worker 2 was asked for, and the pool has 2"));
}

TEST_F(TaskOptionsTest, AMapForAWorkerThatIsNotThereIsRefused) {
  Pool pool = make_pool(2);
  const MapOptions options{.task = {.worker = 2}};
  const auto same = [](int x) { return x; };
  EXPECT_EQ(pool.map(options, same, std::views::iota(0, 9)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(pool.map_async(options, same, std::views::iota(0, 9)).get().status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(pool.map({.task = {.worker = 1}}, same, std::views::iota(0, 9)).value().size(), 9u);
}

TEST_F(TaskOptionsTest, WhatWasForAWorkerThatResizeTookIsForAny) {
  Pool pool = make_pool(3);
  const Future<void> held = pool.submit({.worker = 2}, [] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<Future<int>> futures;
  for (int i = 0; i < 300; ++i)
    futures.push_back(pool.submit(
        {.worker = 2}, [](int n) { return n; }, i));
  EXPECT_TRUE(pool.resize(1).ok());
  for (int i = 0; i < 300; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get_for(kPromptly).value(), i);
  marks->open(0);
  EXPECT_TRUE(held.get().ok());
}

// --- name ------------------------------------------------------------------------------------------------------------

TEST_F(TaskOptionsTest, ANameStandsInTheSlotAndIsCutOff) {
  Pool pool = make_pool(1);
  const auto named = pool.submit({.name = "resize picture 0123456789"}, [] { marks->pass(0); });
  const PoolView view = PoolView::of_this_process();
  const auto slot = static_cast<std::uint32_t>(named.id().value);
  EXPECT_EQ(view.slots()[slot].has_extras, 1);
  const layout::TaskExtras& extras = view.extras(slot);
  EXPECT_EQ(std::string(extras.name, sizeof extras.name), "resize picture 012345678");
  marks->open(0);
  EXPECT_TRUE(named.get().ok());
}

// --- backoff ---------------------------------------------------------------------------------------------------------

TEST_F(TaskOptionsTest, ABackoffStandsBeforeEachAttemptAndHoldsUpNobody) {
  Pool pool = make_pool(1);
  const auto begin = Clock::now();
  const TaskOptions options{.retries = 2, .backoff = 150ms, .retry_on = RetryOn::kAnyFailure};
  const auto fails = pool.submit(options, [] { ++marks->count, throw 1; });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1) << "the only worker waits";
  EXPECT_EQ(fails.get().code(), absl::StatusCode::kUnknown);
  EXPECT_GE(Clock::now() - begin, 300ms);
  EXPECT_EQ(marks->count, 3u);
}

TEST_F(TaskOptionsTest, WhoIsCancelledInABackoffIsToldOfTheAttempts) {
  Pool pool = make_pool(1);
  auto fails = pool.submit({.retries = 1, .backoff = std::chrono::hours(1), .retry_on = RetryOn::kAnyFailure},
                           [] { ++marks->count, throw 1; });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(eventually([&] { return fails.cancel(); }, kPromptly)) << "it runs until its failure is noted";
  const absl::Status status = fails.get();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(task_error(status).value().attempt, 1u);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("cancelled after attempt 1 of it had failed"));
}

TEST_F(TaskOptionsTest, ABackoffStandsBehindADeathToo) {
  Pool pool = make_pool(2);
  const auto begin = Clock::now();
  const auto dies = pool.submit({.retries = 1, .backoff = 150ms}, [] {
    if (current_task().attempt() == 1) die(Death::kKilled);
  });
  // Other deaths, after which every pending task gets a new hint: not before its time.
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(pool.apply([] { die(Death::kKilled); }).ok());
  EXPECT_TRUE(dies.get_for(kPromptly).ok());
  EXPECT_GE(Clock::now() - begin, 150ms);
}

TEST_F(TaskOptionsTest, ABackoffIsAnItems) {
  Pool pool = make_pool(2);
  for (const RetryOn on : {RetryOn::kDeath, RetryOn::kAnyFailure}) {
    const auto begin = Clock::now();
    const TaskOptions options{.retries = 1, .backoff = 100ms, .retry_on = on};
    const auto results = pool.map(
        {.chunksize = 5, .task = options},
        [on](int n) {
          if (n == 2 && current_task().attempt() == 1) {
            if (on == RetryOn::kDeath) die(Death::kKilled);
            throw 1;
          }
          return n;
        },
        std::views::iota(0, 10));
    EXPECT_EQ(results.value().size(), 10u);
    EXPECT_GE(Clock::now() - begin, 100ms);
  }
}

TEST_F(TaskOptionsTest, ManyBackoffsAtOnceAllEnd) {
  Pool pool = make_pool(2, 3000);
  const TaskOptions options{.retries = 1, .backoff = 20ms, .retry_on = RetryOn::kAnyFailure};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 1500; ++i) {
    futures.push_back(pool.submit(
        options, [](int n) { return current_task().attempt() == 1 ? throw 1 : n; }, i));
  }
  for (int i = 0; i < 1500; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get_for(kPromptly).value(), i);
}

// --- poison ----------------------------------------------------------------------------------------------------------

TEST_F(TaskOptionsTest, WhatKillsItsWorkerEachTimeIsNotTriedForEver) {
  Pool pool = make_pool(2);
  const auto poison = pool.submit({.retries = 3}, [] { ++marks->count, die(Death::kSegfault); });
  EXPECT_EQ(poison.get_for(kPromptly).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(task_error(poison.get())->attempt, 4u);
  EXPECT_EQ(pool.map([](int x) { return x; }, std::views::iota(0, 50)).value().size(), 50u);
  EXPECT_EQ(marks->count, 4u);
}

}  // namespace
}  // namespace warren::test
