// A worker's death fails its task alone, or has it tried again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Contains;
using ::testing::Each;

class PoolDeath : public WithMarks {};

TaskError error_of(const absl::Status& status) {
  EXPECT_TRUE(task_error(status).has_value()) << status;
  return task_error(status).value_or(TaskError{});
}

// --- every way to die ------------------------------------------------------------------------------------------------

struct WayToDie {
  const char* name;
  Death how;
  int signal;  // 0: it exits,
  int code;    // with this
};

class WorkerDies : public WithMarks, public testing::WithParamInterface<WayToDie> {};

TEST_P(WorkerDies, AndItsTaskAloneFails) {
  const WayToDie& way = GetParam();
  Pool pool = make_pool(2);
  const auto other = pool.submit([] { marks->pass(0); });
  const auto dies = pool.submit([](Death how) { marks->pids[0] = ::getpid(), die(how); }, way.how);
  const absl::Status status = dies.get();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  const TaskError error = error_of(status);
  EXPECT_EQ(error.kind, TaskError::Kind::kDied);
  EXPECT_EQ(error.signal, way.signal);
  EXPECT_EQ(error.exit_code, way.code);
  EXPECT_EQ(error.worker, marks->pids[0]);
  EXPECT_EQ(error.attempt, 1u);
  EXPECT_TRUE(gone(marks->pids[0]));
  marks->open(0);
  EXPECT_TRUE(other.get().ok());
  EXPECT_EQ(workers_of(pool).size(), 2u) << "refilled";
  EXPECT_EQ(pool.map([](int x) { return x; }, std::views::iota(0, 100)).value().size(), 100u);
}

const WayToDie kWays[] = {
    {"killed", Death::kKilled, SIGKILL, 0},        {"segfault", Death::kSegfault, SIGSEGV, 0},
    {"abort", Death::kAbort, SIGABRT, 0},          {"exit_0", Death::kExitZero, 0, 0},
    {"quick_exit_3", Death::kQuickExit, 0, 3},     {"stack_overflow", Death::kStackOverflow, SIGSEGV, 0},
    {"in_a_thread", Death::kInThread, SIGKILL, 0}, {"uncaught_in_a_thread", Death::kUncaughtInThread, SIGABRT, 0},
};
INSTANTIATE_TEST_SUITE_P(, WorkerDies, testing::ValuesIn(kWays), [](const auto& way) { return way.param.name; });

// It must not unwind into the program that made the pool.
TEST_F(PoolDeath, AThreadExitInATaskIsADeath) {
  struct Guard {
    ~Guard() {
      if (::getpid() != owner) ++marks->count;
    }
    pid_t owner = ::getpid();
  } const guard;
  Pool pool = make_pool(1);
  const absl::Status status = pool.apply([] { die(Death::kThreadExit); });
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
  EXPECT_EQ(marks->count, 0u) << "the program's own destructors ran in the worker";
}

// --- several, and idle ones ------------------------------------------------------------------------------------------

TEST_F(PoolDeath, TwoAtOnce) {
  Pool pool = make_pool(2);
  std::vector<Future<void>> both;
  for (int i = 0; i < 2; ++i) both.push_back(pool.submit([] { marks->meet(0, 2), die(Death::kKilled); }));
  for (const Future<void>& each : both) EXPECT_EQ(each.get().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(pool.map([](int x) { return x; }, std::views::iota(0, 10)).value().size(), 10u);
}

TEST_F(PoolDeath, OfIdleWorkersLosesNothing) {
  Pool pool = make_pool(3);
  for (int round = 0; round < 5; ++round) {
    for (const pid_t worker : workers_of(pool)) ::kill(worker, SIGKILL);
    EXPECT_EQ(pool.map(
                      {.chunksize = 1}, [](int x) { return 2 * x; }, std::views::iota(0, 50))
                  .value()
                  .size(),
              50u);
  }
}

TEST_F(PoolDeath, OfAllWorkersAtOnceFailsWhatTheyRanAndNothingElse) {
  Pool pool = make_pool(3);
  const std::vector<pid_t> workers = workers_of(pool);
  std::vector<Future<void>> running;
  for (int i = 0; i < 3; ++i) running.push_back(pool.submit([] { ++marks->count, marks->pass(0); }));
  std::vector<Future<int>> pending;
  for (int i = 0; i < 500; ++i) pending.push_back(pool.submit([](int x) { return x; }, i));
  ASSERT_TRUE(marks->await_count(3));
  for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  for (const Future<void>& each : running) {
    const TaskError error = error_of(each.get());
    EXPECT_EQ(error.signal, SIGKILL);
    EXPECT_THAT(workers, Contains(error.worker));
  }
  for (int i = 0; i < 500; ++i) EXPECT_EQ(pending[static_cast<std::size_t>(i)].get().value(), i);
}

TEST_F(PoolDeath, ManyInARowLeaveAPoolThatServes) {
  Pool pool = make_pool(2, 8);
  const std::string large(5000, 'x');
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pool.apply([](const std::string&) { die(Death::kKilled); }, large).code(), absl::StatusCode::kAborted);
  }
  EXPECT_EQ(workers_of(pool).size(), 2u);
}

TEST_F(PoolDeath, OfWhoRanAForgottenTaskFreesItsSlot) {
  Pool pool = make_pool(1, 2);
  for (int i = 0; i < 30; ++i) pool.submit([] { die(Death::kKilled); });
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
}

TEST_F(PoolDeath, IsSeenWhereTheProgramIgnoresItsChildrensEnds) {
  Child child([] {
    ::signal(SIGCHLD, SIG_IGN);
    Pool pool = make_pool(1);
    EXPECT_EQ(pool.submit([] { die(Death::kKilled); }).get().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
    pool.close();
    EXPECT_TRUE(pool.join().ok());
  });
  const auto ended = ended_within(child, kPromptly);
  ASSERT_TRUE(ended.has_value()) << "it hangs";
  EXPECT_TRUE(ended->well());
}

// --- tried again -----------------------------------------------------------------------------------------------------

TEST_F(PoolDeath, IsRetriedAsOftenAsAllowed) {
  Pool pool = make_pool(2);
  const auto dies_until = [](std::uint32_t good) {
    const std::uint32_t attempt = current_task().attempt();
    marks->pids[attempt] = ::getpid();
    if (attempt < good) die(Death::kKilled);
    return attempt;
  };
  EXPECT_EQ(pool.submit({.retries = 2}, dies_until, 3u).get().value(), 3u);
  EXPECT_NE(marks->pids[1], marks->pids[2]);
  EXPECT_NE(marks->pids[2], marks->pids[3]);
  const TaskError error = error_of(pool.submit({.retries = 2}, dies_until, 4u).get().status());
  EXPECT_EQ(error.attempt, 3u);
  EXPECT_EQ(error.worker, marks->pids[3]);
}

TEST_F(PoolDeath, IsNotRetriedUnlessAllowed) {
  Pool pool = make_pool(1);
  EXPECT_FALSE(pool.apply([] { ++marks->count, die(Death::kKilled); }).ok());
  EXPECT_EQ(marks->count, 1u);
}

TEST_F(PoolDeath, ARetryOnDeathIsNoneOnFailure) {
  Pool pool = make_pool(1);
  const absl::Status status = pool.submit({.retries = 5}, [] { ++marks->count, throw 1; }).get();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(marks->count, 1u);
}

TEST_F(PoolDeath, ARetryOnAnyFailureCountsThrowsStatusesAndDeaths) {
  Pool pool = make_pool(2);
  const TaskOptions options{.retries = 3, .retry_on = RetryOn::kAnyFailure};
  const auto fails_in_turn = [](std::uint32_t good) -> absl::StatusOr<std::uint32_t> {
    ++marks->count;
    const std::uint32_t attempt = current_task().attempt();
    if (attempt >= good) return attempt;
    if (attempt == 1) throw std::runtime_error("first");
    if (attempt == 2) die(Death::kKilled);
    return absl::NotFoundError("later");
  };
  EXPECT_EQ(pool.submit(options, fails_in_turn, 4u).get().value(), 4u);
  EXPECT_EQ(marks->count, 4u);
  const absl::Status status = pool.submit(options, fails_in_turn, 9u).get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(error_of(status).attempt, 4u);
  EXPECT_EQ(marks->count, 8u);
}

TEST_F(PoolDeath, RetriesSeeTheSameArgumentsAndId) {
  Pool pool = make_pool(2);
  const std::string large(100'000, 'q');
  const auto dies_three_times = [](const std::string& text) {
    if (current_task().attempt() < 4) die(Death::kKilled);
    return std::pair(text, current_task().id().value);
  };
  const auto future = pool.submit({.retries = 3}, dies_three_times, large);
  const auto [text, id] = future.get().value();
  EXPECT_EQ(text, large);
  EXPECT_EQ(TaskId{id}, future.id());
}

TEST_F(PoolDeath, EndlessRetriesAreBounded) {
  Pool pool = make_pool(1);
  const TaskOptions options{.retries = UINT32_MAX, .retry_on = RetryOn::kAnyFailure};
  const auto future = pool.submit(options, [] { ++marks->count, throw 1; });
  const bool ended = future.wait_for(kPromptly);
  if (!ended) pool.terminate();
  ASSERT_TRUE(ended) << "after " << marks->count << " attempts";
  EXPECT_EQ(error_of(future.get()).attempt, marks->count);
  EXPECT_GE(marks->count, 4000u);
}

// --- a task that forks -----------------------------------------------------------------------------------------------

// Its child comes out of the function too, and must not become a second worker.
TEST_F(PoolDeath, ATaskThatForksReturnsOnce) {
  Pool pool = make_pool(1);
  const pid_t worker = pool.apply([] { return ::getpid(); }).value();
  const auto forks = [](int) {
    ++marks->count;
    const pid_t child = ::fork();
    return std::pair(::getpid(), child);
  };
  for (int i = 0; i < 20; ++i) {
    const auto [pid, child] = pool.apply(forks, 0).value();
    EXPECT_EQ(pid, worker);
    EXPECT_GT(child, 0);
    EXPECT_TRUE(all_gone({child}));
  }
  const auto results = pool.map({.chunksize = 10}, forks, std::views::iota(0, 10)).value();
  for (const auto& [pid, child] : results) EXPECT_EQ(pid, worker);
  EXPECT_EQ(marks->count, 30u) << "the children ran other tasks";
  EXPECT_FALSE(pool.apply([] { throw ::fork(); }).ok());
  EXPECT_TRUE(pool.apply([] { (void)::fork(); }).ok());
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), worker);
}

TEST_F(PoolDeath, AnInitializerThatForksLeavesOneWorker) {
  Pool pool = Pool::create({.workers = 1, .initializer = [] { (void)::fork(); }}).value();
  const pid_t worker = pool.apply([] { return ::getpid(); }).value();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(pool.apply([](int) { return ::getpid(); }, i).value(), worker);
}

// A hint that a stopped worker took along: no death gives another one.
TEST_F(PoolDeath, ATaskWhoseHintIsGoneIsFound) {
  Pool pool = make_pool(1);
  const Future<void> held = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  layout::MpmcRingHeader& hints = PoolView::of_this_process().hints();
  const Future<int> task = pool.submit([] { return 1; });
  hints.head = hints.tail.load();
  marks->open(0);
  EXPECT_EQ(task.get_for(kPromptly).value(), 1);
}

}  // namespace
}  // namespace warren::test
