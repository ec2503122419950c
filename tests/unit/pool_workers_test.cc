// What a pool's workers are like, how long they stay, and how many there are.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <warren/ipc/queue.h>
#include <warren/pool/pool.h>

#include <map>
#include <set>

#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class PoolWorkers : public WithMarks {};

void expect_broken(const PoolOptions& options, const std::string& text) {
  Pool pool = Pool::create(options).value();
  const absl::Status status = pool.apply([] {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

std::uint32_t deaths() { return PoolView::of_this_process().header().worker_deaths; }

// --- leaving after so many tasks, or so much memory ------------------------------------------------------------------

TEST_F(PoolWorkers, LeaveAfterSoManyTasksAndNoneIsLost) {
  Pool pool = Pool::create({.workers = 2, .max_tasks_per_worker = 3}).value();
  std::vector<Future<pid_t>> futures;
  for (int i = 0; i < 100; ++i) {
    futures.push_back(pool.submit(
        [](int n) {
          ++marks->ran[static_cast<std::size_t>(n)];
          return ::getpid();
        },
        i));
  }
  std::map<pid_t, int> served;
  for (const Future<pid_t>& each : futures) ++served[each.get().value()];
  for (const auto& [pid, tasks] : served) EXPECT_LE(tasks, 3) << pid;
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(marks->ran[i], 1u);
  EXPECT_EQ(deaths(), 0u) << "a planned leaving is no death";
  EXPECT_EQ(workers_of(pool).size(), 2u);
}

TEST_F(PoolWorkers, LeaveAfterSoManyTasksAlsoWhenThePoolIsClosed) {
  Pool pool = Pool::create({.workers = 2, .max_tasks_per_worker = 1}).value();
  std::vector<Future<int>> futures;
  for (int i = 0; i < 60; ++i) futures.push_back(pool.submit([](int n) { return n; }, i));
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  for (int i = 0; i < 60; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), i);
}

TEST_F(PoolWorkers, AChunkIsOneTask) {
  Pool pool = Pool::create({.workers = 1, .max_tasks_per_worker = 1}).value();
  const auto pids = pool.map(
                            {.chunksize = 5}, [](int) { return ::getpid(); }, std::views::iota(0, 10))
                        .value();
  EXPECT_EQ(std::set(pids.begin(), pids.end()).size(), 2u);
}

TEST_F(PoolWorkers, TheNextOneDoesNotWaitForTheEndOfWhoLeaves) {
  // Its standard output is full: it leaves as slowly as that is read.
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  Pool slow = Pool::create({.workers = 1,
                            .initializer = warren::bind_front([](int fd) { ::dup2(fd, 1); }, pipe[1]),
                            .max_tasks_per_worker = 1})
                  .value();
  EXPECT_TRUE(slow.apply([] {
                    static std::array<char, 1 << 20> buffer;
                    std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
                    const std::string much(500'000, 'x');
                    std::fwrite(much.data(), 1, much.size(), stdout);
                  })
                  .ok());
  EXPECT_EQ(slow.submit([] { return 1; }).get_for(kPromptly).value(), 1);
  slow.terminate();
  EXPECT_TRUE(slow.join().ok());
  ::close(pipe[0]), ::close(pipe[1]);
}

TEST_F(PoolWorkers, LeaveWhenTheyHaveTooMuchMemory) {
  static std::vector<char> kept;
  const std::uint64_t most = std::uint64_t{256} << 20;
  Pool pool = Pool::create({.workers = 1, .max_worker_rss = most}).value();
  const pid_t first = pool.apply([] { return ::getpid(); }).value();
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), first);
  // Given back by its end: it may stay.
  EXPECT_EQ(pool.apply([] { return std::vector<char>(std::size_t{300} << 20, 'x').size(); }).value(),
            std::size_t{300} << 20);
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), first);
  EXPECT_TRUE(pool.apply([] { kept.assign(std::size_t{300} << 20, 'x'); }).ok());
  EXPECT_NE(pool.apply([] { return ::getpid(); }).value(), first);
  EXPECT_EQ(deaths(), 0u);
}

TEST_F(PoolWorkers, ThatBeginWithTooMuchMemoryBreakThePool) {
  expect_broken({.workers = 1, .max_worker_rss = 4096}, "before its first task, and max_worker_rss is 4096");
}

TEST_F(PoolWorkers, WhoKillsOneThatLeavesCostsNothing) {
  Pool pool = Pool::create({.workers = 2, .max_tasks_per_worker = 1}).value();
  for (int i = 0; i < 100; ++i) {
    const pid_t pid = pool.apply([] { return ::getpid(); }).value();
    const auto next = pool.submit(
        {.retries = 3}, [](int n) { return n; }, i);
    ::kill(pid, SIGKILL);
    EXPECT_EQ(next.get_for(kPromptly).value(), i);
  }
}

// --- how many --------------------------------------------------------------------------------------------------------

TEST_F(PoolWorkers, AreAsManyAsResizeSays) {
  Pool pool = make_pool(2);
  EXPECT_TRUE(pool.resize(5).ok());
  EXPECT_EQ(pool.workers(), 5u);
  std::vector<Future<void>> met;
  for (int i = 0; i < 5; ++i) met.push_back(pool.submit([] { marks->meet(0, 5); }));
  for (const Future<void>& each : met) EXPECT_TRUE(each.get_for(kPromptly).ok());
  EXPECT_EQ(workers_of(pool).size(), 5u);
  EXPECT_TRUE(pool.resize(1).ok());
  EXPECT_EQ(pool.workers(), 1u);
  EXPECT_EQ(workers_of(pool).size(), 1u);
  EXPECT_EQ(deaths(), 0u);
  EXPECT_EQ(pool.map([](int x) { return x; }, std::views::iota(0, 100)).value().size(), 100u);
}

TEST_F(PoolWorkers, FinishTheirTaskBeforeTheyGo) {
  Pool pool = make_pool(3);
  std::vector<Future<int>> running;
  for (int i = 0; i < 3; ++i)
    running.push_back(pool.submit([](int n) { return ++marks->count, marks->pass(0), n; }, i));
  ASSERT_TRUE(marks->await_count(3));
  EXPECT_TRUE(pool.resize(1).ok());
  const Future<int> next = pool.submit([] { return 7; });
  marks->open(0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(running[static_cast<std::size_t>(i)].get().value(), i);
  EXPECT_EQ(next.get().value(), 7);
  EXPECT_EQ(workers_of(pool).size(), 1u);
}

TEST_F(PoolWorkers, ResizeRefusesWhatCannotBe) {
  Pool pool = make_pool(1);
  EXPECT_EQ(pool.resize(0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(pool.resize(1025).code(), absl::StatusCode::kInvalidArgument);
  pool.close();
  EXPECT_EQ(pool.resize(2).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Pool::create({.workers = 1, .min_workers = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PoolWorkers, UpAndDownUnderLoadLosesNothing) {
  Pool pool = make_pool(2);
  std::atomic<bool> over = false;
  std::thread resizes([&] {
    for (std::uint32_t n = 1; !over; n = n % 5 + 1) EXPECT_TRUE(pool.resize(n).ok());
  });
  for (int round = 0; round < 10; ++round) {
    const auto results = pool.map(
                                 {.chunksize = 3}, [](int x) { return x; }, std::views::iota(0, 300))
                             .value();
    for (int i = 0; i < 300; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
  }
  over = true;
  resizes.join();
}

TEST_F(PoolWorkers, IdleOnesLeaveAndComeBack) {
  Pool pool = Pool::create({.workers = 4, .min_workers = 1, .idle_timeout = 30ms}).value();
  std::vector<Future<void>> met;
  for (int i = 0; i < 4; ++i) met.push_back(pool.submit([] { marks->meet(0, 4); }));
  for (const Future<void>& each : met) EXPECT_TRUE(each.get_for(kPromptly).ok());
  EXPECT_TRUE(eventually([&] { return pool.workers() == 1; }, kPromptly));
  EXPECT_EQ(workers_of(pool).size(), 1u);
  met.clear();
  for (int i = 0; i < 4; ++i) met.push_back(pool.submit([] { marks->meet(1, 4); }));
  for (const Future<void>& each : met) EXPECT_TRUE(each.get_for(kPromptly).ok()) << "they do not come back";
  EXPECT_EQ(deaths(), 0u);
}

// Until the supervisor has looked, those that have left are counted against the number before.
TEST_F(PoolWorkers, AreNeverNoneAfterAResize) {
  Pool pool = Pool::create({.workers = 3, .min_workers = 1, .idle_timeout = 1ms}).value();
  ASSERT_TRUE(eventually([&] { return pool.workers() == 1; }, kPromptly));
  auto array = Array<int>::create(100).value();
  const pid_t supervisor = supervisor_of(pool);
  ::kill(supervisor, SIGSTOP);
  EXPECT_TRUE(pool.resize(1).ok());
  EXPECT_EQ(pool.workers(), 1u);
  std::thread goes_on([supervisor] {  // the one worker that is there may be of a number that leaves
    std::this_thread::sleep_for(50ms);
    ::kill(supervisor, SIGCONT);
  });
  EXPECT_TRUE(pool.for_each(array, [](int& x) { ++x; }).ok());
  goes_on.join();
  EXPECT_EQ(array[99], 1);
}

TEST_F(PoolWorkers, MoreThanTheFewestStayWhileThereIsWork) {
  Pool pool = Pool::create({.workers = 3, .min_workers = 2, .idle_timeout = 1ms}).value();
  EXPECT_TRUE(eventually([&] { return pool.workers() == 2; }, kPromptly));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(pool.apply([](int n) { return n; }, i).value(), i);
  EXPECT_GE(pool.workers(), 2u);
}

TEST_F(PoolWorkers, WhoLeftForWantOfWorkComesBackForATaskThatOnlyItMayRun) {
  Pool pool = Pool::create({.workers = 3, .min_workers = 1, .idle_timeout = 10ms}).value();
  EXPECT_TRUE(eventually([&] { return pool.workers() == 1; }, kPromptly));
  for (std::uint32_t worker = 0; worker < 3; ++worker) {
    EXPECT_TRUE(pool.submit({.worker = worker}, [] {}).get_for(kPromptly).ok()) << worker;
  }
}

// --- what they are like ----------------------------------------------------------------------------------------------

TEST_F(PoolWorkers, HaveTheirSurroundings) {
  ASSERT_EQ(::setenv("WARREN_TEST_GOES", "1", 1), 0);
  Pool pool = Pool::create({.workers = 1,
                            .initializer = [] { marks->count = std::getenv("WARREN_TEST_COMES") != nullptr; },
                            .nice = 3,
                            .rlimits = {{RLIMIT_CORE, {0, 0}}, {RLIMIT_NOFILE, {200, 300}}},
                            .environment = {{"WARREN_TEST_COMES", "yes"}, {"WARREN_TEST_GOES", std::nullopt}},
                            .working_directory = "/proc"})
                  .value();
  ::unsetenv("WARREN_TEST_GOES");
  const auto text = [](const char* s) { return std::string(s == nullptr ? "-" : s); };
  EXPECT_EQ(pool.apply([] { return std::string(std::getenv("WARREN_TEST_COMES")); }).value(), "yes");
  EXPECT_EQ(pool.apply([text] { return text(std::getenv("WARREN_TEST_GOES")); }).value(), "-");
  EXPECT_EQ(marks->count, 1u) << "before the initializer";
  EXPECT_EQ(pool.apply([] {
                  rlimit limit{};
                  ::getrlimit(RLIMIT_NOFILE, &limit);
                  return std::pair(limit.rlim_cur, limit.rlim_max);
                })
                .value(),
            std::pair(rlim_t{200}, rlim_t{300}));
  EXPECT_EQ(pool.apply([] { return ::getpriority(PRIO_PROCESS, 0); }).value(),
            std::min(19, ::getpriority(PRIO_PROCESS, 0) + 3));
  EXPECT_EQ(pool.apply([] {
                  std::array<char, 64> path{};
                  return std::string(::getcwd(path.data(), path.size()));
                })
                .value(),
            "/proc");
}

std::vector<std::uint32_t> cpus_of_this_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<std::uint32_t> cpus;
  for (std::uint32_t i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

TEST_F(PoolWorkers, RunOnTheProcessorsThatTheyAreGiven) {
  const std::vector<std::uint32_t> mine = cpus_of_this_process();
  const std::uint32_t last = mine.back();
  Pool one = Pool::create({.workers = 2, .cpus = {last}}).value();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(one.apply([] { return cpus_of_this_process(); }).value(), std::vector{last});
  Pool pinned = Pool::create({.workers = 3, .pin_workers = true}).value();
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(pinned.submit({.worker = i}, [] { return cpus_of_this_process(); }).get().value(),
              std::vector{mine[i % mine.size()]});
  }
}

TEST_F(PoolWorkers, ThatCannotBeSetUpBreakThePoolAndSayWhy) {
  expect_broken({.workers = 1, .cpus = {0, 8000}}, "a worker cannot run on processors 0, 8000: ");
  expect_broken({.workers = 2, .rlimits = {{RLIMIT_NOFILE, {20, 10}}}}, "a worker cannot limit resource 7 to 20");
  expect_broken({.workers = 1, .environment = {{"a=b", "c"}}}, "a worker cannot set 'a=b' in the environment");
  expect_broken({.workers = 1, .working_directory = "/nowhere/at/all"},
                "a worker cannot change to '/nowhere/at/all': No such file or directory");
  expect_broken({.workers = 1, .keep_fds = {{1000}}}, "cannot keep descriptor 1000: it is not open");
}

TEST_F(PoolWorkers, KeepOnlyTheDescriptorsThatAreNamed) {
  std::array<int, 2> gone{}, kept{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, gone.data()), 0);
  ASSERT_EQ(::pipe(kept.data()), 0);
  auto queue = Queue<int>::create({.capacity = 4}).value();
  static std::optional<Queue<int>> inherited;
  inherited = queue;
  Pool pool = Pool::create({.workers = 1, .keep_fds = {{kept[1]}}}).value();
  EXPECT_EQ(pool.apply([](int fd) { return ::write(fd, "x", 1); }, kept[1]).value(), 1);
  EXPECT_TRUE(pool.apply([] { inherited->push(5); }).ok()) << "what is Warren's own stays";
  EXPECT_EQ(queue.pop().value(), 5);
  EXPECT_EQ(pool.apply(
                    [](int fd) {
                      std::array<char, 64> path{};
                      const std::string link = "/proc/self/fd/" + std::to_string(fd);
                      return std::string(path.data(),
                                         static_cast<std::size_t>(::readlink(link.c_str(), path.data(), path.size())));
                    },
                    gone[1])
                .value(),
            "/dev/null");
  // Nobody but this process holds it any more, the supervisor neither.
  ::close(gone[1]);
  char byte = 0;
  EXPECT_EQ(::read(gone[0], &byte, 1), 0) << "no end of file";
  EXPECT_EQ(pool.map([](int x) { return std::string(100'000, 'x').size() + static_cast<std::size_t>(x); },
                     std::views::iota(0, 20))
                .value()
                .size(),
            20u);
  ::close(gone[0]), ::close(kept[0]), ::close(kept[1]);
  inherited.reset();
}

}  // namespace
}  // namespace warren::test
