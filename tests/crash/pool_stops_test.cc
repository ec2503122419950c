// A worker is stopped at every crash point that it passes. Stopped is not dead: nothing is taken from it, and nobody
// else's task waits for it.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string_view>

#include "support/crash_points.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

// Passes what a worker can pass: its first attempt fails, with a result that has grown.
std::string fails_once(std::string_view point) {
  if (current_task().attempt() > 1) return std::string(5'000, 'x');
  stop_at({.point = point});
  throw std::runtime_error(std::string(5'000, 'y'));
}

std::vector<std::string_view> all_points() {
  std::vector<std::string_view> points = crash_point_names("pool");
  const std::vector<std::string_view> below = crash_point_names("ipc");
  points.insert(points.end(), below.begin(), below.end());
  return points;
}

class PoolStops : public WithMarks {
 protected:
  static constexpr int kOthers = 20;

  // True: a worker was stopped there. Where that is up to who takes which task it may have to be tried.
  static bool stop_a_worker(std::size_t index) {
    const std::string_view point = all_points()[index];
    SCOPED_TRACE(point);
    (void)take_stopped();
    Pool pool = make_pool(3, 64);
    const auto mine = pool.submit(
        {.retries = 1, .retry_on = RetryOn::kAnyFailure}, [](std::size_t i) { return fails_once(all_points()[i]); },
        index);
    std::vector<Future<int>> others;
    for (int i = 0; i < kOthers; ++i) others.push_back(pool.submit([](int x) { return ++marks->count, x; }, i));
    pid_t stopped = 0;
    const auto settled = [&] { return (stopped = take_stopped()) != 0 || (mine.ready() && others.back().ready()); };
    EXPECT_TRUE(eventually(settled, kPromptly));
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
  std::set<std::string_view> hit;
  for (std::size_t i = 0; i < all_points().size(); ++i) {
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

}  // namespace
}  // namespace warren::test
