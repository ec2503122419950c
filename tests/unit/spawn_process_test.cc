// Process, spawned.
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/pool/log.h>
#include <warren/pool/process.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
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

namespace warren {
namespace test {
namespace {
struct Deadly {};
}  // namespace
}  // namespace test

template <>
struct Codec<test::Deadly> {
  static void encode(Writer& w, const test::Deadly&) { w.put(0); }
  static absl::StatusOr<test::Deadly> decode(Reader&) { std::abort(); }
};
}  // namespace warren

namespace warren::test {
namespace {

using testing::HasSubstr;

struct Adder {
  int a, b;
  int run() const { return a + b; }
};
int sum(int a, int b) { return a + b; }
void wait_for_ever() {
  for (;;) ::pause();
}

TEST(SpawnedProcess, RunsWhateverATargetMayBe) {
  EXPECT_EQ(Process::start(kSpawned(), sum, 40, 2).value().join(), 42);
  EXPECT_EQ(Process::start(
                kSpawned(), [k = 3](int x) { return k * x; }, 5)
                .value()
                .join(),
            15);
  EXPECT_EQ(Process::start(kSpawned(), Adder{.a = 1, .b = 2}).value().join(), 3);
  EXPECT_EQ(Process::start(kSpawned(), fn<sum>, 1, 1).value().join(), 2);
  EXPECT_EQ(Process::start(kSpawned(), bind_front(sum, 4), 1).value().join(), 5);
  const auto length = [](const std::string& a, const std::vector<std::string>& b) {
    return static_cast<int>(a.size() + b.size());
  };
  EXPECT_EQ(Process::start(kSpawned(), length, "four", std::vector<std::string>(3)).value().join(), 7);
}

TEST(SpawnedProcess, IsTheProgramAsItBegins) {
  EXPECT_EQ(made_by_main, 5);
  EXPECT_EQ(Process::start(kSpawned(), [] { return made_by_main; }).value().join(), 0);
  EXPECT_EQ(Process::start([] { return made_by_main; }).value().join(), 5) << "the control: a fork has it";
}

TEST(SpawnedProcess, AFailureIsOneAndIsTold) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Process::start(kSpawned("thrower"), [] { throw std::runtime_error("no luck"); }).value().join(), 1);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("thrower"));
  EXPECT_THAT(told, HasSubstr("no luck"));
}

TEST(SpawnedProcess, HasItsNameAndItsHandles) {
  auto names = Queue<std::string>::create({.capacity = 4}).value();
  auto ends = Queue<int>::create({.capacity = 1}).value();
  const auto tell = [](Queue<std::string> q, Queue<int> end) {
    q.push(current_process().name);
    (void)end.pop();
  };
  Process p = Process::start(kSpawned("consumer"), tell, names, ends).value();
  EXPECT_EQ(p.name(), "consumer");
  EXPECT_EQ(active_children().size(), 1u);
  EXPECT_EQ(names.pop(), "consumer");
  ends.push(1);
  EXPECT_EQ(p.join(), 0);
}

TEST(SpawnedProcess, HasTheLevelOfTheLog) {
  const LogLevel before = log_level();
  set_log_level(LogLevel::kError);
  EXPECT_EQ(Process::start(kSpawned(), [] { return log_level() == LogLevel::kError ? 0 : 1; }).value().join(), 0);
  set_log_level(before);
}

TEST(SpawnedProcess, ASignalEndsIt) {
  Process p = Process::start(kSpawned(), wait_for_ever).value();
  EXPECT_TRUE(p.is_alive());
  p.terminate();
  EXPECT_EQ(p.join(), -SIGTERM);
  Process q = Process::start(kSpawned(), wait_for_ever).value();
  q.send_signal(SIGINT);
  EXPECT_EQ(q.join(), -SIGINT);
}

// Whatever is open on the way: ends of pipes that it was not passed it does not hold.
TEST(SpawnedProcess, HoldsTheConnectionsThatItIsPassedAndNoOthers) {
  const auto echo = [](Connection c) {
    for (;;) {
      const auto text = c.recv<std::string>();
      if (!text.ok()) return absl::IsOutOfRange(text.status()) ? 0 : 1;
      if (!c.send(*text + "!").ok()) return 2;
    }
  };
  auto [mine, theirs] = Pipe::create().value();
  auto [held, given] = Pipe::create().value();
  Process p = Process::start(kSpawned(), echo, std::move(theirs)).value();
  ASSERT_TRUE(mine.send(std::string("hello")).ok());
  EXPECT_EQ(mine.recv<std::string>().value(), "hello!");
  const std::string large(1 << 20, 'x');  // many times the pipe
  std::thread sender([&] { EXPECT_TRUE(mine.send(large).ok()); });
  EXPECT_EQ(mine.recv<std::string>().value().size(), large.size() + 1);
  sender.join();
  given.close();
  EXPECT_TRUE(absl::IsOutOfRange(held.recv<int>().status())) << "the spawned process held an end";
  mine.close();
  EXPECT_EQ(p.join(), 0);
}

TEST(SpawnedProcess, TheEndOfItsStreamIsItsEnd) {
  auto [mine, theirs] = Pipe::create().value();
  Process p = Process::start(
                  kSpawned(), [](Connection c) { (void)c.send(1), wait_for_ever(); }, std::move(theirs))
                  .value();
  EXPECT_EQ(mine.recv<int>().value(), 1);
  p.kill();
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status()));
  EXPECT_EQ(p.join(), -SIGKILL);
}

TEST(SpawnedProcess, TakesEndsAndDescriptorsInVectorsTuplesAndOptionals) {
  auto [receives, sends] = Pipe::create({.duplex = false}).value();
  auto [left, right] = Pipe::create().value();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  std::vector<Connection> both;
  both.push_back(std::move(left));
  both.push_back(std::move(right));
  const auto target = [](std::vector<Connection> ends, std::tuple<std::optional<Connection>, int> sender,
                         std::optional<Descriptor> file, std::optional<Connection> none, Connection closed) {
    if (!ends.at(0).send(std::string("within")).ok()) return 1;
    if (ends.at(1).recv<std::string>().value_or("") != "within") return 2;
    if (!std::get<0>(sender)->send(std::get<1>(sender)).ok()) return 3;
    if (none || closed.send(1).ok()) return 4;
    return ::write(file->fileno(), "text", 4) == 4 ? 0 : 5;
  };
  Connection closed = sends.share();
  closed.close();
  Process p =
      Process::start(kSpawned(), target, std::move(both), std::tuple(std::optional(std::move(sends)), 77),
                     std::optional(Descriptor::dup(pipe[1]).value()), std::optional<Connection>(), std::move(closed))
          .value();
  EXPECT_EQ(p.join(), 0);
  EXPECT_EQ(receives.recv<int>().value(), 77);
  EXPECT_TRUE(absl::IsOutOfRange(receives.recv<int>().status()));
  std::array<char, 8> text{};
  EXPECT_EQ(::read(pipe[0], text.data(), text.size()), 4);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

// Of the helpers that carry the start nothing is left, neither here nor there.
TEST(SpawnedProcess, SeesNothingOfHowItWasStarted) {
  const std::set<std::string> own = Census::now().descriptors;
  auto seen = Queue<std::string>::create({.capacity = 32}).value();
  const auto look = [](Queue<std::string> to) {
    for (const std::string& each : Census::now().descriptors) to.push(each);
    for (char** each = environ; *each != nullptr; ++each) {
      if (std::string(*each).find("WARREN_START") != std::string::npos) to.push(*each);
    }
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    for (int signal = 1; signal < NSIG; ++signal) {
      if (sigismember(&blocked, signal) == 1) to.push("blocked: " + std::to_string(signal));
    }
    to.push("end");
  };
  Process p = Process::start(kSpawned(), look, seen).value();
  for (auto each = seen.try_pop_for(kPromptly); each != "end"; each = seen.try_pop_for(kPromptly)) {
    ASSERT_TRUE(each.has_value());
    if (own.contains(*each)) continue;  // a standard stream may be a socket
    EXPECT_THAT(*each, testing::Not(testing::AnyOf(HasSubstr("WARREN_START"), HasSubstr("warren-start"),
                                                   HasSubstr("blocked"), HasSubstr("socket:"), HasSubstr("pidfd"))));
  }
  EXPECT_EQ(p.join(), 0);
}

TEST(SpawnedProcess, WhatIsMoreThanAFilesLimitIsAnError) {
  Child limited([] {
    const rlimit small{.rlim_cur = 4096, .rlim_max = 4096};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto length = [](const std::string& text) { return static_cast<int>(text.size()); };
    EXPECT_EQ(Process::start(kSpawned(), length, "four").value().join(), 4);
    const absl::Status status = Process::start(kSpawned(), length, std::string(5000, 'x')).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("ulimit -f"));
  });
  EXPECT_TRUE(limited.join().well());
}

TEST(SpawnedProcess, ADescriptorBeyondTheLimitIsAnError) {
  Child limited([] {
    const int high = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 500);
    ASSERT_GE(high, 500);
    const rlimit few{.rlim_cur = 400, .rlim_max = 400};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const absl::Status status =
        Pool::create({.workers = 1, .start_method = StartMethod::kSpawn, .keep_fds = std::vector{high}}).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("RLIMIT_NOFILE"));
    EXPECT_EQ(spawn_pool().value().apply(sum, 1, 2).value(), 3);
  });
  EXPECT_TRUE(limited.join().well());
}

// The kernel gives the lowest number that is free.
TEST(SpawnedProcess, ClosedStandardStreamsStayNobodys) {
  Child daemon([] {
    for (const int fd : {0, 1, 2}) ::close(fd);
    auto [mine, theirs] = Pipe::create().value();
    const auto tell = [](Connection to) {
      const auto text = to.recv<std::string>();
      return text.ok() && to.send(*text + "!").ok() && Descriptor::dup(to.fileno())->fileno() > 2 ? 0 : 1;
    };
    Process p = Process::start(kSpawned(), tell, std::move(theirs)).value();
    EXPECT_TRUE(mine.send(std::string("hello")).ok());
    EXPECT_EQ(mine.recv<std::string>().value(), "hello!");
    EXPECT_EQ(p.join(), 0);
    EXPECT_EQ(spawn_pool().value().apply(sum, 1, 2).value(), 3);
  });
  EXPECT_TRUE(daemon.join().well());
}

TEST(SpawnedProcess, OneThatItsArgumentsEndIsToldSo) {
  const absl::Status status = Process::start(
                                  kSpawned(), [](const Deadly&) {}, Deadly())
                                  .status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("signal 6"), testing::Not(HasSubstr("Remedy: call warren::enter"))));
}

// Its parent dies in a way that runs nothing.
TEST(SpawnedProcess, ADaemonEndsWithItsParentHoweverThatEnds) {
  auto pids = Queue<int>::create({.capacity = 2}).value();
  Child parent([&] {
    auto p = Process::start(
        {.daemon = true, .start_method = StartMethod::kSpawn},
        [](Queue<int> q) { q.push(::getpid()), wait_for_ever(); }, pids);
    p->detach();
    wait_for_ever();
    return 0;
  });
  const int pid = pids.try_pop_for(kPromptly).value();
  EXPECT_FALSE(gone(pid));
  parent.kill();
  EXPECT_TRUE(all_gone({pid}));
}

TEST(SpawnedProcess, SpawnsAndForksOthers) {
  const auto nested = [] {
    const int spawned = Process::start(kSpawned(), sum, 1, 2).value().join();
    const int forked = Process::start(sum, 3, 4).value().join();
    return spawned + forked + spawn_pool().value().apply(sum, 5, 6).value();
  };
  EXPECT_EQ(Process::start(kSpawned(), nested).value().join(), 21);
}

struct Own : Handle {};

TEST(SpawnedProcess, AHandleThatCannotTravelIsRefused) {
  EXPECT_EQ(Process::start([](const Own&) { return 2; }, Own()).value().join(), 2) << "the control: a fork copies it";
  EXPECT_TRUE(absl::IsInvalidArgument(Process::start(
                                          kSpawned(), [](const Own&) { return 2; }, Own())
                                          .status()));
}

TEST(SpawnedProcess, AFunctionThatItDoesNotHaveIsToldAsTheStartsError) {
  void* const late = ::dlsym(RTLD_DEFAULT, "late_function");
  ASSERT_NE(late, nullptr) << "main() opens the library behind enter()";
  const auto function = reinterpret_cast<int (*)(int)>(late);
  EXPECT_EQ(Process::start(function, 1).value().join(), 2) << "the control: a fork has it";
  const absl::Status status = Process::start(kSpawned(), function, 1).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("names no function here"));
}

}  // namespace
}  // namespace warren::test
