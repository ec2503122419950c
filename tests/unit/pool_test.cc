#include <warren/pool/pool.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

class PoolTest : public WithMarks {};

absl::StatusCode code_of_create(const PoolOptions& options) { return Pool::create(options).status().code(); }

TEST_F(PoolTest, RunsTasksInOtherProcesses) {
  Pool pool = make_pool(1);
  const pid_t worker = pool.submit([] { return ::getpid(); }).get().value();
  EXPECT_NE(worker, ::getpid());
  EXPECT_NE(worker, supervisor_of(pool));
  EXPECT_EQ(pool.apply([](int a, int b) { return a + b; }, 40, 2).value(), 42);
}

TEST_F(PoolTest, HasAsManyWorkersAsAskedForElseOnePerProcessor) {
  EXPECT_EQ(make_pool(5).workers(), 5u);
  EXPECT_GE(Pool::create().value().workers(), 1u);
  EXPECT_LE(Pool::create().value().workers(), std::thread::hardware_concurrency());
  Pool many = make_pool(100);
  EXPECT_EQ(workers_of(many).size(), 100u);
}

TEST_F(PoolTest, RefusesWhatCannotBe) {
  EXPECT_EQ(code_of_create({.workers = 1025}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of_create({.workers = 1, .max_pending = 0}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of_create({.workers = 1, .max_pending = (std::size_t{1} << 20) + 1}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of_create({.workers = 1, .max_pending = SIZE_MAX}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of_create({.workers = 1, .name = std::string(64, 'n')}), absl::StatusCode::kInvalidArgument);
}

TEST_F(PoolTest, TakesTheLargestTableAndTheLongestName) {
  Pool pool = Pool::create({.workers = 1, .max_pending = std::size_t{1} << 20, .name = std::string(63, 'n')}).value();
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
}

// What waits there comes in chunks, whose memory comes with them and is used again.
TEST_F(PoolTest, RunsManyWaitingTasksInTheirOrderAndUsesTheirHintsMemoryAgain) {
  constexpr int kTasks = 5000;
  Pool pool = make_pool(1);
  const layout::MpmcRingHeader& hints = PoolView::of_this_process().hints();
  EXPECT_EQ(hints.chunks_committed, 1u);
  std::uint64_t chunks = 0;
  for (std::size_t round = 0; round < 3; ++round) {
    const Future<void> held = pool.submit([](std::size_t gate) { marks->pass(gate); }, round);
    std::vector<Future<int>> tasks;
    for (int i = 0; i < kTasks; ++i) tasks.push_back(pool.submit([] { return static_cast<int>(++marks->count); }));
    marks->open(round);
    ASSERT_TRUE(held.get().ok());
    const int first = static_cast<int>(round) * kTasks;
    for (int i = 0; i < kTasks; ++i) ASSERT_EQ(tasks[static_cast<std::size_t>(i)].get().value(), first + i + 1);
    if (round == 1) chunks = hints.chunks_committed;
  }
  EXPECT_GT(chunks, 3u);
  EXPECT_LE(hints.chunks_committed, chunks + 1);  // where in a chunk a round begins differs
}

TEST_F(PoolTest, TwoPoolsDoNotMind) {
  Pool first = make_pool(1), second = make_pool(1);
  EXPECT_NE(first.apply([] { return ::getpid(); }).value(), second.apply([] { return ::getpid(); }).value());
  first.terminate();
  EXPECT_EQ(second.apply([] { return 2; }).value(), 2);
}

TEST_F(PoolTest, MovesAndEndsThePoolThatItTakesThePlaceOf) {
  Pool pool = make_pool(1);
  const pid_t first = supervisor_of(pool);
  pool = make_pool(1);
  EXPECT_TRUE(gone(first));
  Pool moved = std::move(pool);
  EXPECT_EQ(moved.apply([] { return 3; }).value(), 3);
}

TEST_F(PoolTest, MadeInAThreadThatEndsLivesOn) {
  std::optional<Pool> pool;
  std::thread([&] { pool = make_pool(2); }).join();
  const std::vector<pid_t> workers = workers_of(*pool);
  EXPECT_EQ(pool->apply([] { return 4; }).value(), 4);
  EXPECT_EQ(workers_of(*pool), workers);
}

// --- initializers ----------------------------------------------------------------------------------------------------

int prepared = 0;

TEST_F(PoolTest, InitializerRunsFirstInEveryWorkerAlsoInReplacements) {
  Pool pool = Pool::create({.workers = 2, .initializer = [] { prepared = 7; }}).value();
  const auto both = [&] {
    return pool
        .map(
            {.chunksize = 1}, [](int) { return prepared; }, std::views::iota(0, 20))
        .value();
  };
  EXPECT_THAT(both(), Each(7));
  EXPECT_EQ(prepared, 0);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(pool.apply([] { ::raise(SIGKILL); }).ok());
  EXPECT_THAT(both(), Each(7));
}

void expect_broken(Pool& pool, const std::string& text) {
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<int> result = pool.submit([] { return 1; }).get();
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(text));
    EXPECT_EQ(task_error(result.status())->kind, TaskError::Kind::kRefused);
  }
  const absl::Status joined = pool.join();
  EXPECT_EQ(joined.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(joined.message()), HasSubstr(text));
}

TEST_F(PoolTest, InitializerThatThrowsInAReplacementBreaksThePoolToo) {
  Pool pool = Pool::create({.workers = 1,
                            .initializer =
                                [] {
                                  if (marks->count++ > 0) throw std::runtime_error("second time");
                                }})
                  .value();
  const Future<void> dies = pool.submit([] { marks->pass(0), ::raise(SIGKILL); });
  const Future<int> waits = pool.submit([] { return 1; });
  marks->open(0);
  EXPECT_EQ(dies.get().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(waits.get().status().code(), absl::StatusCode::kFailedPrecondition);
  expect_broken(pool, "second time");
}

TEST_F(PoolTest, InitializerThatDiesBreaksThePoolAfterAFewTries) {
  Pool pool = Pool::create({.workers = 2, .initializer = [] { ++marks->count, ::_exit(9); }}).value();
  expect_broken(pool, "exit code 9");
  EXPECT_LE(marks->count, 10u);
}

TEST_F(PoolTest, InitializerThatExitsWithSuccessIsNoSuccess) {
  Pool pool = Pool::create({.workers = 1, .initializer = [] { std::exit(0); }}).value();
  expect_broken(pool, "exit code 0");
}

}  // namespace
}  // namespace warren::test
