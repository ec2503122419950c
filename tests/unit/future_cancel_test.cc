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

TEST_F(FutureCancel, APendingTaskNeverRuns) {
  const Future<void> first = block();
  Future<int> pending = pool.submit([] { return marks->ran[0]++, 1; });
  EXPECT_TRUE(pending.cancel());
  EXPECT_TRUE(pending.ready()) << "at once";
  EXPECT_FALSE(pending.running() || pending.successful());
  EXPECT_TRUE(pending.cancel()) << "it still never runs";
  EXPECT_TRUE(pending.kill());
  const absl::Status status = pending.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  const TaskError error = error_of(status);
  EXPECT_EQ(error.kind, TaskError::Kind::kCancelled);
  EXPECT_EQ(error.attempt, 0u);
  EXPECT_EQ(error.worker, 0);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("cancelled before it ran"));
  marks->open(0);
  EXPECT_EQ(pool.apply([] { return 2; }).value(), 2);
  EXPECT_EQ(marks->ran[0], 0u);
}

TEST_F(FutureCancel, WakesWhoWaits) {
  const Future<void> first = block();
  Future<void> pending = pool.submit([] {});
  std::thread waiter([&] { EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled); });
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(pending.cancel());
  waiter.join();
  marks->open(0);
}

TEST_F(FutureCancel, ARunningTaskGoesOn) {
  Future<void> running = block();
  EXPECT_FALSE(running.cancel());
  EXPECT_TRUE(running.running());
  marks->open(0);
  EXPECT_TRUE(running.get().ok());
}

TEST_F(FutureCancel, OneThatHasEndedKeepsItsResult) {
  Future<int> done = pool.submit([] { return 1; });
  Future<void> failed = pool.submit([] { throw 1; });
  Future<int> none;
  done.wait();
  failed.wait();
  EXPECT_FALSE(done.cancel() || done.kill() || failed.cancel() || failed.kill() || none.cancel() || none.kill());
  EXPECT_EQ(done.get().value(), 1);
  EXPECT_EQ(failed.get().code(), absl::StatusCode::kUnknown);
}

TEST_F(FutureCancel, GivesTheSlotBack) {
  Pool small = make_pool(1, 4);
  const Future<void> running = small.submit([] { marks->pass(0); });
  for (int i = 0; i < 200; ++i) {
    Future<std::string> pending = small.submit([](std::string s) { return s; }, std::string(5000, 'x'));
    EXPECT_TRUE(pending.cancel());
    if (i % 2 == 0) {
      EXPECT_EQ(std::move(pending).get().status().code(), absl::StatusCode::kCancelled);
    }
  }
  marks->open(0);
  EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
}

TEST_F(FutureCancel, AClosedPoolEndsWithoutTheCancelled) {
  const Future<void> first = block();
  std::vector<Future<void>> pending;
  for (int i = 0; i < 50; ++i) pending.push_back(pool.submit([] { ++marks->ran[0]; }));
  for (Future<void>& each : pending) EXPECT_TRUE(each.cancel());
  pool.close();
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->ran[0], 0u);
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

TEST_F(FutureCancel, KillCancelsAPendingTask) {
  const Future<void> first = block();
  Future<void> pending = pool.submit([] { ++marks->ran[0]; });
  EXPECT_TRUE(pending.kill());
  EXPECT_EQ(error_of(pending.get()).worker, 0);
  marks->open(0);
  EXPECT_TRUE(first.get().ok()) << "its worker was not the one";
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

TEST_F(FutureCancel, InAForkedChildDoesNothing) {
  Future<void> first = block();
  Future<void> pending = pool.submit([] {});
  {
    Child child([&] { EXPECT_FALSE(first.kill() || pending.cancel()); });
    const auto ended = ended_within(child, kPromptly);
    ASSERT_TRUE(ended.has_value()) << "it hangs";
    EXPECT_TRUE(ended->well());
  }
  marks->open(0);
  EXPECT_TRUE(first.get().ok() && pending.get().ok());
}

}  // namespace
}  // namespace warren::test
