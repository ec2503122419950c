// Whatever ends a worker: afterwards there are as many processes, descriptors and names as before. Descriptors, names
// and children of this program are counted around each test (resources.h); here, those of the pool's own processes.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <warren/pool/pool.h>

#include <filesystem>
#include <set>

#include "support/pool_view.h"
#include "support/pool_world.h"
#include "support/resources.h"

namespace warren::test {
namespace {

// What the descriptors of a process refer to.
std::multiset<std::string> descriptors_of(pid_t pid) {
  std::multiset<std::string> found;
  std::error_code error;
  for (const auto& each : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error))
    found.insert(std::filesystem::read_symlink(each.path(), error).string());
  return found;
}

class PoolEndings : public WithMarks {
 protected:
  // Of a pool whose workers are all there and idle.
  struct Count {
    std::size_t workers;
    std::multiset<std::string> descriptors;
    friend bool operator==(const Count&, const Count&) = default;
    friend void PrintTo(const Count& c, std::ostream* out) {
      *out << c.workers << " workers, and of the supervisor " << testing::PrintToString(c.descriptors);
    }
  };
  static Count count(Pool& pool) {
    const pid_t supervisor = supervisor_of(pool);
    const std::vector<pid_t> workers = workers_of(pool);
    // It watches each of them, and the application: the newest perhaps not yet.
    std::multiset<std::string> descriptors;
    EXPECT_TRUE(eventually(
        [&] { return (descriptors = descriptors_of(supervisor)).count("anon_inode:[pidfd]") == workers.size() + 1; },
        kPromptly));
    return {.workers = workers.size(), .descriptors = descriptors};
  }
  static void expect_as_before(Pool& pool, const Count& before) {
    EXPECT_TRUE(eventually([&] { return count(pool) == before; }, kPromptly)) << testing::PrintToString(count(pool));
    EXPECT_EQ(PoolView::of_this_process().slots_in_use(), 0u);
    EXPECT_EQ(PoolView::of_this_process().owned_blocks(), 0u);
    EXPECT_EQ(pool.map([](int x) { return x; }, std::views::iota(0, 50)).value().size(), 50u);
  }
  static bool took_no_result(const absl::Status& status) { return absl::IsAborted(status); }
};

class EveryEnding : public PoolEndings, public testing::WithParamInterface<Death> {};

TEST_P(EveryEnding, OfAWorkerLeavesWhatWasThere) {
  Pool pool = make_pool(2);
  const Count before = count(pool);
  const std::string large(300'000, 'x');
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(took_no_result(pool.apply([](Death how, const std::string&) { die(how); }, GetParam(), large)));
  }
  expect_as_before(pool, before);
}

TEST_P(EveryEnding, OfTwoAtOnceLeavesWhatWasThere) {
  Pool pool = make_pool(2);
  const Count before = count(pool);
  std::vector<Future<void>> both;
  for (int i = 0; i < 2; ++i) both.push_back(pool.submit([](Death how) { marks->meet(0, 2), die(how); }, GetParam()));
  for (Future<void>& each : both) EXPECT_TRUE(took_no_result(std::move(each).get()));
  both.clear();
  expect_as_before(pool, before);
}

INSTANTIATE_TEST_SUITE_P(, EveryEnding,
                         testing::Values(Death::kKilled, Death::kSegfault, Death::kAbort, Death::kExitZero,
                                         Death::kQuickExit, Death::kStackOverflow, Death::kInThread,
                                         Death::kUncaughtInThread, Death::kThreadExit),
                         [](const auto& death) { return "death_" + std::to_string(static_cast<int>(death.param)); });

// As the kernel does when memory is short: the largest first, whatever it does.
TEST_F(PoolEndings, KilledFromOutsideInTheMidstOfALargeResult) {
  Pool pool = make_pool(2);
  const Count before = count(pool);
  for (int i = 0; i < 10; ++i) {
    const auto large = pool.submit([] {
      ++marks->count, marks->pids[0] = ::getpid();
      return std::vector<std::string>(200, std::string(100'000, 'x'));
    });
    ASSERT_TRUE(marks->await_count(static_cast<std::uint32_t>(i) + 1));
    ::kill(marks->pids[0], SIGKILL);
    const auto result = large.get_for(kPromptly);
    EXPECT_TRUE(result.ok() || absl::IsAborted(result.status())) << result.status();
  }
  expect_as_before(pool, before);
}

// A grandchild holds every descriptor that its worker had, and lives on.
TEST_F(PoolEndings, AGrandchildThatLivesOnHoldsUpNobody) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  pid_t grandchild = 0;
  {
    Pool pool = make_pool(2);
    const Count before = count(pool);
    EXPECT_TRUE(took_no_result(pool.apply([] {
      const pid_t child = ::fork();
      if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
        for (;;) ::pause();
      }
      marks->pids[0] = child;
      die(Death::kKilled);
    })));
    grandchild = marks->pids[0];
    EXPECT_FALSE(gone(grandchild));
    expect_as_before(pool, before);
    pool.close();
    EXPECT_TRUE(pool.join_for(kPromptly).ok()) << "the pool waits for the grandchild";
  }
  EXPECT_FALSE(gone(grandchild));
  ::kill(grandchild, SIGKILL);
  EXPECT_TRUE(eventually([&] { return ::waitpid(grandchild, nullptr, WNOHANG) == grandchild; }, kPromptly));
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(PoolEndings, StoppedUnderADeadlineLeavesWhatWasThere) {
  Pool pool = make_pool(2);
  const Count before = count(pool);
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = pool.submit({.deadline = 40ms}, [] { ::raise(SIGSTOP); }).get_for(kPromptly);
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  }
  expect_as_before(pool, before);
}

TEST_F(PoolEndings, LeavingLeavesWhatWasThere) {
  Pool pool = Pool::create({.workers = 2, .max_tasks_per_worker = 5}).value();
  const Count before = count(pool);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(pool.apply([](int n) { return n; }, i).value(), i);
  expect_as_before(pool, before);
  EXPECT_TRUE(pool.resize(6).ok());
  EXPECT_TRUE(pool.resize(2).ok());
  expect_as_before(pool, before);
}

TEST_F(PoolEndings, AnInitializerThatAlwaysDiesEndsThePool) {
  Pool pool = Pool::create({.workers = 2, .initializer = [] { die(Death::kSegfault); }}).value();
  EXPECT_EQ(pool.submit([] {}).get_for(kPromptly).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(pool.join_for(kPromptly).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace warren::test
