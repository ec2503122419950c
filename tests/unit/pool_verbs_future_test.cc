// Future, cancel(), as_completed() and wait(), of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <warren/ipc/pipe.h>

#include <cmath>
#include <list>
#include <set>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Task i ends when gate i opens.
template <class P>
std::vector<Future<int>> gated(P& pool, int count) {
  std::vector<Future<int>> futures;
  for (int i = 0; i < count; ++i)
    futures.push_back(pool.submit([](int x) { return marks->pass(static_cast<std::size_t>(x)), x; }, i));
  return futures;
}

bool readable(int descriptor) {
  pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

// --- results ---------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(AFuturesGetMayBeRepeatedAndAnRvaluesEndsIt) {
  auto pool = this->make(1);
  Future<std::string> future = pool.submit([] { return std::string("again"); });
  EXPECT_EQ(future.get().value(), "again");
  EXPECT_EQ(future.get().value(), "again");
  EXPECT_TRUE(future.valid());
  EXPECT_EQ(std::move(future).get().value(), "again");
  EXPECT_FALSE(future.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_OF_EACH_POOL(AFutureMovesItsTask) {
  auto pool = this->make(1);
  Future<int> first = pool.submit([] { return 1; });
  Future<int> second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.get().value(), 1);
  second = pool.submit([] { return 2; });
  EXPECT_EQ(second.get().value(), 2);
}

TEST_OF_EACH_POOL(ATimeThatIsUpIsNoFailureOfTheTask) {
  auto pool = this->make(1);
  const Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  for (const Timeout& timeout :
       {Timeout(20ms), Timeout(0ms), Timeout(-5s), Timeout(std::chrono::duration<double>(std::nan("")))}) {
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

TEST_OF_EACH_POOL(AFutureTellsWhetherItRuns) {
  auto pool = this->make(1);
  Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  const Future<void> second = pool.submit([] {});
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_FALSE(first.cancel());
  EXPECT_TRUE(first.running());
  EXPECT_FALSE(second.running());
  EXPECT_FALSE(first.ready());
  marks->open(0);
  second.wait();
  first.wait();
  EXPECT_TRUE(first.ready() && first.successful() && !first.running());
  EXPECT_FALSE(first.error().has_value());
}

TEST_OF_EACH_POOL(AFutureTellsOfAFailure) {
  auto pool = this->make(1);
  const Future<int> future = pool.submit([]() -> int { throw std::runtime_error("no"); });
  future.wait();
  EXPECT_TRUE(future.ready());
  EXPECT_FALSE(future.successful());
  EXPECT_EQ(future.error().value().what, "no");
}

TEST_OF_EACH_POOL(IdsAreTheTasksOwn) {
  auto pool = this->make(1);
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

TEST_OF_EACH_POOL(ManyThreadsGetOneFuture) {
  auto pool = this->make(1);
  const Future<std::string> future = pool.submit([] { return marks->pass(0), std::string(100'000, 'x'); });
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { right += future.get().value().size() == 100'000; });
  marks->open(0);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
}

// --- abandoned, and without a pool -----------------------------------------------------------------------------------

TEST_OF_EACH_POOL(AbandonedTheTaskStillRuns) {
  auto pool = this->make(1);
  {
    const Future<void> dropped = pool.submit([] { ++marks->count; });
  }
  pool.submit([] { ++marks->count; });
  ASSERT_TRUE(marks->await_count(2));
}

TEST_OF_EACH_POOL(AbandonedWhileItRunsItMakesRoom) {
  auto small = this->make(1, 1);
  for (std::uint32_t i = 1; i <= 20; ++i) {
    {
      const Future<std::string> dropped = small.submit([] { return ++marks->count, std::string(5000, 'x'); });
    }
    ASSERT_TRUE(marks->await_count(i));
  }
  EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
}

TEST_OF_EACH_POOL(AFutureOutlivesItsPool) {
  std::optional<P> own = this->make(1);
  const Future<std::string> done = own->submit([] { return std::string("done"); });
  const Future<std::string> large = own->submit([] { return std::string(1 << 20, 'x'); });
  const Future<void> failed = own->submit([] { throw 1; });
  own.reset();
  EXPECT_EQ(done.get().value(), "done");
  EXPECT_EQ(large.get().value().size(), std::size_t{1} << 20);
  EXPECT_EQ(failed.get().code(), absl::StatusCode::kUnknown);
  EXPECT_TRUE(done.ready());
}

// --- cancel ----------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ACancelledTaskNeverRuns) {
  auto pool = this->make(1);
  const Future<void> first = block(pool);
  Future<int> pending = pool.submit([] { return marks->ran[0]++, 1; });
  EXPECT_TRUE(pending.cancel());
  EXPECT_TRUE(pending.ready()) << "at once";
  EXPECT_FALSE(pending.running() || pending.successful());
  EXPECT_TRUE(pending.cancel()) << "it still never runs";
  EXPECT_TRUE(pending.kill());
  const absl::Status status = pending.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  const TaskError error = task_error(status).value_or(TaskError{});
  EXPECT_EQ(error.kind, TaskError::Kind::kCancelled);
  EXPECT_EQ(error.attempt, 0u);
  EXPECT_EQ(error.worker, 0);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("cancelled before it ran"));
  marks->open(0);
  EXPECT_EQ(pool.apply([] { return 2; }).value(), 2);
  EXPECT_EQ(marks->ran[0], 0u);
}

TEST_OF_EACH_POOL(CancelWakesWhoWaits) {
  auto pool = this->make(1);
  const Future<void> first = block(pool);
  Future<void> pending = pool.submit([] {});
  std::thread waiter([&] { EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled); });
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(pending.cancel());
  waiter.join();
  marks->open(0);
}

TEST_OF_EACH_POOL(CancelOfOneThatHasEndedLeavesItsResult) {
  auto pool = this->make(1);
  Future<int> done = pool.submit([] { return 1; });
  Future<void> failed = pool.submit([] { throw 1; });
  Future<int> none;
  done.wait();
  failed.wait();
  EXPECT_FALSE(done.cancel() || done.kill() || failed.cancel() || failed.kill() || none.cancel() || none.kill());
  EXPECT_EQ(done.get().value(), 1);
  EXPECT_EQ(failed.get().code(), absl::StatusCode::kUnknown);
}

TEST_OF_EACH_POOL(CancelMakesRoom) {
  auto small = this->make(1, 4);
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

TEST_OF_EACH_POOL(AClosedPoolEndsWithoutTheCancelled) {
  auto pool = this->make(1);
  const Future<void> first = block(pool);
  std::vector<Future<void>> pending;
  for (int i = 0; i < 50; ++i) pending.push_back(pool.submit([] { ++marks->ran[0]; }));
  for (Future<void>& each : pending) EXPECT_TRUE(each.cancel());
  pool.close();
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->ran[0], 0u);
}

TEST_OF_EACH_POOL(KillCancelsAPendingTask) {
  auto pool = this->make(1);
  const Future<void> first = block(pool);
  Future<void> pending = pool.submit([] { ++marks->ran[0]; });
  EXPECT_TRUE(pending.kill());
  EXPECT_EQ(task_error(pending.get()).value_or(TaskError{}).worker, 0);
  marks->open(0);
  EXPECT_TRUE(first.get().ok()) << "its worker was not the one";
}

// --- as_completed, wait, fileno --------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(AsCompletedGivesThemInTheOrderInWhichTheyEnd) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 4);
  std::vector<int> order;
  std::vector<std::size_t> gates{2, 0, 3, 1};
  marks->open(gates[0]);
  for (Future<int>& each : as_completed(futures)) {
    EXPECT_TRUE(each.ready());
    order.push_back(each.get().value());
    if (order.size() < gates.size()) marks->open(gates[order.size()]);
  }
  EXPECT_THAT(order, ElementsAre(2, 0, 3, 1));
}

TEST_OF_EACH_POOL(AsCompletedOfAnyRangeAndGotAsRvalues) {
  auto pool = this->make(4);
  std::list<Future<std::string>> futures;
  for (int i = 0; i < 20; ++i)
    futures.push_back(pool.submit([](int x) { return std::string(5000, static_cast<char>('a' + x)); }, i));
  std::set<char> seen;
  for (auto& each : as_completed(futures)) seen.insert(std::move(each).get().value()[0]);
  EXPECT_EQ(seen.size(), 20u);
  std::vector<Future<int>> none;
  for (auto& each : as_completed(none)) FAIL() << each.id().value;
}

TEST_OF_EACH_POOL(AsCompletedEndsWhenTheTimeIsUp) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 2);
  marks->open(1);
  futures[1].wait();
  auto completed = as_completed(futures, 50ms);
  std::vector<int> order;
  for (auto& each : completed) order.push_back(each.get().value());
  EXPECT_THAT(order, ElementsAre(1));
  EXPECT_EQ(completed.status().code(), absl::StatusCode::kDeadlineExceeded);
  marks->open(0);
  futures[0].wait();
  auto again = as_completed(futures, 0s);
  EXPECT_EQ(std::ranges::distance(again), 2) << "what has ended is given without a wait";
  EXPECT_TRUE(again.status().ok());
}

TEST_OF_EACH_POOL(AsCompletedMayBeLeftEarlyAgainAndAgain) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 3);
  marks->open(0);
  for (int i = 0; i < 100; ++i) {
    for (auto& each : as_completed(futures)) {
      EXPECT_EQ(each.get().value(), 0);
      break;
    }
  }
  marks->open(1);
  marks->open(2);
}

TEST_OF_EACH_POOL(AsCompletedOfSeveralPoolsAndContinuations) {
  auto pool = this->make(4);
  auto second = this->make(1);
  std::vector<Future<int>> futures = gated(pool, 1);
  futures.push_back(second.submit([] { return 1; }));
  futures.push_back(second.submit([] { return 1; }).then([](int x) { return x + 1; }));
  int sum = 0;
  auto completed = as_completed(futures);
  for (auto& each : completed) {
    sum += each.get().value();
    if (sum == 3) marks->open(0);
  }
  EXPECT_EQ(sum, 3);
}

TEST_OF_EACH_POOL(AsCompletedInACallback) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 3);
  Future<int> first = pool.submit([] { return 1; });
  int sum = 0;
  Waited waited;
  first.on_done([&](absl::StatusOr<int>) {
    for (std::size_t gate : {0u, 1u, 2u}) marks->open(gate);
    for (auto& each : as_completed(futures)) sum += each.get().value();
    waited = wait(futures, ReturnWhen::kFirstCompleted);
  });
  ASSERT_TRUE(first.wait_for(kPromptly)) << "it waits for itself";
  EXPECT_EQ(sum, 3);
  EXPECT_EQ(waited.done.size(), 3u);
}

TEST_OF_EACH_POOL(WaitsForTheFirstOrAll) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 3);
  Waited waited = wait(futures, ReturnWhen::kFirstCompleted, 10ms);
  EXPECT_THAT(waited.done, IsEmpty());
  EXPECT_THAT(waited.not_done, ElementsAre(0, 1, 2));
  std::thread opener([] { std::this_thread::sleep_for(20ms), marks->open(1); });
  waited = wait(futures, ReturnWhen::kFirstCompleted);
  EXPECT_THAT(waited.done, ElementsAre(1));
  EXPECT_THAT(waited.not_done, ElementsAre(0, 2));
  opener.join();
  EXPECT_THAT(wait(futures, ReturnWhen::kFirstCompleted).done, ElementsAre(1)) << "it has one";
  waited = wait(futures, 20ms);
  EXPECT_THAT(waited.done, ElementsAre(1));
  marks->open(0);
  marks->open(2);
  EXPECT_THAT(wait(futures).done, ElementsAre(0, 1, 2));
  EXPECT_THAT(wait(std::vector<Future<int>>{}, ReturnWhen::kFirstCompleted).done, IsEmpty());
}

TEST_OF_EACH_POOL(WaitsForTheFirstThatFails) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 2);
  futures.push_back(pool.submit([]() -> int {
    marks->pass(2);
    throw 1;
  }));
  marks->open(0);
  std::thread opener([] { std::this_thread::sleep_for(20ms), marks->open(2); });
  const Waited waited = wait(futures, ReturnWhen::kFirstException);
  EXPECT_THAT(waited.done, ElementsAre(0, 2));
  EXPECT_THAT(waited.not_done, ElementsAre(1));
  opener.join();
  marks->open(1);
  std::vector<Future<int>> good = gated(pool, 2);
  EXPECT_THAT(wait(good, ReturnWhen::kFirstException).done, ElementsAre(0, 1)) << "none fails: all";
}

TEST_OF_EACH_POOL(AFuturesDescriptorIsReadableInTheEnd) {
  auto pool = this->make(4);
  std::vector<Future<int>> futures = gated(pool, 2);
  const int descriptor = futures[0].fileno();
  ASSERT_GE(descriptor, 0);
  EXPECT_EQ(futures[0].fileno(), descriptor);
  EXPECT_FALSE(readable(descriptor));
  EXPECT_THAT(warren::wait({futures[0], futures[1]}, 10ms), IsEmpty());
  marks->open(0);
  EXPECT_THAT(warren::wait({futures[0], futures[1]}), ElementsAre(0));
  EXPECT_TRUE(readable(descriptor));
  EXPECT_EQ(futures[0].get().value(), 0);
  EXPECT_TRUE(readable(descriptor)) << "it stays";
  Future<int> ended = pool.submit([] { return 1; });
  ended.wait();
  EXPECT_TRUE(readable(ended.fileno()));
  EXPECT_EQ(Future<int>().fileno(), -1);
  marks->open(1);
}

}  // namespace
}  // namespace warren::test
