// cancel() and kill().
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class FutureCancel : public WithMarks {
 protected:
  // Keeps the one worker busy until gate 0 opens.
  Future<void> block() {
    Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
    EXPECT_TRUE(marks->await_count(1));
    return first;
  }
  Pool pool = make_pool(1);
};

TaskError error_of(const absl::Status& status) {
  EXPECT_TRUE(task_error(status).has_value()) << status;
  return task_error(status).value_or(TaskError{});
}

// --- kill ------------------------------------------------------------------------------------------------------------

TEST_F(FutureCancel, KillEndsTheWorkerThatRunsIt) {
  const pid_t worker = pool.apply([] { return ::getpid(); }).value();
  Future<void> running = block();
  EXPECT_TRUE(running.kill());
  const absl::Status status = running.get();
  EXPECT_TRUE(gone(worker)) << "before the future is done";
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  const TaskError error = error_of(status);
  EXPECT_EQ(error.kind, TaskError::Kind::kCancelled);
  EXPECT_EQ(error.worker, worker);
  EXPECT_EQ(error.attempt, 1u);
  EXPECT_FALSE(running.cancel()) << "it did run";
  EXPECT_TRUE(running.kill()) << "it is cancelled";
  EXPECT_NE(pool.apply([] { return ::getpid(); }).value(), worker) << "refilled";
}

TEST_F(FutureCancel, KillLeavesNoRetries) {
  Future<void> running =
      pool.submit({.retries = 5, .retry_on = RetryOn::kAnyFailure}, [] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(running.kill());
  EXPECT_EQ(error_of(running.get()).attempt, 1u);
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
  EXPECT_EQ(marks->count, 1u);
}

TEST_F(FutureCancel, KillEndsAStoppedWorker) {
  const pid_t worker = pool.apply([] { return ::getpid(); }).value();
  Future<void> running = block();
  ::kill(worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(worker) == 'T'; }, kPromptly));
  EXPECT_TRUE(running.kill());
  ASSERT_TRUE(running.wait_for(kPromptly));
  EXPECT_EQ(running.get().code(), absl::StatusCode::kCancelled);
}

TEST_F(FutureCancel, KillSparesTheOthers) {
  Pool three = make_pool(3);
  std::vector<Future<void>> running;
  for (std::size_t i = 0; i < 3; ++i)
    running.push_back(
        three.submit([](std::size_t at) { marks->pids[at] = ::getpid(), ++marks->count, marks->pass(0); }, i));
  ASSERT_TRUE(marks->await_count(3));
  EXPECT_TRUE(running[1].kill());
  EXPECT_EQ(error_of(running[1].get()).worker, marks->pids[1]);
  EXPECT_FALSE(running[0].ready() || running[2].ready());
  marks->open(0);
  EXPECT_TRUE(running[0].get().ok() && running[2].get().ok());
  EXPECT_FALSE(gone(marks->pids[0]) || gone(marks->pids[2]));
}

// As fast as tasks come: a kill that comes too late must hit nobody, neither the worker nor its next task.
TEST_F(FutureCancel, AKillThatRacesTheEndHitsThisTaskOrNone) {
  Pool two = make_pool(2);
  int killed = 0;
  for (int i = 0; i < 300; ++i) {
    Future<int> hunted = two.submit([](int x) { return x; }, i);
    Future<int> bystander = two.submit([](int x) { return x; }, i);
    if (i % 3 != 0) hunted.wait_for(std::chrono::microseconds(i % 50));
    const bool hit = hunted.kill();
    const absl::StatusOr<int> result = hunted.get();
    EXPECT_EQ(hit, absl::IsCancelled(result.status())) << result.status();
    killed += hit;
    if (!hit) {
      EXPECT_EQ(result.value(), i);
    }
    EXPECT_EQ(bystander.get().value(), i);
  }
  EXPECT_GT(killed, 0);
}

TEST_F(FutureCancel, OfADroppedFutureTheSlotComesBack) {
  Pool small = make_pool(1, 2);
  for (std::uint32_t i = 1; i <= 10; ++i) {
    {
      Future<void> running = small.submit([] { ++marks->count, marks->pass(0); });
      ASSERT_TRUE(marks->await_count(i));
      EXPECT_TRUE(running.kill());
    }
    EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
  }
}

TEST_F(FutureCancel, OfATerminatedOrBrokenPoolIsCancelledToo) {
  Future<void> first = block();
  Future<void> pending = pool.submit([] {});
  pool.terminate();
  EXPECT_EQ(first.get().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(pending.wait_for(kPromptly));
  EXPECT_TRUE(pending.cancel()) << "it never ran";
  EXPECT_TRUE(first.kill());
}

TEST_F(FutureCancel, AfterTheSupervisorsDeathAKillStillEndsTheFuture) {
  const pid_t supervisor = supervisor_of(pool);
  Future<void> first = block();
  ::kill(supervisor, SIGKILL);
  (void)first.kill();
  ASSERT_TRUE(first.wait_for(kPromptly));
  EXPECT_FALSE(first.successful());
}

}  // namespace
}  // namespace warren::test
