// A worker is stopped at every crash point that it passes. Stopped is not dead: nothing is taken from it, and nobody
// else's task waits for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "support/crash_points.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

std::vector<std::string_view> all_points() {
  std::vector<std::string_view> points = crash_point_names("pool");
  const std::vector<std::string_view> below = crash_point_names("ipc");
  points.insert(points.end(), below.begin(), below.end());
  return points;
}

constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

// Passes what a worker can pass: its first attempt fails, with a result that has grown.
std::string fails_once(std::size_t index) {
  if (current_task().attempt() > 1) return std::string(5'000, 'x');
  if (index != kNowhere) stop_at({.point = all_points()[index]});
  throw std::runtime_error(std::string(5'000, 'y'));
}

class PoolStops : public WithMarks {
 protected:
  static constexpr int kOthers = 20;

  // What workers had passed since die_in_turn() before the last pool began to end.
  std::vector<std::string_view> passed;

  // True: a worker was stopped there. Where that is up to who takes which task it may have to be tried.
  bool stop_a_worker(std::size_t index) {
    SCOPED_TRACE(index == kNowhere ? "nowhere" : all_points()[index]);
    (void)take_stopped();
    Pool pool = make_pool(3, 64);
    const auto mine = pool.submit({.retries = 1, .retry_on = RetryOn::kAnyFailure}, fn<&fails_once>, index);
    std::vector<Future<int>> others;
    for (int i = 0; i < kOthers; ++i) others.push_back(pool.submit([](int x) { return ++marks->count, x; }, i));
    pid_t stopped = 0;
    const auto settled = [&] { return (stopped = take_stopped()) != 0 || (mine.ready() && others.back().ready()); };
    EXPECT_TRUE(eventually(settled, kPromptly));
    passed = points_passed_by(Role::kWorker);
    if (stopped == 0) return false;
    for (int i = 0; i < kOthers; ++i)
      others.push_back(pool.submit([](int x) { return ++marks->count, x; }, kOthers + i));
    const auto ready = [&] { return std::ranges::count_if(others, &Future<int>::ready); };
    EXPECT_TRUE(eventually([&] { return ready() >= 2 * kOthers - 1; }, kPromptly))
        << 2 * kOthers - ready() << " tasks wait; it keeps one at most";
    ::kill(stopped, SIGCONT);
    EXPECT_EQ(mine.get_for(kPromptly).value_or("").size(), 5'000u);
    for (int i = 0; i < 2 * kOthers; ++i) {
      EXPECT_EQ(others[static_cast<std::size_t>(i)].get_for(kPromptly).value_or(-1), i);
    }
    return true;
  }
};

TEST_F(PoolStops, AStoppedWorkerHoldsUpOneTaskAtMost) {
  die_in_turn({});
  EXPECT_FALSE(stop_a_worker(kNowhere));
  const std::set<std::string_view> worth_it(passed.begin(), passed.end());
  std::set<std::string_view> hit;
  for (std::size_t i = 0; i < all_points().size(); ++i) {
    if (!worth_it.contains(all_points()[i])) continue;
    for (int attempt = 0; attempt < 20 && !hit.contains(all_points()[i]); ++attempt) {
      marks->count = 0;
      if (!stop_a_worker(i)) continue;
      hit.insert(all_points()[i]);
      EXPECT_EQ(marks->count, 2u * kOthers) << all_points()[i] << ": a task ran twice, or never";
    }
  }
  for (const std::string_view point : hit) std::cout << point << ' ';
  std::cout << "\n";
  for (const std::string_view point :
       {"hint_taken", "task_claimed", "result_grown", "result_written", "task_ended", "push_announced", "push_claimed",
        "push_written", "push_committed", "pop_copied", "pop_taken"}) {
    EXPECT_TRUE(hit.contains(point)) << "no worker was stopped at " << point;
  }
}

void fails_and_stops(bool stops) {
  if (current_task().attempt() > 1) return;
  if (stops) stop_at({.point = "push_claimed"});  // of the hint to itself
  throw 1;
}

// Its supervisor alone takes those hints.
TEST_F(PoolStops, AStoppedWorkerHoldsUpNoBackoffOfOthers) {
  die_in_turn({});
  (void)take_stopped();
  Pool pool = make_pool(3, 64);
  const TaskOptions options{.retries = 1, .backoff = 10ms, .retry_on = RetryOn::kAnyFailure};
  const Future<void> mine = pool.submit(options, fn<&fails_and_stops>, true);
  pid_t stopped = 0;
  ASSERT_TRUE(eventually([&] { return (stopped = take_stopped()) != 0; }, kPromptly));
  for (int round = 0; round < 3; ++round) {
    std::vector<Future<void>> others;
    for (int i = 0; i < kOthers; ++i) others.push_back(pool.submit(options, fn<&fails_and_stops>, false));
    for (const Future<void>& each : others) EXPECT_TRUE(each.get_for(kPromptly).ok());
  }
  ::kill(stopped, SIGCONT);
  EXPECT_TRUE(mine.get_for(kPromptly).ok());
}

}  // namespace
}  // namespace warren::test
