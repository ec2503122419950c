// Pool, whose supervisor is spawned.
#include <absl/cleanup/cleanup.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/value.h>
#include <warren/pool/current_pool.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <locale>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "spawn_program.h"
#include "support/child.h"
#include "support/pool_world.h"
#include "support/resources.h"
#include "support/watch.h"

namespace warren::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

int square(int x) { return x * x; }
std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(SpawnedPool, RunsWhateverATaskMayBe) {
  Pool pool = spawn_pool(2).value();
  EXPECT_EQ(pool.apply(square, 6).value(), 36);
  EXPECT_EQ(pool.apply([k = 3](int x) { return k * x; }, 5).value(), 15);
  EXPECT_EQ(pool.apply([](const std::string& s) { return s + "!"; }, "text").value(), "text!");
  std::vector<int> numbers(100);
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::vector<int> squares = pool.map(square, numbers).value();
  EXPECT_EQ(squares.at(99), 99 * 99);
  auto queue = Queue<int>::create({.capacity = 2}).value();
  EXPECT_TRUE(pool.apply([](Queue<int> q, int x) { q.push(x); }, queue, 4).ok()) << "made after the pool";
  EXPECT_EQ(queue.try_pop(), 4);
  EXPECT_TRUE(absl::IsUnknown(pool.apply([] { throw std::runtime_error("no"); })));
  EXPECT_TRUE(pool.shutdown().ok());
}

int descend(int depth) { return depth == 0 ? 0 : 1 + current_pool().apply(descend, depth - 1).value(); }

// The one worker waits, and the supervisor forks others for as long.
TEST(SpawnedPool, TasksSubmitTasksAndWaitForThem) {
  Pool pool = spawn_pool(1).value();
  const absl::StatusOr<int> depth = pool.submit(descend, 4).get_for(kPromptly);
  EXPECT_EQ(depth.value_or(-1), 4) << depth.status();
  if (!depth.ok()) pool.terminate();  // it may be a deadlock
}

TEST(SpawnedPool, IsTheProgramAsItBeginsAndNotAsItIs) {
  EXPECT_EQ(spawn_pool().value().apply([] { return made_by_main; }).value(), 0);
  EXPECT_EQ(make_pool(1).apply([] { return made_by_main; }).value(), 5) << "the control: a fork has it";
}

std::mutex held;

// What a fork would copy locked. Nothing of it is there in the new program.
TEST(SpawnedPool, LocksThatThreadsHoldMeanwhileAreNotItsOwn) {
  Gate begun, end;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    const std::scoped_lock lock(held);
    ::flockfile(stdout);
    begun.arrive();
    end.wait();
    ::funlockfile(stdout);
  });
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      begun.arrive();
      while (!stop) {
        std::vector<std::string> many(100, std::string(100, 'x'));
        (void)std::locale("C").name();
        (void)std::setlocale(LC_ALL, nullptr);
      }
    });
  }
  const absl::Cleanup end_them = [&] {
    stop = true;
    end.open();
    for (std::thread& each : threads) each.join();
  };
  begun.wait_for(3);
  {
    absl::StatusOr<Pool> made = spawn_pool(2);
    ASSERT_TRUE(made.ok()) << made.status();
    Pool pool = *std::move(made);
    const absl::Cleanup terminate = [&pool] { pool.terminate(); };  // one that waits for a lock never ends by itself
    for (int i = 0; i < 20; ++i) {
      const Future<int> took = pool.submit(
          [](int x) {
            const std::scoped_lock lock(held);
            std::vector<std::string> many(100, std::string(100, 'x'));
            (void)std::locale::global(std::locale("C"));
            std::printf("%s", many.empty() ? "x" : "");
            return x;
          },
          i);
      ASSERT_EQ(took.get_for(kPromptly).value_or(-1), i);
    }
    const pid_t worker = pool.submit(::getpid).get_for(kPromptly).value_or(0);
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);  // and another is forked, from where there are no threads
    for (int i = 0; i < 4; ++i)
      ASSERT_TRUE(pool.submit([] { const std::scoped_lock lock(held); }).get_for(kPromptly).ok());
  }
}

void note(const Queue<std::string>& to, const std::string& text) { Queue<std::string>(to).push(text); }

TEST(SpawnedPool, TheInitializerComesWithWhatItHolds) {
  auto texts = Queue<std::string>::create({.capacity = 8}).value();
  {
    Pool pool =
        Pool::create(
            {.workers = 2, .initializer = bind_front(note, texts, "begun"), .start_method = StartMethod::kSpawn})
            .value();
    EXPECT_TRUE(eventually([&] { return texts.approx_size() == 2; }, kPromptly));
    ::kill(workers_of(pool).front(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return texts.approx_size() == 3; }, kPromptly)) << "also that of the one in its place";
  }
  while (auto text = texts.try_pop()) EXPECT_EQ(*text, "begun");

  Pool plain =
      Pool::create(
          {.workers = 1, .initializer = [a = 40, b = 2] { made_by_main = a + b; }, .start_method = StartMethod::kSpawn})
          .value();
  EXPECT_EQ(plain.apply([] { return made_by_main; }).value(), 42);
}

TEST(SpawnedPool, AnInitializerThatThrowsBreaksItAndIsTold) {
  Pool pool = Pool::create({.workers = 1,
                            .initializer = [] { throw std::runtime_error("no database"); },
                            .start_method = StartMethod::kSpawn})
                  .value();
  const absl::Status status = pool.apply(square, 1).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no database"));
}

TEST(SpawnedPool, EveryOptionGoesAlong) {
  Pool pool = Pool::create({.workers = 2,
                            .max_tasks_per_worker = 1,
                            .start_method = StartMethod::kSpawn,
                            .max_pending = 100,
                            .name = "spawned",
                            .min_workers = 1,
                            .nice = 3,
                            .rlimits = {{RLIMIT_CORE, {0, 0}}, {RLIMIT_NOFILE, {200, 300}}},
                            .environment = {{"SPAWN_TEST_SET", "yes"}, {"PATH", std::nullopt}},
                            .working_directory = "/"})
                  .value();
  const auto look = [] {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    const char* const set = ::getenv("SPAWN_TEST_SET");
    return std::tuple(::getpriority(PRIO_PROCESS, 0), files.rlim_max, std::string(set == nullptr ? "" : set),
                      ::getenv("PATH") == nullptr, std::filesystem::current_path().string());
  };
  EXPECT_EQ(pool.apply(look).value(), std::tuple(::getpriority(PRIO_PROCESS, 0) + 3, rlim_t{300}, "yes", true, "/"));
  const pid_t first = pool.submit({.worker = 0}, ::getpid).get().value();
  EXPECT_NE(pool.submit({.worker = 0}, ::getpid).get().value(), first) << "max_tasks_per_worker";
}

// --- surroundings ----------------------------------------------------------------------------------------------------

TEST(SpawnedPool, HasTheProgramsArgumentsAndNoTraceOfItsStart) {
  const std::set<std::string> before = Census::now().descriptors;
  Pool pool = spawn_pool().value();
  EXPECT_EQ(file_text("/proc/" + std::to_string(supervisor_of(pool)) + "/cmdline"), file_text("/proc/self/cmdline"));
  const auto traces = [](const std::vector<std::string>& own) {
    std::string found;
    for (char** each = environ; *each != nullptr; ++each) {
      if (std::string(*each).find("WARREN_START") != std::string::npos) found += *each;
    }
    for (const std::string& each : Census::now().descriptors) {
      if (std::ranges::find(own, each) != own.end()) continue;  // a standard stream may be a socket
      if (each.find("warren-start") != std::string::npos || each.find("socket:") != std::string::npos) found += each;
    }
    return found;
  };
  EXPECT_EQ(pool.apply(traces, std::vector<std::string>(before.begin(), before.end())).value(), "");
  EXPECT_EQ(::getenv("WARREN_START"), nullptr);
}

TEST(SpawnedPool, DescriptorsThatCloseOnExecAreNotThere) {
  const int stays = ::open("/dev/zero", O_RDONLY);
  const int closes = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const auto what = [](int fd) {
    std::error_code none;
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none).string();
  };
  {
    Pool pool = spawn_pool().value();
    EXPECT_EQ(pool.apply(what, stays).value(), "/dev/zero");
    EXPECT_NE(pool.apply(what, closes).value(), "/dev/zero");
  }
  {
    Pool pool =
        Pool::create({.workers = 1, .start_method = StartMethod::kSpawn, .keep_fds = std::vector{closes}}).value();
    EXPECT_EQ(pool.apply(what, stays).value(), "/dev/null");
    EXPECT_EQ(pool.apply(what, closes).value(), "/dev/zero") << "kept, and under its number";
  }
  {
    Pool pool = Pool::create({.workers = 1, .start_method = StartMethod::kSpawn, .keep_fds = std::vector{999}}).value();
    EXPECT_THAT(std::string(pool.apply(what, stays).status().message()), HasSubstr("cannot keep descriptor 999"));
  }
  ::close(stays);
  ::close(closes);
}

TEST(SpawnedPool, SignalsOfTheTerminalAreTheApplications) {
  Pool pool = spawn_pool().value();
  const pid_t supervisor = supervisor_of(pool);
  for (const int signal : {SIGINT, SIGHUP, SIGTERM}) ::kill(supervisor, signal);
  EXPECT_EQ(pool.apply(square, 3).value(), 9);
  const auto blocked = [] {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    int count = 0;
    for (int signal = 1; signal < NSIG; ++signal) count += sigismember(&now, signal) == 1 ? 1 : 0;
    return count;
  };
  EXPECT_EQ(pool.apply(blocked).value(), 0);
}

TEST(SpawnedPool, HasTheApplicationsLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  if (std::setlocale(LC_ALL, "C.UTF-8") == nullptr) GTEST_SKIP() << "no such locale here";
  const auto locale = [] { return std::string(std::setlocale(LC_ALL, nullptr)); };
  EXPECT_EQ(spawn_pool().value().apply(locale).value(), std::setlocale(LC_ALL, nullptr));
  std::setlocale(LC_ALL, before.c_str());
}

TEST(SpawnedPool, ExitHandlersAreTheApplications) {
  const std::string mark = (std::filesystem::temp_directory_path() / unique_name("at-exit")).string();
  {
    const Variable variable(kExitMark, mark);
    EXPECT_EQ(spawn_pool(2).value().apply(square, 2).value(), 4);
    EXPECT_EQ(Process::start(kSpawned(), [] { return 3; }).value().join(), 3);
  }
  EXPECT_FALSE(std::filesystem::exists(mark));
}

// --- deaths ----------------------------------------------------------------------------------------------------------

TEST(SpawnedPool, AKilledWorkerIsReplaced) {
  Pool pool = spawn_pool(2).value();
  const pid_t supervisor = supervisor_of(pool);
  const std::vector<pid_t> first = workers_of(pool);
  const absl::Status died = pool.apply([] { ::kill(::getpid(), SIGKILL); });
  EXPECT_TRUE(absl::IsAborted(died)) << died;
  EXPECT_EQ(pool.apply(square, 5).value(), 25);
  EXPECT_EQ(supervisor_of(pool), supervisor);
  EXPECT_NE(workers_of(pool), first);
}

TEST(SpawnedPool, ItsSupervisorsDeathIsToldAndLeavesNoProcess) {
  Pool pool = spawn_pool(2).value();
  const pid_t supervisor = supervisor_of(pool);
  const std::vector<pid_t> workers = workers_of(pool);
  Future<void> waits = pool.submit([] {
    for (;;) ::pause();
  });
  ::kill(supervisor, SIGKILL);
  EXPECT_TRUE(absl::IsUnavailable(waits.get()));
  EXPECT_TRUE(all_gone(workers));
}

TEST(SpawnedPool, TheApplicationsDeathLeavesNoProcess) {
  auto pids = Queue<pid_t>::create({.capacity = 8}).value();
  Child application([&] {
    Pool pool = spawn_pool(2).value();
    for (const pid_t each : workers_of(pool)) pids.push(each);
    pids.push(supervisor_of(pool));
    for (;;) ::pause();
  });
  std::vector<pid_t> found;
  while (found.size() < 3) {
    const auto pid = pids.try_pop_for(kPromptly);
    ASSERT_TRUE(pid.has_value());
    found.push_back(*pid);
  }
  application.kill();
  EXPECT_TRUE(all_gone(found));
}

// --- what cannot be --------------------------------------------------------------------------------------------------

TEST(SpawnedPool, AFunctionOfALibraryThatMainOpensFailsItsTask) {
  void* const late = ::dlsym(RTLD_DEFAULT, "late_function");
  ASSERT_NE(late, nullptr);
  const auto function = reinterpret_cast<int (*)(int)>(late);
  EXPECT_EQ(make_pool(1).apply(function, 1).value(), 2) << "the control: a fork has it";
  Pool pool = spawn_pool().value();
  const absl::Status status = pool.apply(function, 1).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("names no function here"));
  EXPECT_EQ(pool.apply(square, 3).value(), 9);
}

TEST(SpawnedPool, ManyAtOnceFromManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] { EXPECT_EQ(spawn_pool().value().apply(square, i).value(), i * i); });
  }
  for (std::thread& each : threads) each.join();
}

TEST(SpawnedPool, WithoutDescriptorsItIsAnErrorThatLeavesNothing) {
  for (rlim_t limit = 3; limit < 64; ++limit) {
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit few{.rlim_cur = limit, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    const absl::StatusOr<Pool> pool = spawn_pool();
    ::setrlimit(RLIMIT_NOFILE, &before);
    if (pool.ok()) return;
    EXPECT_FALSE(absl::IsInternal(pool.status())) << pool.status();
  }
  FAIL() << "it never began";
}

}  // namespace
}  // namespace warren::test
