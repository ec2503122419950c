// Tasks that submit tasks to the pool that runs them, and wait for them: however few the workers, however many wait,
// and whoever dies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>
#include <warren/pool/process.h>
#include <warren/pool/thread_pool.h>

#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/no_slices.h"
#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::HasSubstr;

class Nested : public WithMarks {
 protected:
  // Every process and slot is as it was before the first task.
  static void expect_as_new(Pool& pool) {
    const PoolView view = PoolView::of_this_process();
    EXPECT_EQ(workers_of(pool).size(), pool.workers()) << "those that took lent places have left";
    EXPECT_TRUE(eventually([&] { return view.slots_in_use() == 0; }, kPromptly));
    EXPECT_TRUE(eventually([&] { return view.owned_blocks() == 0; }, kPromptly));
    EXPECT_EQ(view.header().followed, 0u);
  }
};

int descend(int depth) { return depth == 0 ? 0 : 1 + current_pool().apply(descend, depth - 1).value(); }

int fibonacci(int n) {
  if (n < 2) return n;
  auto before = current_pool().submit(fibonacci, n - 1);
  return current_pool().apply(fibonacci, n - 2).value() + before.get().value();
}

int square(int x) { return x * x; }
int sum_of_squares(int n) {
  const std::vector<int> squares = current_pool().map(square, std::views::iota(0, n)).value();
  return std::accumulate(squares.begin(), squares.end(), 0);
}

// --- waiting never waits for a worker --------------------------------------------------------------------------------

// No slice helps: every wake is one.
TEST_F(Nested, OneWorkerIsEnoughForTasksWithinTasks) {
  const NoSlices no_slices;
  Pool pool = make_pool(1);
  EXPECT_EQ(pool.apply(descend, 5).value(), 5);
  EXPECT_EQ(pool.apply(fibonacci, 7).value(), 13);
}

TEST_F(Nested, AllWorkersMayWaitForTheirTasks) {
  const NoSlices no_slices;
  Pool pool = make_pool(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 40; ++i) futures.push_back(pool.submit(descend, 3));
  for (const Future<int>& each : futures) EXPECT_EQ(each.get().value(), 3);
  EXPECT_LE(PoolView::of_this_process().header().worker_count, 40u)
      << "what was begun goes first: not every task waits at once";
  EXPECT_EQ(pool.apply(fibonacci, 9).value(), 34);
}

TEST_F(Nested, EveryVerbWorksWithinATask) {
  Pool pool = make_pool(2);
  EXPECT_EQ(pool.map(sum_of_squares, std::vector{3, 10, 50}).value(), (std::vector{5, 285, 40425}));
  auto all = [](int n) -> absl::StatusOr<int> {
    CurrentPool here = current_pool();
    int sum = 0;
    for (const auto& result : here.imap(square, std::views::iota(0, n))) sum += result.value();
    for (const auto& result : here.imap_unordered(square, std::views::iota(0, n))) sum += result.value();
    const auto products = here.starmap([](int a, int b) { return a * b; }, std::vector(3, std::pair(2, 5)));
    sum = std::accumulate(products->begin(), products->end(), sum);
    const auto squares = here.map_async(square, std::views::iota(0, n)).get();
    sum = std::accumulate(squares->begin(), squares->end(), sum);
    auto tried = here.try_submit(square, 10);
    sum += std::move(*tried).get().value();
    std::vector<Future<int>> futures;
    for (int i = 0; i < n; ++i) futures.push_back(here.submit(square, i));
    for (auto& each : as_completed(futures)) sum += each.get().value();
    if (here.workers() != 2) return absl::InternalError("workers()");
    return sum;
  };
  EXPECT_EQ(pool.apply(all, 10).value(), 4 * 285 + 30 + 100);
  expect_as_new(pool);
}

TEST_F(Nested, CallbacksHaveRunWhenTheTaskHasEnded) {
  Pool pool = make_pool(1);
  const auto task = [] {
    for (int i = 0; i < 4; ++i)
      (void)current_pool().submit(square, i).on_done(
          [](Result<int> r) { marks->count += static_cast<std::uint32_t>(*r); });
    (void)current_pool().submit(square, 5).then(
        [](int x) { marks->count += static_cast<std::uint32_t>(x + current_pool().apply(square, 2).value()); });
  };
  EXPECT_TRUE(pool.apply(task).ok());
  EXPECT_EQ(marks->count, 0u + 1 + 4 + 9 + 25 + 4);
  expect_as_new(pool);
}

TEST_F(Nested, AnotherWorkerHasThePlaceOnlyWhileOneWaits) {
  Pool pool = make_pool(2);
  const auto task = [](int) {
    current_pool().apply([] {}).IgnoreError();
    const std::uint32_t now = ++marks->gates[0];
    if (now > 2) ++marks->count;  // beside a worker that has gone on, until its task ends
    std::this_thread::sleep_for(1ms);
    --marks->gates[0];
  };
  EXPECT_TRUE(pool.map({.chunksize = 1}, task, std::views::iota(0, 100)).ok());
  EXPECT_LT(PoolView::of_this_process().header().worker_count, 12u);
  expect_as_new(pool);
}

// --- the table -------------------------------------------------------------------------------------------------------

TEST_F(Nested, ATaskSubmitsMoreThanMaxPending) {
  Pool pool = make_pool(1, 1);
  EXPECT_EQ(pool.apply(descend, 4).value(), 4);
  EXPECT_EQ(pool.apply(sum_of_squares, 30).value(), 8555);
  EXPECT_FALSE(pool.apply([] { return current_pool().try_submit([] {}).has_value(); }).value());
}

TEST_F(Nested, BeyondTheTableAFutureSaysSo) {
  Pool pool = make_pool(1, 1);
  const auto task = [] {
    std::vector<Future<void>> held;
    for (int i = 0; i < 5000; ++i) held.push_back(current_pool().submit([] { marks->pass(0); }));
    const std::optional<TaskError> error = held.back().error();
    const std::string text = held.back().get_for(0s).ToString();
    marks->open(0);
    return std::pair(text, error && error->kind == TaskError::Kind::kRefused);
  };
  const auto [text, refused] = pool.apply(task).value();
  EXPECT_THAT(text, HasSubstr("RESOURCE_EXHAUSTED"));
  EXPECT_THAT(text, HasSubstr("4097 tasks have not ended"));
  EXPECT_TRUE(refused);
  expect_as_new(pool);
}

TEST_F(Nested, TasksOfTasksGoBeforeThoseThatNobodyHasBegunAndTheDeepestFirst) {
  Pool pool = make_pool(1);
  const auto note = [](std::size_t who) { marks->ran[who] = ++marks->count; };
  auto root = pool.submit(
      [](auto note_here) {
        auto first = current_pool().submit(
            [](auto within) {
              auto deeper = current_pool().submit(within, std::size_t{0});
              marks->open(1);
              deeper.wait();
              within(std::size_t{1});
            },
            note_here);
        auto second = current_pool().submit([](auto within) { marks->pass(1), within(std::size_t{2}); }, note_here);
        marks->pass(0);
        first.wait();
        second.wait();
      },
      note);
  std::vector<Future<void>> others;
  for (std::size_t i = 3; i < 6; ++i) others.push_back(pool.submit(note, i));
  marks->open(0);
  EXPECT_TRUE(root.get().ok());
  for (const Future<void>& each : others) EXPECT_TRUE(each.get().ok());
  EXPECT_EQ(marks->ran[0], 1u);
  for (std::size_t i = 3; i < 6; ++i) EXPECT_GT(marks->ran[i], 1u) << i;
}

TEST_F(Nested, PrioritiesDoNotBeginWhatNobodyHasBegun) {
  for (const auto& [of_roots, of_children] : {std::pair(0, -1), std::pair(5, 1), std::pair(5, -1)}) {
    Pool pool = make_pool(2);
    const auto root = [](int priority) { return current_pool().apply({.priority = priority}, square, 3).value(); };
    std::vector<Future<int>> futures;
    for (int i = 0; i < 60; ++i) futures.push_back(pool.submit({.priority = of_roots}, root, of_children));
    for (const Future<int>& each : futures) EXPECT_EQ(each.get().value(), 9);
    EXPECT_LT(PoolView::of_this_process().header().worker_count, 20u) << of_roots << " " << of_children;
  }
}

TEST_F(Nested, ResultsThatATaskKeepsLeaveTheApplicationItsRoom) {
  Pool pool = make_pool(2, 2);
  auto keeps = pool.submit([] {
    std::vector<Future<int>> held;
    for (int i = 0; i < 10; ++i) held.push_back(current_pool().submit(square, i));
    for (const Future<int>& each : held) each.wait();
    ++marks->count;
    marks->pass(0);
  });
  EXPECT_TRUE(marks->await_count(1));
  EXPECT_TRUE(pool.try_submit(square, 5).has_value());
  marks->open(0);
  EXPECT_TRUE(keeps.get().ok());
}

TEST_F(Nested, ATaskForItsOwnWorkerIsRefused) {
  Pool pool = make_pool(2);
  const auto own = [] { return std::string(current_pool().apply({.worker = 1}, [] {}).message()); };
  EXPECT_THAT(pool.apply({.worker = 1}, own).value(), HasSubstr("waits for itself"));
  EXPECT_EQ(pool.apply({.worker = 0}, own).value(), "");
}

// --- outside a task --------------------------------------------------------------------------------------------------

TEST_F(Nested, OutsideATaskEveryCallIsRefused) {
  const auto outside = [](const absl::Status& status) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("outside a task"));
  };
  CurrentPool none = current_pool();
  outside(none.apply([] {}));
  outside(none.submit(square, 3).get().status());
  outside(none.map(square, std::vector{1}).status());
  outside(none.map_async(square, std::vector{1}).get().status());
  for (const auto& result : none.imap(square, std::vector{1})) outside(result.status());
  outside(none.try_submit(square, 3)->get().status());
  EXPECT_EQ(none.workers(), 0u);
  Pool pool = Pool::create({.workers = 1,
                            .initializer =
                                [] {
                                  if (absl::IsFailedPrecondition(current_pool().apply([] {}))) marks->count = 1;
                                }})
                  .value();
  ThreadPool threads = ThreadPool::create({.workers = 1}).value();
  outside(threads.apply([] { return current_pool().apply([] {}); }));
  const auto in_child = [] {
    Child child([]() -> int { return absl::IsFailedPrecondition(current_pool().apply([] {})) ? 0 : 1; });
    return child.join().code;
  };
  EXPECT_EQ(pool.apply(in_child).value(), 0);
  EXPECT_EQ(marks->count, 1u);
}

CurrentPool* kept = nullptr;

TEST_F(Nested, WhatATaskKeptOfThePoolIsRefusedLater) {
  Pool pool = make_pool(1);
  EXPECT_TRUE(pool.apply([] {
                    kept = new CurrentPool(current_pool());
                    std::thread([] {
                      marks->pass(0);
                      if (absl::IsFailedPrecondition(kept->apply([] {}))) marks->count = 1;
                    }).detach();
                  })
                  .ok());
  marks->open(0);
  EXPECT_TRUE(marks->await_count(1));
}

// --- ends ------------------------------------------------------------------------------------------------------------

TEST_F(Nested, WhoClosesThePoolWaitsForTasksOfTasks) {
  Pool pool = make_pool(2);
  auto root = pool.submit([] {
    marks->pass(0);
    std::this_thread::sleep_for(5ms);                                                  // by now it closes
    for (int i = 0; i < 10; ++i) (void)current_pool().submit([] { ++marks->count; });  // nobody waits
    return sum_of_squares(10);
  });
  pool.close();
  EXPECT_TRUE(absl::IsFailedPrecondition(pool.apply([] {})));
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(root.get().value(), 285);
  EXPECT_EQ(marks->count, 10u);
}

TEST_F(Nested, TerminateEndsThemAll) {
  Pool pool = make_pool(2);
  std::vector<Future<int>> roots;
  roots.push_back(pool.submit([] { return current_pool().apply([] { return ++marks->count, marks->pass(7), 0; }); }));
  roots.push_back(pool.submit([]() -> int {
    for (++marks->count;;) (void)current_pool().submit([](const std::string&) {}, std::string(300, 'x'));
  }));
  EXPECT_TRUE(marks->await_count(2));  // one waits, the other is killed as it submits
  pool.terminate();
  EXPECT_TRUE(pool.join().ok());
  for (Future<int>& each : roots) EXPECT_TRUE(absl::IsCancelled(each.get().status()));
}

TEST_F(Nested, WhatADeadTaskHadSubmittedRunsOnAndItsSlotsAreFreed) {
  Pool pool = make_pool(2);
  auto parent = pool.submit([] {
    std::vector<Future<std::string>> held;
    held.push_back(current_pool().submit([] { return std::string(300'000, 'a'); }));  // it has ended
    held.back().wait();
    for (int i = 0; i < 5; ++i) {
      held.push_back(current_pool().submit([](const std::string& s) { return marks->pass(0), ++marks->count, s; },
                                           std::string(300'000, 'b')));
    }
    auto ended = current_pool().submit(square, 3).then([](int x) { return x; });  // and a thread for callbacks
    marks->meet(1, 1);
    return held.back().get().value().size();
  });
  marks->meet(1, 2);
  EXPECT_TRUE(parent.kill());
  EXPECT_TRUE(absl::IsCancelled(std::move(parent).get().status()));
  marks->open(0);
  EXPECT_TRUE(marks->await_count(5)) << "as when futures are dropped";
  expect_as_new(pool);
}

TEST_F(Nested, ATaskThatIsTriedAgainSubmitsAnew) {
  Pool pool = make_pool(1);
  const auto parent = [] {
    auto child = current_pool().submit([] { return ++marks->ran[0]; });
    child.wait();
    if (current_task().attempt() < 3) die(Death::kKilled);
    return current_task().attempt();
  };
  EXPECT_EQ(pool.apply({.retries = 2}, parent).value(), 3u);
  EXPECT_EQ(marks->ran[0], 3u);
  expect_as_new(pool);
}

TEST_F(Nested, AChildThatDiesIsTriedAgainAndElseFailsAlone) {
  Pool pool = make_pool(1);
  const auto parent = [](std::uint32_t retries) -> absl::Status {
    return current_pool().apply({.retries = retries}, [] {
      if (++marks->ran[0] < 3) die(Death::kKilled);
    });
  };
  EXPECT_TRUE(pool.apply(parent, 2u).ok());
  marks->ran[0] = 0;
  EXPECT_TRUE(absl::IsAborted(pool.apply(parent, 1u)));
  expect_as_new(pool);
}

TEST_F(Nested, ADeadlineGoesOnWhileTheTaskWaits) {
  Pool pool = make_pool(1);
  const auto parent = [] { return current_pool().apply([] { marks->pass(0); }); };
  EXPECT_TRUE(absl::IsDeadlineExceeded(pool.apply({.deadline = 50ms}, parent)));
  marks->open(0);
  expect_as_new(pool);
}

// A worker may be at work before its supervisor has noted who it is, and 0 would be everybody in the test's group.
pid_t noted_worker(const PoolView& view, std::size_t index) {
  const auto& pid = view.workers()[index].pid;
  if (!eventually([&] { return pid != 0; }, kPromptly)) throw std::runtime_error("the worker is not noted");
  return static_cast<pid_t>(pid.load());
}

TEST_F(Nested, AStoppedTaskThatWaitsHoldsNobodyUp) {
  Pool pool = make_pool(1);
  auto parent = pool.submit([] { return current_pool().apply([] { marks->pids[0] = ::getppid(), marks->pass(0); }); });
  auto pid = pool.submit([] {});  // behind the child
  EXPECT_TRUE(eventually([] { return marks->pids[0] != 0; }, kPromptly));
  const PoolView view = PoolView::of_this_process();
  const pid_t stopped = noted_worker(view, 0);
  EXPECT_EQ(view.workers()[0].state, layout::WorkerRecord::State::kWaiting);
  ::kill(stopped, SIGSTOP);
  marks->open(0);
  EXPECT_TRUE(pid.get().ok());
  EXPECT_TRUE(pool.apply(descend, 2).ok());
  ::kill(stopped, SIGCONT);
  EXPECT_TRUE(parent.get().ok());
}

// It seems to be there for the child.
TEST_F(Nested, AStoppedIdleWorkerHoldsNobodyUp) {
  Pool pool = make_pool(2);
  auto parent = pool.submit({.worker = 0}, [] {
    marks->pass(0);
    return current_pool().apply([] { return 1; });
  });
  const PoolView view = PoolView::of_this_process();
  const auto idle = [&] { return view.workers()[1].state == layout::WorkerRecord::State::kIdle; };
  EXPECT_TRUE(eventually(idle, kPromptly));
  const pid_t stopped = noted_worker(view, 1);
  ::kill(stopped, SIGSTOP);
  marks->open(0);
  EXPECT_EQ(parent.get().value(), 1);
  ::kill(stopped, SIGCONT);
}

TEST_F(Nested, AKilledSupervisorEndsThoseThatWait) {
  Pool pool = make_pool(1);
  auto parent = pool.submit([] { return current_pool().apply([] { marks->count = 1, marks->pass(7); }); });
  EXPECT_TRUE(marks->await_count(1));
  ::kill(static_cast<pid_t>(PoolView::of_this_process().header().supervisor_pid.load()), SIGKILL);
  EXPECT_TRUE(absl::IsUnavailable(parent.get()));
}

}  // namespace
}  // namespace warren::test
