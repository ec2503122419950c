#include <warren/pool/future.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <fstream>
#include <set>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class FutureTest : public WithMarks {
 protected:
  Pool pool = make_pool(1);
};

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(FutureTest, GetMayBeRepeatedAndAnRvaluesGetEndsIt) {
  Future<std::string> future = pool.submit([] { return std::string("again"); });
  EXPECT_EQ(future.get().value(), "again");
  EXPECT_EQ(future.get().value(), "again");
  EXPECT_TRUE(future.valid());
  EXPECT_EQ(std::move(future).get().value(), "again");
  EXPECT_FALSE(future.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FutureTest, WithoutATaskSaysSo) {
  const Future<int> none;
  EXPECT_FALSE(none.valid());
  EXPECT_FALSE(none.ready());
  EXPECT_FALSE(none.running());
  EXPECT_FALSE(none.successful());
  EXPECT_FALSE(none.error().has_value());
  EXPECT_EQ(none.id(), TaskId{});
  none.wait();
  EXPECT_TRUE(none.wait_for(1ms));
  EXPECT_EQ(none.get_for(1ms).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FutureTest, MovesItsTask) {
  Future<int> first = pool.submit([] { return 1; });
  Future<int> second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.get().value(), 1);
  second = pool.submit([] { return 2; });
  EXPECT_EQ(second.get().value(), 2);
}

TEST_F(FutureTest, ATimeThatIsUpIsNoFailureOfTheTask) {
  const Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  for (const Timeout& timeout : {Timeout(20ms), Timeout(0ms), Timeout(-5s)}) {
    const absl::Status status = future.get_for(timeout).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_FALSE(task_error(status).has_value());
    EXPECT_FALSE(future.wait_for(timeout));
  }
  EXPECT_FALSE(future.wait_until(std::chrono::steady_clock::now()));
  EXPECT_FALSE(future.ready());
  EXPECT_FALSE(future.successful());
  EXPECT_FALSE(future.error().has_value());
  marks->open(0);
  EXPECT_TRUE(future.wait_for(kForever));
  EXPECT_TRUE(future.wait_for(std::chrono::hours::max()));
  EXPECT_TRUE(future.ready());
  EXPECT_EQ(future.get_for(0ms).value(), 1) << "what is there is given without a wait";
}

TEST_F(FutureTest, TellsWhetherItRuns) {
  const Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  const Future<void> second = pool.submit([] {});
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(first.running());
  EXPECT_FALSE(second.running());
  EXPECT_FALSE(first.ready());
  marks->open(0);
  second.wait();
  first.wait();
  EXPECT_TRUE(first.ready() && first.successful() && !first.running());
  EXPECT_FALSE(first.error().has_value());
}

TEST_F(FutureTest, TellsOfAFailure) {
  const Future<int> future = pool.submit([]() -> int { throw std::runtime_error("no"); });
  future.wait();
  EXPECT_TRUE(future.ready());
  EXPECT_FALSE(future.successful());
  EXPECT_EQ(future.error().value().what, "no");
}

TEST_F(FutureTest, IdsAreTheTasksOwn) {
  std::set<TaskId> ids;
  std::vector<Future<std::uint64_t>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([] { return current_task().id().value; }));
  for (const auto& future : futures) {
    EXPECT_EQ(future.id(), TaskId{future.get().value()});
    ids.insert(future.id());
  }
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(current_task().attempt(), 0u) << "outside a task";
}

TEST_F(FutureTest, ManyThreadsGetOne) {
  const Future<std::string> future = pool.submit([] { return marks->pass(0), std::string(100'000, 'x'); });
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { right += future.get().value().size() == 100'000; });
  marks->open(0);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
}

// --- dropped ---------------------------------------------------------------------------------------------------------

TEST_F(FutureTest, DroppedTheTaskStillRuns) {
  {
    const Future<void> dropped = pool.submit([] { ++marks->count; });
  }
  pool.submit([] { ++marks->count; });
  ASSERT_TRUE(marks->await_count(2));
}

TEST_F(FutureTest, DroppedWhileItRunsTheSlotComesBack) {
  Pool small = make_pool(1, 1);
  for (std::uint32_t i = 1; i <= 20; ++i) {
    {
      const Future<std::string> dropped = small.submit([] { return ++marks->count, std::string(5000, 'x'); });
    }
    ASSERT_TRUE(marks->await_count(i));
  }
  EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
}

TEST_F(FutureTest, ForgottenTasksTakeBoundedMemory) {
  Pool small = make_pool(2, 64);
  constexpr std::uint32_t kTasks = 200'000;
  for (std::uint32_t i = 0; i < 1000; ++i) small.submit([] { ++marks->count; });
  [[maybe_unused]] const std::size_t before = resident_bytes();
  for (std::uint32_t i = 1000; i < kTasks; ++i) small.submit([] { ++marks->count; });
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what was freed
  EXPECT_LT(resident_bytes(), before + (std::size_t{4} << 20));
#endif
  small.close();
  EXPECT_TRUE(small.join().ok());
  EXPECT_EQ(marks->count, kTasks);
}

TEST_F(FutureTest, ForgottenLargeResultsTakeBoundedMemory) {
  Pool small = make_pool(2, 8);
  for (int i = 0; i < 300; ++i)
    small.submit([](std::string s) { return ++marks->count, s + s; }, std::string(2 << 20, 'x'));
  ASSERT_TRUE(marks->await_count(300));
  EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
}

// --- the pool's end --------------------------------------------------------------------------------------------------

TEST_F(FutureTest, OutlivesItsPool) {
  std::optional<Pool> own = make_pool(1);
  const Future<std::string> done = own->submit([] { return std::string("done"); });
  const Future<std::string> large = own->submit([] { return std::string(1 << 20, 'x'); });
  const Future<void> failed = own->submit([] { throw 1; });
  own.reset();
  EXPECT_EQ(done.get().value(), "done");
  EXPECT_EQ(large.get().value().size(), std::size_t{1} << 20);
  EXPECT_EQ(failed.get().code(), absl::StatusCode::kUnknown);
  EXPECT_TRUE(done.ready());
}

TEST_F(FutureTest, OfATerminatedPoolIsCancelled) {
  std::optional<Pool> own = make_pool(1);
  const Future<int> done = own->submit([] { return 1; });
  done.wait();
  const Future<void> running = own->submit([] { ++marks->count, marks->pass(0); });
  const Future<void> pending = own->submit([] {});
  ASSERT_TRUE(marks->await_count(1));
  own->terminate();
  EXPECT_EQ(running.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled);
  own.reset();
  EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(pending.error().value().kind, TaskError::Kind::kCancelled);
  EXPECT_EQ(done.get().value(), 1);
}

TEST_F(FutureTest, InAForkedChildIsTheParentsAndDoesNothing) {
  const Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  {
    Child child([&] {
      EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_FALSE(future.successful());
      { const Future<int> dropped = std::move(const_cast<Future<int>&>(future)); }
    });
    const auto ended = ended_within(child, kPromptly);
    ASSERT_TRUE(ended.has_value()) << "it hangs";
    EXPECT_TRUE(ended->well());
  }
  marks->open(0);
  EXPECT_EQ(future.get().value(), 1);
}

}  // namespace
}  // namespace warren::test
