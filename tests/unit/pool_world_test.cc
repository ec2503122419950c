// The pool among other processes: its supervisor or its application killed, signals, limits, one processor.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <warren/ipc/segment.h>
#include <warren/pool/pool.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

#include "support/isolation.h"
#include "support/limits.h"
#include "support/pool_world.h"

namespace warren::test {

struct SlowToEncode {
  int value = 0;
};

}  // namespace warren::test

template <>
struct warren::Codec<warren::test::SlowToEncode> {
  static void encode(Writer& w, const test::SlowToEncode& slow) {
    ++test::marks->count;
    test::marks->pass(1);
    w.put(slow.value);
  }
  static absl::StatusOr<test::SlowToEncode> decode(Reader& r) {
    const absl::StatusOr<int> value = r.get<int>();
    if (!value.ok()) return value.status();
    return test::SlowToEncode{*value};
  }
};

namespace warren::test {
namespace {

using ::testing::HasSubstr;

class PoolWorld : public WithMarks {};

// --- the supervisor is killed ----------------------------------------------------------------------------------------

class SupervisorKilled : public WithMarks {
 protected:
  static void expect_unavailable(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  void kill_supervisor() {
    workers = workers_of(pool);
    const pid_t supervisor = supervisor_of(pool);
    ::kill(supervisor, SIGKILL);
    EXPECT_TRUE(all_gone({supervisor}) && all_gone(workers));
  }
  ~SupervisorKilled() override { EXPECT_TRUE(all_gone(workers)); }

  std::vector<pid_t> workers;
  Pool pool = make_pool(2, 8);
};

TEST_F(SupervisorKilled, RunningAndPendingTasksFail) {
  std::vector<Future<int>> futures;
  for (int i = 0; i < 8; ++i)
    futures.push_back(pool.submit([](int x) { return ++marks->count, marks->pass(0), x; }, i));
  ASSERT_TRUE(marks->await_count(2));
  const pid_t supervisor = children_of(::getpid()).at(0);
  workers = children_of(supervisor);
  ::kill(supervisor, SIGKILL);
  for (const Future<int>& each : futures) expect_unavailable(each.get_for(kPromptly).status());
  EXPECT_TRUE(all_gone(workers)) << "whose task is given up is gone: it may still be writing";
  expect_unavailable(pool.submit([] {}).get());
  expect_unavailable(pool.join());
}

TEST_F(SupervisorKilled, WhatHadEndedIsThere) {
  const Future<std::string> done = pool.submit([] { return std::string(1000, 'x'); });
  done.wait();
  kill_supervisor();
  EXPECT_EQ(done.get().value().size(), 1000u);
}

TEST_F(SupervisorKilled, ABlockedGetReturns) {
  const Future<void> blocked = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::thread gets([&] { expect_unavailable(blocked.get()); });
  ::kill(children_of(::getpid()).at(0), SIGKILL);
  gets.join();
}

TEST_F(SupervisorKilled, ABlockedSubmitMapAndStreamReturn) {
  std::vector<Future<void>> fill;
  for (int i = 0; i < 8; ++i) fill.push_back(pool.submit([] { ++marks->count, marks->pass(0); }));
  ASSERT_TRUE(marks->await_count(2));
  std::thread submits([&] { expect_unavailable(pool.submit([] {}).get()); });
  std::thread maps([&] {
    expect_unavailable(pool.map(
        {.chunksize = 1}, [](int) {}, std::views::iota(0, 20)));
  });
  std::thread streams([&] {
    for (const absl::Status& each : pool.imap_unordered([](int) {}, std::views::iota(0, 20))) expect_unavailable(each);
  });
  std::this_thread::sleep_for(20ms);
  ::kill(children_of(::getpid()).at(0), SIGKILL);
  submits.join();
  maps.join();
  streams.join();
}

TEST_F(SupervisorKilled, WithNothingToDoTheNextTaskFails) {
  kill_supervisor();
  expect_unavailable(pool.submit([] {}).get_for(kPromptly));
  expect_unavailable(pool.join());
}

TEST_F(SupervisorKilled, JoinTellsThoughNothingWasLost) {
  kill_supervisor();
  pool.close();
  expect_unavailable(pool.join_for(kPromptly));
}

TEST_F(SupervisorKilled, ForgottenTasksDoNotBlock) {
  kill_supervisor();
  for (int i = 0; i < 100; ++i) pool.submit([] {});
}

// Whoever is still writing a task then is not waited for.
TEST_F(SupervisorKilled, AWaitDoesNotWaitForWhoEncodes) {
  const Future<void> running = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::thread encodes(
      [&] { expect_unavailable(pool.submit([](const SlowToEncode&) {}, SlowToEncode{1}).get_for(kPromptly)); });
  ASSERT_TRUE(marks->await_count(2));
  workers = children_of(children_of(::getpid()).at(0));
  ::kill(children_of(::getpid()).at(0), SIGKILL);
  expect_unavailable(running.get_for(kPromptly));
  marks->open(1);
  encodes.join();
}

TEST_F(SupervisorKilled, TheDestructorReturns) {
  kill_supervisor();
  const Pool taken = std::move(pool);
  pool = make_pool(1);
}

TEST_F(PoolWorld, ASupervisorKilledAtOnceLeavesNoWorkers) {
  for (int i = 0; i < 12; ++i) {
    Pool pool = make_pool(3);
    const pid_t supervisor = children_of(::getpid()).at(0);
    std::this_thread::sleep_for(std::chrono::microseconds(200 * i));
    const std::vector<pid_t> workers = children_of(supervisor);
    ::kill(supervisor, SIGKILL);
    EXPECT_EQ(pool.submit([] { marks->pass(0); }).get_for(kPromptly).code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE(all_gone(workers));
  }
}

TEST_F(PoolWorld, AStoppedSupervisorOnlyDelaysWhatDeathsNeed) {
  Pool pool = make_pool(2);
  const pid_t supervisor = supervisor_of(pool);
  ASSERT_EQ(workers_of(pool).size(), 2u);
  ::kill(supervisor, SIGSTOP);
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
  const Future<void> dies = pool.submit([] { die(Death::kKilled); });
  EXPECT_FALSE(dies.wait_for(100ms));
  EXPECT_EQ(pool.apply([] { return 2; }).value(), 2) << "by the other worker";
  ::kill(supervisor, SIGCONT);
  EXPECT_EQ(dies.get().code(), absl::StatusCode::kAborted);
}

// A worker that changed its user lost the kernel's promise to kill it with its supervisor; it looks after that itself.
TEST_F(PoolWorld, AnOrphanedWorkerThatNobodyKillsEnds) {
  Pool pool = make_pool(1);
  const auto survive = [] { return ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0), ::getpid(); };
  const pid_t worker = pool.apply(survive).value();
  ::kill(children_of(::getpid()).at(0), SIGKILL);
  EXPECT_TRUE(eventually([&] { return gone(worker); }, kPromptly));
  const absl::Status after = pool.submit([] {}).get();
  EXPECT_EQ(after.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(task_error(after).value().kind, TaskError::Kind::kRefused);
}

// --- the application is killed ---------------------------------------------------------------------------------------

// Other than those of tests, which come and go beside this one, and the lock of removals, which stays.
std::size_t names_in_shm() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    const bool others = name.starts_with("warren-test.") || name.starts_with('.');
    count += name.find("warren") != std::string::npos && !others;
  }
  return count;
}

enum class Busy { kIdle, kRunning, kFull };
class ApplicationKilled : public WithMarks, public testing::WithParamInterface<Busy> {};

TEST_P(ApplicationKilled, LeavesNoProcessAndNoName) {
  const std::size_t names = names_in_shm();
  Child application([busy = GetParam()] {
    Pool pool = make_pool(3, 16);
    marks->pids[0] = supervisor_of(pool);
    std::vector<Future<void>> futures;
    if (busy == Busy::kRunning) futures.push_back(pool.submit([] { marks->pass(0); }));
    ++marks->count;
    while (busy == Busy::kFull) futures.push_back(pool.submit([] { marks->pass(0); }));
    for (;;) ::pause();
  });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<pid_t> processes;
  EXPECT_TRUE(eventually([&] { return (processes = children_of(marks->pids[0])).size() == 3; }, kPromptly));
  processes.push_back(marks->pids[0]);
  application.kill();
  EXPECT_TRUE(all_gone(processes));
  EXPECT_EQ(names_in_shm(), names);
}
INSTANTIATE_TEST_SUITE_P(, ApplicationKilled, testing::Values(Busy::kIdle, Busy::kRunning, Busy::kFull));

TEST_F(PoolWorld, AnApplicationThatLeavesWithoutDestructorsLeavesNoProcess) {
  Child application([] {
    Pool pool = make_pool(2);
    marks->pids[0] = supervisor_of(pool);
    for (const pid_t worker : workers_of(pool)) marks->pids[++marks->count] = worker;
    ::_exit(0);
  });
  EXPECT_TRUE(application.join().well());
  EXPECT_TRUE(all_gone({marks->pids[0], marks->pids[1], marks->pids[2]}));
}

TEST_F(PoolWorld, ApplicationAndSupervisorKilledTogetherLeaveNoWorker) {
  Child application([] {
    Pool pool = make_pool(2);
    marks->pids[0] = supervisor_of(pool);
    for (const pid_t worker : workers_of(pool)) marks->pids[++marks->count] = worker;
    for (;;) ::pause();
  });
  ASSERT_TRUE(marks->await_count(2));
  ::kill(marks->pids[0], SIGSTOP);
  application.kill();
  ::kill(marks->pids[0], SIGKILL);
  EXPECT_TRUE(all_gone({marks->pids[0], marks->pids[1], marks->pids[2]}));
}

// --- names that the pool's processes inherited -----------------------------------------------------------------------

TEST_F(PoolWorld, ANameLivesNoLongerThanItsLastHolder) {
  const std::string name = unique_name();
  {
    auto segment = std::make_unique<Segment>(Segment::create(name, 100).value());
    Pool pool = make_pool(2);
    EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
    segment.reset();
    EXPECT_TRUE(std::filesystem::exists("/dev/shm/" + name)) << "the pool's processes hold it";
  }
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + name));
}

// --- signals ---------------------------------------------------------------------------------------------------------

TEST_F(PoolWorld, AnInterruptOfTheGroupIsTheApplicationsToHandle) {
  Child child([] {
    ::setpgid(0, 0);
    ::signal(SIGINT, [](int) { ++marks->gates[7]; });
    Pool pool = make_pool(2);
    const std::vector<pid_t> workers = workers_of(pool);
    const Future<int> running = pool.submit([] { return ++marks->count, marks->pass(0), 1; });
    EXPECT_TRUE(marks->await_count(1));
    ::kill(0, SIGINT);
    EXPECT_TRUE(eventually([] { return marks->gates[7] == 1; }, kPromptly));
    marks->open(0);
    EXPECT_EQ(running.get().value(), 1);
    EXPECT_EQ(workers_of(pool), workers);
    EXPECT_EQ(marks->gates[7], 1u) << "the application's handler ran in another process";
  });
  EXPECT_TRUE(child.join().well());
}

// Also while it is being made.
TEST_F(PoolWorld, AHandlerRunsInTheApplicationAlone) {
  Child child([] {
    ::setpgid(0, 0);
    static pid_t application = 0;
    application = ::getpid();
    ::signal(SIGINT, [](int) { marks->gates[7] += ::getpid() != application; });
    Child storm([] {
      ::signal(SIGINT, SIG_IGN);
      while (::getppid() == application) ::kill(0, SIGINT);
    });
    for (int i = 0; i < 100; ++i) const Pool pool = make_pool(1);
    storm.kill();
    EXPECT_EQ(marks->gates[7], 0u);
  });
  EXPECT_TRUE(child.join().well());
}

TEST_F(PoolWorld, AStoppedWorkerHoldsUpOnlyItsTask) {
  Pool pool = make_pool(2);
  const Future<pid_t> stopped = pool.submit([] { return marks->pids[0] = ::getpid(), ::raise(SIGSTOP), ::getpid(); });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(pool.apply([](int x) { return x; }, i).value(), i);
  EXPECT_FALSE(stopped.ready());
  ASSERT_TRUE(eventually([] { return process_state(marks->pids[0]) == 'T'; }, kPromptly));
  const std::vector<pid_t> workers = workers_of(pool);
  for (const pid_t worker : workers) ::kill(worker, SIGCONT);
  EXPECT_THAT(workers, ::testing::Contains(stopped.get().value()));
}

TEST_F(PoolWorld, StoppedAndKilledLaterIsADeathThen) {
  Pool pool = make_pool(1);
  const Future<void> stopped = pool.submit([] { marks->pids[0] = ::getpid(), ++marks->count, ::raise(SIGSTOP); });
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_FALSE(stopped.wait_for(50ms)) << "stopped is not dead";
  ::kill(marks->pids[0], SIGKILL);
  EXPECT_EQ(stopped.get().code(), absl::StatusCode::kAborted);
}

// --- what workers print ----------------------------------------------------------------------------------------------

// What a program prints to a file, whatever processes it has.
std::string printed_by(const std::function<void()>& program) {
  const std::string path = std::filesystem::temp_directory_path() / unique_name("out");
  Child child([&] {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(fd, STDOUT_FILENO);
    program();
  });
  EXPECT_TRUE(child.join().well());
  std::ifstream in(path);
  std::filesystem::remove(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t times(const std::string& word, const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

void print_task(int n) {
  std::printf("task %d;", n);
  std::cout << "c++ " << n << ';';
}

TEST_F(PoolWorld, WhatIsPrintedAppearsOnce) {
  const std::string text = printed_by([] {
    std::printf("before;");
    std::cout << "stream;";
    Pool pool = make_pool(2);
    for (int i = 0; i < 3; ++i) (void)pool.apply(print_task, i);
    (void)pool.apply([] { std::printf("last words;"), die(Death::kExitZero); });
    pool.close();
    (void)pool.join();
    std::printf("after;");
  });
  for (const char* word :
       {"before;", "stream;", "task 0;", "task 1;", "task 2;", "c++ 0;", "c++ 2;", "last words;", "after;"}) {
    EXPECT_EQ(times(word, text), 1u) << word << " in: " << text;
  }
}

// A kill may take along what a worker has not written out yet; it writes before it sleeps.
TEST_F(PoolWorld, WhatIsPrintedBeforeAKillAppearsAtMostOnce) {
  const std::string text = printed_by([] {
    std::printf("before;");
    Pool pool = make_pool(2);
    for (int i = 0; i < 3; ++i) (void)pool.apply(print_task, i);
    for (int i = 0; i < 3; ++i) (void)pool.apply([] { die(Death::kKilled); });
  });
  EXPECT_EQ(times("before;", text), 1u);
  for (const char* word : {"task 0;", "task 1;", "c++ 2;"}) EXPECT_LE(times(word, text), 1u) << word << " in: " << text;
}

// --- a stderr that takes nothing -------------------------------------------------------------------------------------

enum class Stderr { kFull, kBroken };
class SupervisorTells : public WithMarks, public testing::WithParamInterface<Stderr> {};

TEST_P(SupervisorTells, NobodyWaitsForStderr) {
  Child child([] {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    if (GetParam() == Stderr::kFull) {
      const std::string page(4096, 'x');
      while (::write(ends[1], page.data(), page.size()) > 0) {
      }
      ASSERT_EQ(::fcntl(ends[1], F_SETFL, 0), 0);
    } else {
      ::close(ends[0]);
    }
    ::dup2(ends[1], STDERR_FILENO);
    Pool pool = Pool::create({.workers = 1, .initializer = [] { throw std::runtime_error("no model"); }}).value();
    const absl::Status status = pool.submit([] {}).get_for(kPromptly);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("no model"));
  });
  const auto ended = ended_within(child, 2 * kPromptly);
  ASSERT_TRUE(ended.has_value()) << "it hangs";
  EXPECT_TRUE(ended->well());
}
INSTANTIATE_TEST_SUITE_P(, SupervisorTells, testing::Values(Stderr::kFull, Stderr::kBroken));

// --- limits ----------------------------------------------------------------------------------------------------------

TEST_F(PoolWorld, WithoutDescriptorsThereIsNoPool) {
  const NoDescriptors none;
  EXPECT_EQ(Pool::create({.workers = 1}).status().code(), absl::StatusCode::kResourceExhausted);
}

// However many descriptors are left: a pool that works, or an error that says so.
TEST_F(PoolWorld, WithFewDescriptorsItWorksOrSaysSo) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const int first = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(first);
  int worked = 0;
  for (int left = 1; left <= 8; ++left) {
    const ResourceLimit limit(RLIMIT_NOFILE, static_cast<rlim_t>(first + left));
    absl::StatusOr<Pool> pool = Pool::create({.workers = 3});
    if (!pool.ok()) {
      EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted) << left << ": " << pool.status();
      continue;
    }
    const Future<void> dies = pool->submit([] { die(Death::kKilled); });
    ASSERT_TRUE(dies.wait_for(kPromptly)) << left;
    if (dies.get().code() != absl::StatusCode::kAborted) {
      EXPECT_EQ(dies.get().code(), absl::StatusCode::kFailedPrecondition) << left << ": " << dies.get();
      continue;
    }
    const absl::StatusOr<int> next = pool->apply([] { return 1; });
    if (next.ok()) ++worked;
    EXPECT_TRUE(next.ok() || absl::IsFailedPrecondition(next.status())) << left << ": " << next.status();
  }
  EXPECT_GE(worked, 1);
}

// A pidfd for each is more than the supervisor may have.
TEST_F(PoolWorld, MoreWorkersThanDescriptorsAreServed) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const int first = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(first);
  const ResourceLimit limit(RLIMIT_NOFILE, static_cast<rlim_t>(first + 20));
  Pool pool = make_pool(40);
  EXPECT_EQ(workers_of(pool).size(), 40u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(pool.apply([] { die(Death::kKilled); }).code(), absl::StatusCode::kAborted);
    EXPECT_EQ(pool.apply([](int x) { return x; }, i).value(), i);
  }
}

TEST_F(PoolWorld, UnderALimitedAddressSpaceItWorksOrSaysSo) {
  WARREN_LIMITS_ADDRESS_SPACE();
  for (const rlim_t gib : {rlim_t{4096}, rlim_t{64}, rlim_t{8}, rlim_t{4}, rlim_t{2}, rlim_t{1}}) {
    Child child([gib] {
      const ResourceLimit limit(RLIMIT_AS, gib << 30);
      absl::StatusOr<Pool> pool = Pool::create({.workers = 1});
      if (!pool.ok()) {
        EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted) << gib;
        EXPECT_LT(gib, 2u) << pool.status();
        return;
      }
      const std::string text(1 << 20, 'x');
      EXPECT_EQ(pool->apply([](std::string s) { return s; }, text).value(), text) << gib;
      if (gib > 2) return;
      EXPECT_FALSE(pool->apply([] { return std::string(std::size_t{3} << 30, 'x').size(); }).ok())
          << "a worker has the limit too";
    });
    EXPECT_TRUE(child.join().well()) << gib;
  }
}

TEST_F(PoolWorld, WithoutProcessesThereIsNoPool) {
  WARREN_EXPECT_ISOLATED(as_another_user([] {
    const ResourceLimit limit(RLIMIT_NPROC, 1);
    const absl::Status status = Pool::create({.workers = 1}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("fork"));
  }));
}

// The supervisor's place is there, not those of all workers.
TEST_F(PoolWorld, WithFewProcessesItWorksOrSaysSo) {
  WARREN_EXPECT_ISOLATED(as_another_user([] {
    for (rlim_t most = 2; most <= 6; ++most) {
      const ResourceLimit limit(RLIMIT_NPROC, most);
      absl::StatusOr<Pool> pool = Pool::create({.workers = 3});
      if (!pool.ok()) {
        EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted) << pool.status();
        continue;
      }
      const Future<int> future = pool->submit([] { return 1; });
      ASSERT_TRUE(future.wait_for(kPromptly)) << most;
      if (future.get().ok()) continue;
      EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(future.get().status().message()), HasSubstr("could be forked"));
    }
  }));
}

// --- one processor ---------------------------------------------------------------------------------------------------

TEST_F(PoolWorld, EverythingGoesOnOnOneProcessor) {
  Child child([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    Pool pool = make_pool(3, 16);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(pool.apply([](int x) { return x; }, i).value(), i);
    EXPECT_EQ(pool.map(
                      {.chunksize = 1}, [](int x) { return x; }, std::views::iota(0, 500))
                  .value()
                  .size(),
              500u);
    std::size_t count = 0;
    for (const auto& each : pool.imap_unordered([](int x) { return x; }, std::views::iota(0, 500))) count += each.ok();
    EXPECT_EQ(count, 500u);
    EXPECT_EQ(pool.apply([] { die(Death::kKilled); }).code(), absl::StatusCode::kAborted);
    for (int i = 0; i < 1000; ++i) pool.submit([] { ++marks->count; });
    pool.close();
    EXPECT_TRUE(pool.join().ok());
    EXPECT_EQ(marks->count, 1000u);
  });
  EXPECT_TRUE(child.join().well());
}

}  // namespace
}  // namespace warren::test
