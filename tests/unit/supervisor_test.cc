// Supervisor: a group of workers that keeps its size, reloads, drains, and leaves nobody behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/pool/process.h>
#include <warren/pool/supervisor.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "support/limits.h"
#include "support/pool_world.h"

namespace warren::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

enum : std::size_t { kBegun, kDrained, kFails };  // of marks->gates

void serve(Shutdown& shutdown) {
  ++marks->gates[kBegun];
  shutdown.wait();
  ++marks->gates[kDrained];
}
void serve_deaf(Shutdown&) {
  ++marks->gates[kBegun];
  for (;;) ::pause();
}
[[nodiscard]] bool await_gate(std::size_t gate, std::uint32_t number) {
  return eventually([&] { return marks->gates[gate] >= number; }, kPromptly);
}
std::set<pid_t> workers_of(const Supervisor& group) {
  const std::vector<pid_t> pids = group.workers();
  return {pids.begin(), pids.end()};
}
// As many as there are to be, and none of `before`.
std::set<pid_t> renewed(const Supervisor& group, std::size_t size, const std::set<pid_t>& before) {
  std::set<pid_t> now;
  EXPECT_TRUE(eventually(
      [&] {
        now = workers_of(group);
        return now.size() == size && std::ranges::none_of(now, [&](pid_t pid) { return before.contains(pid); });
      },
      kPromptly));
  return now;
}
void await_gone(const std::set<pid_t>& pids) { EXPECT_TRUE(all_gone({pids.begin(), pids.end()})); }

using SupervisorTest = WithMarks;

// --- the group keeps its size ----------------------------------------------------------------------------------------

TEST_F(SupervisorTest, StartsAsManyWorkersAsAskedFor) {
  const Supervisor group = Supervisor::start({.workers = 3, .name = "server"}, serve).value();
  EXPECT_TRUE(await_gate(kBegun, 3));
  EXPECT_THAT(group.workers(), SizeIs(3));
  EXPECT_EQ(group.restarts(), 0u);
  EXPECT_EQ(group.name(), "server");
  EXPECT_EQ(active_children().at(0).pid, group.pid());
  const std::vector<pid_t> children = children_of(group.pid());
  EXPECT_EQ(workers_of(group), std::set(children.begin(), children.end()));
}

TEST_F(SupervisorTest, ADeadWorkerIsReplacedAndTheOthersGoOn) {
  const Supervisor group = Supervisor::start({.workers = 3}, serve).value();
  ASSERT_TRUE(await_gate(kBegun, 3));
  const std::set<pid_t> before = workers_of(group);
  ::kill(*before.begin(), SIGKILL);
  ASSERT_TRUE(await_gate(kBegun, 4));
  const std::set<pid_t> after = workers_of(group);
  EXPECT_EQ(after.size(), 3u);
  EXPECT_FALSE(after.contains(*before.begin()));
  EXPECT_TRUE(after.contains(*before.rbegin()));
  EXPECT_EQ(group.restarts(), 1u);
}

TEST_F(SupervisorTest, AllMayDieAtOnceAndAgain) {
  const Supervisor group = Supervisor::start({.workers = 4, .restart_backoff = 1ms}, serve).value();
  std::set<pid_t> workers = workers_of(group);
  for (std::uint32_t round = 1; round <= 3; ++round) {
    for (const pid_t pid : workers) ::kill(pid, SIGKILL);
    workers = renewed(group, 4, workers);
    EXPECT_EQ(group.restarts(), 4 * round);
  }
}

TEST_F(SupervisorTest, AWorkerThatReturnsThrowsOrGetsASigtermIsReplaced) {
  testing::internal::CaptureStderr();
  {
    const Supervisor group =
        Supervisor::start({.workers = 1, .restart_backoff = 1ms}, [](Shutdown& shutdown) -> absl::Status {
          switch (++marks->gates[kBegun]) {
            case 1: return absl::OkStatus();
            case 2: return absl::NotFoundError("no file");
            case 3: throw std::runtime_error("no luck");
            default: shutdown.wait();
          }
          return absl::OkStatus();
        }).value();
    EXPECT_TRUE(await_gate(kBegun, 4));
    EXPECT_TRUE(eventually([&] { return group.workers().size() == 1; }, kPromptly));
    ::kill(group.workers().at(0), SIGTERM);
    EXPECT_TRUE(await_gate(kBegun, 5));
  }
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("no file"));
  EXPECT_THAT(told, HasSubstr("no luck"));
}

// 20, 40, 80 and 160 ms: who ends at once each time is not forked in a loop.
TEST_F(SupervisorTest, WhoEndsEarlyAgainAndAgainIsReplacedEverLater) {
  testing::internal::CaptureStderr();
  const Clock::time_point before = Clock::now();
  {
    const Supervisor group =
        Supervisor::start({.workers = 1, .name = "broken", .restart_backoff = 20ms}, [] { ++marks->count; }).value();
    EXPECT_TRUE(marks->await_count(5));
  }
  EXPECT_GE(Clock::now() - before, 300ms);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("broken warning: broken-0 ended with exit code 0; it is replaced in"));
}

// --- the end ---------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, StopDrains) {
  Supervisor group = Supervisor::start({.workers = 2}, serve).value();
  ASSERT_TRUE(await_gate(kBegun, 2));
  const std::set<pid_t> workers = workers_of(group);
  group.stop();
  EXPECT_EQ(marks->gates[kDrained], 2u);
  for (const pid_t pid : workers) EXPECT_EQ(process_state(pid), '?');
  EXPECT_THAT(group.workers(), IsEmpty());
  EXPECT_TRUE(absl::IsFailedPrecondition(group.reload()));
  group.stop();
}

TEST_F(SupervisorTest, TheDestructorAndAssignmentStop) {
  {
    Supervisor group = Supervisor::start({.workers = 1}, serve).value();
    ASSERT_TRUE(await_gate(kBegun, 1));
    group = Supervisor::start({.workers = 1}, serve).value();
    EXPECT_EQ(marks->gates[kDrained], 1u);
    ASSERT_TRUE(await_gate(kBegun, 2));
  }
  EXPECT_EQ(marks->gates[kDrained], 2u);
}

TEST_F(SupervisorTest, WhoTakesNoShutdownEndsAtOnce) {
  Supervisor group = Supervisor::start({.workers = 2, .grace = 3600s}, [] {
                       ++marks->gates[kBegun];
                       for (;;) ::pause();
                     }).value();
  ASSERT_TRUE(await_gate(kBegun, 2));
  group.stop();
}

TEST_F(SupervisorTest, WhoDoesNotHeedItIsKilledAfterTheGrace) {
  Supervisor group = Supervisor::start({.workers = 2, .grace = 100ms}, serve_deaf).value();
  ASSERT_TRUE(await_gate(kBegun, 2));
  const std::set<pid_t> workers = workers_of(group);
  ::kill(*workers.begin(), SIGSTOP);
  const Clock::time_point before = Clock::now();
  group.stop();
  EXPECT_GE(Clock::now() - before, 100ms);
  await_gone(workers);
}

TEST_F(SupervisorTest, TheSupervisorsDeathLeavesNobody) {
  Supervisor group = Supervisor::start({.workers = 3}, serve_deaf).value();
  ASSERT_TRUE(await_gate(kBegun, 3));
  const std::set<pid_t> workers = workers_of(group);
  ::kill(*workers.begin(), SIGSTOP);
  ::kill(group.pid(), SIGKILL);
  await_gone(workers);
  EXPECT_TRUE(absl::IsUnavailable(group.reload()));
  EXPECT_TRUE(absl::IsUnavailable(group.run_until_signal()));
  EXPECT_THAT(group.workers(), IsEmpty());
  group.stop();
}

TEST_F(SupervisorTest, AStoppedSupervisorEndsToo) {
  Supervisor group = Supervisor::start({.workers = 1, .grace = 1ms}, serve_deaf).value();
  ASSERT_TRUE(await_gate(kBegun, 1));
  const std::set<pid_t> workers = workers_of(group);
  ::kill(group.pid(), SIGSTOP);
  std::thread killer([&] {
    std::this_thread::sleep_for(50ms);  // stop() would do so after 5 s
    ::kill(group.pid(), SIGKILL);
  });
  group.stop();
  killer.join();
  await_gone(workers);
}

TEST_F(SupervisorTest, TheProgramsDeathDrains) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  Child program([] {
    const Supervisor group = Supervisor::start({.workers = 2}, serve).value();
    for (;;) ::pause();
  });
  EXPECT_TRUE(await_gate(kBegun, 2));
  program.kill();
  EXPECT_TRUE(await_gate(kDrained, 2));
  EXPECT_TRUE(eventually([] { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }, kPromptly));
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

// Else it would ask them for news again and again while the workers drain.
TEST_F(SupervisorTest, AfterTheProgramsDeathItLetsItsSocketsGo) {
  Child program([] {
    const Supervisor group = Supervisor::start({.workers = 1, .grace = 3600s}, serve_deaf).value();
    marks->count = static_cast<std::uint32_t>(group.pid());
    for (;;) ::pause();
  });
  EXPECT_TRUE(await_gate(kBegun, 1));
  EXPECT_TRUE(marks->await_count(1));
  const auto supervisor = static_cast<pid_t>(marks->count.load());
  const auto sockets = [supervisor] {
    return std::ranges::count_if(std::filesystem::directory_iterator("/proc/" + std::to_string(supervisor) + "/fd"),
                                 [](const auto& entry) {
                                   std::error_code gone;
                                   return std::filesystem::read_symlink(entry, gone).string().starts_with("socket:");
                                 });
  };
  const std::ptrdiff_t before = sockets();
  ::kill(supervisor, SIGHUP);  // reads signals until there are none: EAGAIN
  EXPECT_TRUE(await_gate(kBegun, 2));
  program.kill();
  EXPECT_TRUE(eventually([&] { return sockets() == before - 2; }, kPromptly));
  ::kill(supervisor, SIGKILL);
}

TEST_F(SupervisorTest, AStoppedSupervisorDoesNotAnswerAndGoesOnLater) {
  const Supervisor group = Supervisor::start({.workers = 2}, serve).value();
  ASSERT_THAT(group.workers(), SizeIs(2));
  ::kill(group.pid(), SIGSTOP);
  EXPECT_THAT(group.workers(), IsEmpty());
  ::kill(group.pid(), SIGCONT);
  EXPECT_THAT(group.workers(), SizeIs(2));
  EXPECT_EQ(group.restarts(), 0u);
}

TEST_F(SupervisorTest, AForkedCopyLeavesItAlone) {
  Supervisor group = Supervisor::start({.workers = 1}, serve).value();
  ASSERT_TRUE(await_gate(kBegun, 1));
  EXPECT_EQ(Child([&] {
              group.stop();
              const bool refused = absl::IsFailedPrecondition(group.reload());
              { const Supervisor copy = std::move(group); }
              return refused ? 0 : 1;
            })
                .join()
                .code,
            0);
  EXPECT_THAT(group.workers(), SizeIs(1));
  EXPECT_EQ(marks->gates[kDrained], 0u);
}

// --- reload ----------------------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, ReloadStartsTheNewOnesBeforeItDrainsTheOldOnes) {
  Supervisor group = Supervisor::start({.workers = 3}, [](Shutdown& shutdown) {
                       ++marks->gates[kBegun];
                       shutdown.wait();
                       if (children_of(::getppid()).size() < 4) ++marks->gates[kFails];  // it, and three new ones
                       ++marks->gates[kDrained];
                     }).value();
  ASSERT_TRUE(await_gate(kBegun, 3));
  std::set<pid_t> workers = workers_of(group);
  for (std::uint32_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(group.reload().ok());
    EXPECT_EQ(marks->gates[kDrained], 3 * round) << "it returns when they are gone";
    EXPECT_TRUE(await_gate(kBegun, 3 + 3 * round));
    await_gone(workers);
    workers = renewed(group, 3, workers);
  }
  EXPECT_EQ(marks->gates[kFails], 0u) << "told to end before all the new ones were there";
  EXPECT_EQ(group.restarts(), 0u) << "those are of the dead";
}

// What others tell, who take the place of dead old ones meanwhile, is not about the new ones.
TEST_F(SupervisorTest, AReloadWaitsForItsOwnWorkers) {
  enum : std::size_t { kHeld = kFails + 1, kGoOn };
  const auto hold = [] {
    // In what a worker's fork calls, so before it begins.
    ::pthread_atfork(nullptr, nullptr, [] {
      if (marks->gates[kHeld] == 0 || marks->gates[kHeld] > 2) return;
      ++marks->gates[kHeld];
      while (marks->gates[kGoOn] == 0) ::usleep(1000);
    });
  };
  EXPECT_EQ(Child([&] {
              hold();
              Supervisor group = Supervisor::start({.workers = 2, .restart_backoff = 1ms}, serve).value();
              if (!await_gate(kBegun, 2)) return 1;
              marks->gates[kHeld] = 1;
              absl::Status reloaded;
              std::thread reloader([&] { reloaded = group.reload(); });
              bool well = await_gate(kHeld, 3);
              for (const pid_t pid : group.workers()) ::kill(pid, SIGKILL);
              well = well && await_gate(kBegun, 4);
              std::this_thread::sleep_for(50ms);
              well = well && marks->gates[kDrained] == 0;
              marks->gates[kGoOn] = 1;
              reloader.join();
              return well && reloaded.ok() && marks->gates[kDrained] == 2 ? 0 : 2;
            })
                .join()
                .code,
            0);
}

TEST_F(SupervisorTest, AReloadWhoseWorkersEndAtOnceIsGivenUp) {
  testing::internal::CaptureStderr();
  {
    Supervisor group = Supervisor::start({.workers = 2, .grace = 50ms}, [](Shutdown& shutdown) {
                         if (marks->gates[kFails] != 0 && current_process().name == "worker-0") ::_exit(9);
                         // Nobody is told that this one has begun to run before the other has ended.
                         serve(shutdown);
                       }).value();
    ASSERT_TRUE(await_gate(kBegun, 2));
    const std::set<pid_t> workers = workers_of(group);
    marks->gates[kFails] = 1;
    for (int round = 0; round < 3; ++round) {
      const absl::Status status = group.reload();
      if (status.ok()) break;  // all had begun before one ended: the group is what it was asked to be
      EXPECT_TRUE(absl::IsAborted(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("a new worker ended with exit code 9"));
      EXPECT_EQ(workers_of(group), workers);
    }
    marks->gates[kFails] = 0;
  }
  (void)testing::internal::GetCapturedStderr();
}

TEST_F(SupervisorTest, ReloadsOfSeveralThreadsAndDeathsInTheMidst) {
  Supervisor group = Supervisor::start({.workers = 2, .restart_backoff = 1ms}, serve).value();
  std::atomic<bool> done{false};
  std::thread killer([&] {
    while (!done) {
      for (const pid_t pid : group.workers()) ::kill(pid, SIGKILL);
      std::this_thread::sleep_for(3ms);
    }
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const absl::Status status = group.reload();
        EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  killer.join();
  EXPECT_THAT(renewed(group, 2, {}), SizeIs(2));
}

TEST_F(SupervisorTest, StopEndsAReload) {
  Supervisor group = Supervisor::start({.workers = 1, .grace = 200ms}, serve_deaf).value();
  ASSERT_TRUE(await_gate(kBegun, 1));
  std::thread reloader([&] { EXPECT_TRUE(absl::IsFailedPrecondition(group.reload())); });
  ASSERT_TRUE(await_gate(kBegun, 2));
  group.stop();
  reloader.join();
}

// --- signals of the program ------------------------------------------------------------------------------------------

class SupervisorSignals : public WithMarks, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(, SupervisorSignals, testing::Values(SIGTERM, SIGINT));

TEST_P(SupervisorSignals, HangUpReloadsAndTermAndIntDrain) {
  sigset_t mask, before;
  sigfillset(&mask);
  ::pthread_sigmask(SIG_BLOCK, &mask, &before);  // so that no signal comes before run_until_signal()
  Child program([] {
    Supervisor group = Supervisor::start({.workers = 2}, serve).value();
    const absl::Status status = group.run_until_signal();
    struct sigaction action {};
    ::sigaction(SIGTERM, nullptr, &action);
    return status.ok() && action.sa_handler == SIG_DFL && group.workers().empty() ? 0 : 1;
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_TRUE(await_gate(kBegun, 2));
  program.signal(SIGHUP);
  EXPECT_TRUE(await_gate(kDrained, 2));
  EXPECT_TRUE(await_gate(kBegun, 4));
  program.signal(GetParam());
  EXPECT_TRUE(program.join().well());
  EXPECT_EQ(marks->gates[kDrained], 4u);
}

TEST_F(SupervisorTest, SignalsToTheSupervisorItself) {
  Supervisor group = Supervisor::start({.workers = 2}, serve).value();
  ASSERT_TRUE(await_gate(kBegun, 2));
  ::kill(group.pid(), SIGHUP);
  EXPECT_TRUE(await_gate(kDrained, 2));
  ::kill(group.pid(), SIGTERM);
  EXPECT_TRUE(group.run_until_signal().ok()) << "it was stopped, by somebody else";
  EXPECT_EQ(marks->gates[kDrained], 4u);
}

// --- what workers are given ------------------------------------------------------------------------------------------

TEST_F(SupervisorTest, TheShutdownIsReadable) {
  Supervisor group = Supervisor::start({.workers = 1}, [](Shutdown& shutdown) {
                       pollfd entry{.fd = shutdown.fileno(), .events = POLLIN, .revents = 0};
                       bool well = !shutdown.requested() && !shutdown.wait_for(1ms) && ::poll(&entry, 1, 0) == 0 &&
                                   wait({shutdown}, 1ms).empty();
                       ++marks->gates[kBegun];
                       while (::poll(&entry, 1, -1) < 0) continue;  // the signal interrupts it
                       well = well && ::poll(&entry, 1, 0) == 1 && shutdown.requested() && shutdown.wait_for(0s) &&
                              !wait({shutdown}, 1s).empty();
                       if (well) ++marks->gates[kDrained];
                     }).value();
  ASSERT_TRUE(await_gate(kBegun, 1));
  group.stop();
  EXPECT_EQ(marks->gates[kDrained], 1u);
}

TEST_F(SupervisorTest, ArgumentsAreAProcesssAndEachWorkerHasItsOwn) {
  auto names = Queue<std::string>::create().value();
  auto [mine, theirs] = Pipe::create().value();
  Supervisor group = Supervisor::start(
                         {.workers = 2, .name = "server"},
                         [](Shutdown& shutdown, Queue<std::string> to, std::string text, Connection from) {
                           to.push(current_process().name + text);
                           if (const auto number = from.recv<int>(); number.ok())
                             to.push("got " + std::to_string(*number));
                           shutdown.wait();
                         },
                         names, "!", std::move(theirs))
                         .value();
  std::set<std::string> got{names.try_pop_for(kPromptly).value(), names.try_pop_for(kPromptly).value()};
  EXPECT_THAT(got, ElementsAre("server-0!", "server-1!"));
  ASSERT_TRUE(mine.send(7).ok());
  EXPECT_EQ(names.try_pop_for(kPromptly), "got 7");
  mine.close();  // for the other one
  group.stop();
}

TEST_F(SupervisorTest, ObjectsWithRunAreWorkersToo) {
  struct Server {
    int number;
    void run() const {
      marks->count = static_cast<std::uint32_t>(number);
      for (;;) ::pause();
    }
  };
  const Supervisor group = Supervisor::start({.workers = 1}, Server{.number = 7}).value();
  EXPECT_TRUE(marks->await_count(7));
}

// --- errors ----------------------------------------------------------------------------------------------------------

// Started with so few descriptors it is an error, and nobody is left behind.
void expect_exhausted(rlim_t descriptors, std::uint32_t workers) {
  EXPECT_EQ(Child([=] {
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = descriptors;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              if (!absl::IsResourceExhausted(Supervisor::start({.workers = workers}, serve).status())) return 1;
              return ::waitpid(-1, nullptr, 0) == -1 ? 0 : 2;
            })
                .join()
                .code,
            0);
}

TEST_F(SupervisorTest, WhatCannotBeIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(Supervisor::start({.workers = 1025}, serve).status()));
  WARREN_NEEDS_NO_DESCRIPTORS();
  expect_exhausted(0, 1);
}

// Some descriptors are there, but not enough for all workers: those that were forked are gone again.
TEST_F(SupervisorTest, TooFewDescriptorsLeaveNobody) { expect_exhausted(40, 100); }

TEST_F(SupervisorTest, AMovedFromOneSaysSo) {
  Supervisor group = Supervisor::start({.workers = 1}, serve).value();
  const Supervisor moved = std::move(group);
  EXPECT_DEATH((void)group.workers(), "moved from");
}

}  // namespace
}  // namespace warren::test
