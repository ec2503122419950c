// Process: start, join, exit codes, names, daemons, handles as arguments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/pool/pool.h>
#include <warren/pool/process.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "support/child.h"
#include "support/limits.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/watch.h"

namespace warren::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kPatience = 10s;

struct Adder {
  int a, b;
  int run() const { return a + b; }
};

void wait_for_ever() {
  for (;;) ::pause();
}
void say(Queue<int> to, int what) { to.push(what); }

TEST(Process, TheTargetsIntIsTheExitCode) {
  EXPECT_EQ(Process::start([](int a, int b) { return a + b; }, 40, 2).value().join(), 42);
  EXPECT_EQ(Process::start([] {}).value().join(), 0);
  EXPECT_EQ(Process::start([] { return absl::OkStatus(); }).value().join(), 0);
  EXPECT_EQ(Process::start([] { return absl::StatusOr<int>(7); }).value().join(), 7);
  EXPECT_EQ(Process::start([] { return 256 + 3; }).value().join(), 3);
}

TEST(Process, AFailureIsOneAndIsTold) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Process::start({.name = "thrower"}, [] { throw std::runtime_error("no luck"); }).value().join(), 1);
  EXPECT_EQ(Process::start([] { return absl::NotFoundError("no file"); }).value().join(), 1);
  EXPECT_EQ(Process::start([] { throw 5; }).value().join(), 1);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("thrower"));
  EXPECT_THAT(told, HasSubstr("std::runtime_error"));
  EXPECT_THAT(told, HasSubstr("no luck"));
  EXPECT_THAT(told, HasSubstr("no file"));
}

TEST(Process, AnObjectWithRunStandsForASubclass) {
  EXPECT_EQ(Process::start(Adder{.a = 1, .b = 2}).value().join(), 3);
  EXPECT_EQ(Process::start({.name = "adder"}, Adder{.a = 2, .b = 2}).value().join(), 4);
}

TEST(Process, ASignalIsTheExitCodeNegated) {
  Process p = Process::start(wait_for_ever).value();
  EXPECT_TRUE(p.is_alive());
  EXPECT_EQ(p.exit_code(), std::nullopt);
  EXPECT_EQ(p.join_for(1ms), std::nullopt);
  p.kill();
  EXPECT_EQ(p.join(), -SIGKILL);
  EXPECT_EQ(p.join(), -SIGKILL) << "it may be asked again";
  EXPECT_EQ(p.join_for(0s), -SIGKILL);
  EXPECT_EQ(p.exit_code(), -SIGKILL);
  EXPECT_FALSE(p.is_alive());
  p.terminate();  // nothing: it has ended

  Process q = Process::start(wait_for_ever).value();
  q.terminate();
  EXPECT_EQ(q.join(), -SIGTERM);
}

TEST(Process, AStoppedOneIsAlive) {
  Process p = Process::start(wait_for_ever).value();
  p.send_signal(SIGSTOP);
  EXPECT_EQ(p.join_for(20ms), std::nullopt);
  EXPECT_TRUE(p.is_alive());
  p.kill();
  EXPECT_EQ(p.join(), -SIGKILL);
}

TEST(Process, HandlesAreArgumentsToo) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  Process a = Process::start(say, queue, 1).value();
  Process b = Process::start([](Queue<int>& q) { q.push(2); }, queue).value();
  Process c = Process::start([](const std::vector<Queue<int>>& qs) { Queue<int>(qs.at(0)).push(3); },
                             std::vector<Queue<int>>{queue})
                  .value();
  EXPECT_EQ(a.join() + b.join() + c.join(), 0);
  std::vector<int> got;
  while (auto i = queue.try_pop()) got.push_back(*i);
  EXPECT_THAT(got, testing::UnorderedElementsAre(1, 2, 3));
}

TEST(Process, TextArgumentsBecomeStrings) {
  const auto length = [](const std::string& a, std::string b) { return static_cast<int>(a.size() + b.size()); };
  EXPECT_EQ(Process::start(length, "four", std::string_view("three")).value().join(), 9);
}

TEST(Process, ItsDestructorJoins) {
  auto queue = Queue<int>::create({.capacity = 1}).value();
  pid_t pid = 0;
  {
    const Process p = Process::start([](Queue<int> q) { (void)q.pop(); }, queue).value();
    pid = p.pid();
    queue.push(1);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Process, ADaemonIsTerminatedByTheDestructor) {
  pid_t pid = 0;
  {
    const Process p = Process::start({.daemon = true}, wait_for_ever).value();
    EXPECT_TRUE(p.daemon());
    pid = p.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Process, AssigningEndsTheOneThatWasThere) {
  Process p = Process::start({.daemon = true}, wait_for_ever).value();
  const pid_t first = p.pid();
  p = Process::start([] { return 5; }).value();
  EXPECT_EQ(::kill(first, 0), -1);
  EXPECT_EQ(p.join(), 5);
}

// Its parent dies in a way that runs nothing.
TEST(Process, ADaemonEndsWithItsParentHoweverThatEnds) {
  auto pids = Queue<int>::create({.capacity = 2}).value();
  Child parent([&] {
    std::thread([&] {  // whose end is not its process's
      auto p = Process::start(
          {.daemon = true}, [](Queue<int> q) { q.push(::getpid()), wait_for_ever(); }, pids);
      p->detach();
    })
        .join();
    wait_for_ever();
    return 0;
  });
  const int pid = pids.try_pop_for(kPatience).value();
  EXPECT_EQ(::kill(pid, 0), 0);
  parent.kill();
  EXPECT_TRUE(eventually(
      [&] { return ::kill(pid, 0) != 0 || !std::filesystem::exists("/proc/" + std::to_string(pid)); }, kPatience));
}

TEST(Process, ADetachedOneIsJoinedWhenTheProgramExits) {
  WARREN_EXITS_PAST_OBJECTS();
  auto queue = Queue<int>::create({.capacity = 2}).value();
  Child program([&]() -> int {
    Process::start([](Queue<int> q) { std::this_thread::sleep_for(50ms), q.push(1); }, queue)->detach();
    std::exit(0);
  });
  EXPECT_EQ(program.join().code, 0);
  EXPECT_EQ(queue.try_pop(), 1) << "the program was gone before its process";
}

TEST(Process, ExitTerminatesDaemonsAndJoinsTheOthers) {
  WARREN_EXITS_PAST_OBJECTS();
  auto queue = Queue<int>::create({.capacity = 2}).value();
  Child program([&]() -> int {
    auto daemon = Process::start({.daemon = true}, wait_for_ever);
    auto worker = Process::start([](Queue<int> q) { std::this_thread::sleep_for(50ms), q.push(1); }, queue);
    std::exit(0);  // no destructor runs
  });
  EXPECT_EQ(program.join().code, 0);
  EXPECT_EQ(queue.try_pop(), 1);
}

TEST(Process, NamesAreToldInsideAndOutside) {
  auto names = Queue<std::array<char, 32>>::create({.capacity = 4}).value();
  const auto tell = [](Queue<std::array<char, 32>> q) {
    std::array<char, 32> text{};
    current_process().name.copy(text.data(), text.size() - 1);
    q.push(text);
    return current_process().pid == ::getpid() && !current_process().daemon ? 0 : 1;
  };
  Process named = Process::start({.name = "consumer"}, tell, names).value();
  EXPECT_EQ(named.name(), "consumer");
  EXPECT_EQ(named.join(), 0);
  EXPECT_STREQ(names.try_pop()->data(), "consumer");
  Process unnamed = Process::start(tell, names).value();
  EXPECT_THAT(std::string(unnamed.name()), testing::StartsWith("Process-"));
  EXPECT_EQ(unnamed.join(), 0);
  EXPECT_EQ(current_process().name, "MainProcess");
  auto pool = Pool::create({.workers = 1}).value();
  EXPECT_EQ(pool.apply([] { return current_process().name; }).value(), "warren-worker-0");
}

TEST(Process, ActiveChildrenAreThoseThatHaveNotEnded) {
  Process p = Process::start({.name = "a"}, wait_for_ever).value();
  Process q = Process::start({.name = "b", .daemon = true}, wait_for_ever).value();
  const auto names = [] {
    std::vector<std::string> found;
    for (const ProcessInfo& each : active_children()) found.push_back(each.name + (each.daemon ? "!" : ""));
    return found;
  };
  EXPECT_THAT(names(), ElementsAre("a", "b!"));
  EXPECT_THAT(Child([&] { return static_cast<int>(active_children().size()); }).join().code, 0) << "of this process";
  p.kill();
  p.join();
  EXPECT_THAT(names(), ElementsAre("b!"));
}

TEST(Process, TheSentinelIsReadableAtTheEnd) {
  Process p = Process::start(wait_for_ever).value();
  const Sentinel sentinel = p.sentinel();
  pollfd entry{.fd = sentinel.fileno(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  p.kill();
  EXPECT_EQ(::poll(&entry, 1, -1), 1);
  p.join();
  EXPECT_EQ(::poll(&entry, 1, 0), 1) << "and stays so";
}

TEST(Process, WhoHasWaitedForItHimselfGets255) {
  Process p = Process::start([] { return 3; }).value();
  EXPECT_EQ(::waitpid(p.pid(), nullptr, 0), p.pid());
  EXPECT_EQ(p.join(), 255);
}

TEST(Process, ItsOutputIsWrittenOnce) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("warren_output_" + std::to_string(::getpid()));
  EXPECT_EQ(Child([&] {
              if (std::freopen(file.c_str(), "w", stdout) == nullptr) return 1;
              std::fputs("before\n", stdout);  // in the buffer at the fork
              return Process::start([] { std::puts("inside"); }).value().join();
            })
                .join()
                .code,
            0);
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(file);
  EXPECT_EQ(text, "before\ninside\n");
}

TEST(Process, AChildOfItsOwnIsAllowed) {
  EXPECT_EQ(Process::start([] { return Process::start([] { return 21; }).value().join() * 2; }).value().join(), 42);
}

// The copy that a forked child has of a handle to its sibling.
TEST(Process, WhoReturnsFromItsTargetIsNotTakenForKilled) {
  const auto meet_once = [](Barrier b) { return b.arrive_and_wait().status(); };
  for (const bool daemon : {false, true}) {
    auto barrier = Barrier::create(2).value();
    Process a = Process::start({.daemon = daemon}, meet_once, barrier).value();
    Process b = Process::start({.daemon = daemon}, meet_once, barrier).value();
    EXPECT_EQ(a.join() + b.join(), 0);
    const absl::Status alone = barrier.arrive_and_wait_for(500ms).status();  // long enough to look for the dead
    EXPECT_THAT(std::string(alone.message()), HasSubstr("waited no longer"));
  }
}

TEST(Process, ItHoldsTheEndsOfPipesThatItWasPassedAndNoOthers) {
  auto [mine, theirs] = Pipe::create().value();
  auto [other, others] = Pipe::create().value();
  const auto echo = [](Connection c) {
    for (;;) {
      const absl::StatusOr<int> number = c.recv<int>();
      if (!number.ok()) return absl::IsOutOfRange(number.status()) ? 0 : 1;
      if (!c.send(*number + 1).ok()) return 2;
    }
  };
  Process p = Process::start(echo, std::move(theirs)).value();
  ASSERT_TRUE(mine.send(1).ok());
  EXPECT_EQ(mine.recv<int>().value(), 2);
  others.close();
  EXPECT_TRUE(absl::IsOutOfRange(other.recv<int>().status())) << "the process holds an end that was not passed";
  mine.close();
  EXPECT_EQ(p.join(), 0);
}

TEST(Process, EndsOfPipesInsideOtherArgumentsArePassedToo) {
  auto [mine, theirs] = Pipe::create().value();
  std::vector<Connection> several;
  several.push_back(std::move(theirs));
  Process p = Process::start([](std::vector<Connection> cs, std::optional<Queue<int>>) { return cs.at(0).send(7); },
                             std::move(several), std::optional<Queue<int>>())
                  .value();
  EXPECT_EQ(mine.recv<int>().value(), 7);
  EXPECT_EQ(p.join(), 0);
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status()));
}

TEST(Process, SentinelsAndPipesAreAwaitedTogether) {
  auto [mine, theirs] = Pipe::create().value();
  Process p = Process::start([](Connection c) { (void)c.recv<int>(); }, std::move(theirs)).value();
  EXPECT_THAT(wait({mine, p.sentinel()}, 10ms), testing::IsEmpty());
  ASSERT_TRUE(mine.send(1).ok());
  while (!wait({p.sentinel()}, 10s).empty() && p.is_alive()) {
  }
  EXPECT_THAT(wait({mine, p.sentinel()}, 10s), ElementsAre(0, 1));
}

TEST(Process, AForkedCopyLeavesItAlone) {
  Process p = Process::start({.daemon = true}, wait_for_ever).value();
  EXPECT_EQ(Child([&] {
              { const Process copy = std::move(p); }
              return 0;
            })
                .join()
                .code,
            0);
  EXPECT_TRUE(p.is_alive());
}

TEST(Process, SignalsAreTheDefaultOnesInside) {
  struct sigaction before {};
  struct sigaction handler {};
  handler.sa_handler = [](int) {};
  ::sigaction(SIGTERM, &handler, &before);
  sigset_t mask, old;
  sigfillset(&mask);
  ::pthread_sigmask(SIG_BLOCK, &mask, &old);
  Process p = Process::start(wait_for_ever).value();
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::sigaction(SIGTERM, &before, nullptr);
  p.terminate();
  EXPECT_EQ(p.join(), -SIGTERM);
}

TEST(Process, ThreadsMayJoinAtOnce) {
  Process p = Process::start([] { return 9; }).value();
  std::atomic<int> sum{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { sum += p.join(); });
  }
  EXPECT_EQ(sum, 36);
}

TEST(Process, NoDescriptorLeftIsAnErrorAndLeavesNobody) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  EXPECT_EQ(Child([&] {
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 0;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              const auto p = Process::start(wait_for_ever);
              if (p.ok() || p.status().code() != absl::StatusCode::kResourceExhausted) return 1;
              return ::waitpid(-1, nullptr, 0) == -1 ? 0 : 2;
            })
                .join()
                .code,
            0);
}

TEST(Process, AHundredLeaveNothing) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Process::start([] { return 1; }).value().join(), 1);
}

TEST(Process, AMovedFromOneSaysSo) {
  Process p = Process::start([] {}).value();
  const Process moved = std::move(p);
  EXPECT_DEATH(p.join(), "moved from, or detached");
}

TEST(CpuCount, IsAtLeastOne) { EXPECT_GE(cpu_count(), 1u); }

}  // namespace
}  // namespace warren::test
