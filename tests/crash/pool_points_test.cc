// Death at every crash point of the pool. A worker dies at each point that it passes, and another one, or the
// supervisor, at each point after that; the application, and the supervisor, at each of theirs. And the steps of the
// task table by themselves, with every double fault.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "crash/points_test.h"
#include "crash/pool_trial.h"
#include "crash/table_operations.h"

namespace warren::test {
namespace {

PointTotal& total = *[] {
  auto* const made = new PointTotal("pool");
  testing::AddGlobalTestEnvironment(made);
  return made;
}();

// --- the table by itself ---------------------------------------------------------------------------------------------

struct TableCase {
  TableOperation operation;
  TableState state;
  friend void PrintTo(const TableCase& c, std::ostream* out) { *out << name_of(c.operation, c.state); }
};

class TableAtEveryPoint : public testing::TestWithParam<TableCase> {};

TEST_P(TableAtEveryPoint, EveryTaskIsAccountedForOnce) {
  const TableCase& c = GetParam();
  const std::string name = name_of(c.operation, c.state);
  expect_survived(total,
                  kill_at_every_point(name, [&c] { return std::make_unique<TableTrial>(c.state, c.operation); }));
}

const std::vector<TableCase> kTableCases = [] {
  std::vector<TableCase> cases{
      {kDoGrown, kTwo},        {kDoSmall, kForgotten}, {kDoSmall, kScan},           {kTryAgainGrown, kForgotten},
      {kSubmitGrown, kOne},    {kWithdraw, kOne},      {kAbandon, kEnded},          {kFree, kEnded},
      {kSettle, kRetryOfDead}, {kSettle, kLossOfDead}, {kSettle, kForgottenByDead}, {kKill, kRetryOfDead},
      {kDoSmall, kFollowed},   {kSettle, kOutOfTime},  {kSettle, kKilled},          {kDoSmall, kPriorities},
      {kDoSmall, kPinned},     {kSubmit, kPinned},
  };
  if (!whole_product()) return cases;
  const TableCase more[] = {
      {kDoSmall, kTwo},       {kDoSmall, kHintTwice},   {kFail, kTwo},        {kTryAgain, kTwo},
      {kTryAgainGrown, kTwo}, {kSubmit, kOne},          {kSettle, kHintGone}, {kSettle, kClaimedByDead},
      {kSubmitWithin, kOne},  {kSettle, kNestedByDead},
  };
  cases.insert(cases.end(), std::begin(more), std::end(more));
  return cases;
}();
INSTANTIATE_TEST_SUITE_P(, TableAtEveryPoint, testing::ValuesIn(kTableCases),
                         [](const auto& each) { return name_of(each.param.operation, each.param.state); });

// --- a whole pool ----------------------------------------------------------------------------------------------------

using Points = std::vector<std::string_view>;

class PoolAtEveryPoint : public PoolTrials {
 protected:
  // What each kind of process passes while nobody dies.
  const Points& passed(Role role) {
    static const std::array<Points, 3> found = [this] {
      (void)kill_application({});
      return std::array{points_passed_by(Role::kWorker), points_passed_by(Role::kSupervisor),
                        points_passed_by(Role::kApplication)};
    }();
    return found.at(static_cast<std::size_t>(role));
  }
  // And after a worker's death at `point`: the other one, who takes its place, who sees to it.
  const Points& passed_after(std::string_view point, Role role) {
    static std::map<std::string_view, std::array<Points, 2>> found;
    if (!found.contains(point)) {
      (void)kill_surely({{Role::kWorker, {point}}});
      found[point] = {points_passed_by(Role::kWorker), points_passed_by(Role::kSupervisor)};
    }
    return found[point].at(static_cast<std::size_t>(role));
  }

  // Once more where the first one ran another way: nobody passed, or not often enough.
  std::size_t kill_surely(const Deaths& deaths) {
    const std::size_t died = kill(deaths);
    return died == deaths.size() ? died : kill(deaths);
  }
  // A point that workers pass only after some of the deaths at `first`: after others the supervisor does. Again, until
  // one has died there.
  void insist(std::string_view first, std::string_view second) {
    for (std::uint32_t tries = 0; tries < 32 && !coverage_.points.contains(second); ++tries)
      (void)kill({{Role::kWorker, {first, 1 + tries % 8}}, {Role::kWorker, {second}}});
  }
  void expect_hit(std::initializer_list<std::string_view> points) {
    for (const std::string_view point : points) {
      EXPECT_TRUE(coverage_.points.contains(point)) << "nobody died at " << point;
    }
  }

  static std::uint32_t passings() { return whole_product() ? 8 : 2; }
};

TEST_F(PoolAtEveryPoint, AWorkerDies) {
  for (const std::string_view point : passed(Role::kWorker)) {
    for (std::uint32_t nth = 1; nth <= passings(); ++nth) (void)kill_surely({{Role::kWorker, {point, nth}}});
  }
  expect_hit({"hint_taken", "task_claimed", "result_grown", "chunk_committed", "result_written", "task_ended",
              "block_claimed", "block_releasing", "push_announced", "push_claimed", "push_written", "push_committed",
              "pop_copied", "pop_taken"});
  expect_survived(total, coverage_);
}

// Where the first one died, at every point that workers pass after a death: those that live, and those that replace it.
TEST_F(PoolAtEveryPoint, AnotherWorkerDiesAfterIt) {
  std::size_t pairs = 0;
  for (const std::string_view first : passed(Role::kWorker)) {
    for (const std::string_view second : passed_after(first, Role::kWorker)) {
      ++pairs;
      (void)kill_surely({{Role::kWorker, {first}}, {Role::kWorker, {second}}});
    }
  }
  EXPECT_GT(coverage_.double_faults, pairs * 3 / 4);
  insist("push_claimed", "bury_decided");
  insist("push_claimed", "bury_done");
  expect_hit({"bury_decided", "bury_done", "lane_claimed"});
  expect_survived(total, coverage_);
}

TEST_F(PoolAtEveryPoint, TheSupervisorDies) {
  for (const std::string_view point : passed(Role::kSupervisor)) {
    for (std::uint32_t nth = 1; nth <= passings(); ++nth) (void)kill({{Role::kSupervisor, {point, nth}}});
  }
  const Points firsts = whole_product()
                            ? passed(Role::kWorker)
                            : Points{"pop_taken", "push_claimed", "task_claimed", "task_ended", "block_releasing"};
  for (const std::string_view first : firsts) {
    for (const std::string_view second : passed_after(first, Role::kSupervisor)) {
      (void)kill_surely({{Role::kWorker, {first}}, {Role::kSupervisor, {second}}});
    }
  }
  expect_hit({"dead_worker_settled", "push_claimed", "task_ended", "sweep_claimed", "sweep_emptied", "sweep_freed"});
  expect_survived(total, coverage_);
}

// In a task that submits and waits, and then one of those that see to it.
TEST_F(PoolAtEveryPoint, AWorkerDiesWhoseTaskSubmits) {
  nests_ = true;
  const Points points{"place_lent", "task_allocated", "task_pending", "side_hint_pushed", "block_claimed"};
  for (const std::string_view point : points) {
    for (std::uint32_t nth = 1; nth <= passings(); ++nth) (void)kill_surely({{Role::kWorker, {point, nth}}});
    for (const std::string_view next : {"place_lent", "task_claimed"})
      (void)kill_surely({{Role::kWorker, {point}}, {Role::kWorker, {next}}});
    (void)kill_surely({{Role::kWorker, {point}}, {Role::kSupervisor, {"dead_worker_settled"}}});
  }
  (void)kill({{Role::kSupervisor, {"push_claimed"}}});
  (void)kill_application({{Role::kWorker, {"place_lent"}}, {Role::kApplication, {"task_freed"}}});
  expect_hit({"place_lent", "task_allocated", "task_pending", "side_hint_pushed"});
  expect_survived(total, coverage_);
}

// By itself; after a worker; and then the supervisor, on its way out.
TEST_F(PoolAtEveryPoint, TheApplicationDies) {
  const Turn worker{Role::kWorker, {"task_claimed"}};
  for (const std::string_view point : passed(Role::kApplication)) {
    for (std::uint32_t nth = 1; nth <= passings(); ++nth) (void)kill_application({{Role::kApplication, {point, nth}}});
    (void)kill_application({worker, {Role::kApplication, {point}}});
    (void)kill_application({worker, {Role::kApplication, {point}}, {Role::kSupervisor, {"lane_emptied"}}});
  }
  expect_hit({"task_allocated", "task_pending", "task_freed", "block_claimed", "block_releasing", "push_claimed",
              "lane_emptied"});
  expect_survived(total, coverage_);
}

}  // namespace
}  // namespace warren::test
