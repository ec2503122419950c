// Pipe between processes: end of stream by death, who holds what after a fork, threads that share an end, signals.
#include <warren/ipc/pipe.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>
#include <warren/ipc/detail/connections.h>

#include <atomic>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/isolation.h"
#include "support/pipe_view.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::pattern;
using test::PipeView;
using test::sleeps_in_poll;

// A child that holds `theirs` and nothing else; this process holds it no more.
template <class Run>
Child child_with(Connection& theirs, Run run) {
  Child child([&]() -> int {
    const Connection* const passed[] = {&theirs};
    detail::keep_connections(passed);
    return run(theirs);
  });
  theirs.close();
  return child;
}

int echo(Connection& c) {
  for (;;) {
    const absl::StatusOr<std::string> text = c.recv<std::string>();
    if (!text.ok()) return absl::IsOutOfRange(text.status()) ? 0 : 1;
    if (!c.send(*text).ok()) return 2;
  }
}

TEST(PipeProcessTest, AConversationUntilThisSideCloses) {
  auto [mine, theirs] = Pipe::create().value();
  Child child = child_with(theirs, echo);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(mine.send(std::to_string(i)).ok());
    ASSERT_EQ(mine.recv<std::string>().value(), std::to_string(i));
  }
  ASSERT_TRUE(mine.send(std::string(300'000, 'l')).ok()) << "larger than the pipe, both ways";
  EXPECT_EQ(mine.recv<std::string>().value().size(), 300'000u);
  mine.close();
  EXPECT_TRUE(child.join().well());
}

TEST(PipeProcessTest, ASleepingReceiverIsWoken) {
  auto [mine, theirs] = Pipe::create().value();
  Child child = child_with(theirs, [](Connection& c) { return c.recv<int>().value() + c.recv<int>().value(); });
  ASSERT_TRUE(sleeps_in_poll(child.pid()));
  ASSERT_TRUE(mine.send(3).ok());
  ASSERT_TRUE(sleeps_in_poll(child.pid()));
  ASSERT_TRUE(mine.send(4).ok());
  EXPECT_EQ(child.join().code, 7);
}

TEST(PipeProcessTest, AKilledPeerIsTheEndOfTheStreamAtOnce) {
  auto [mine, theirs] = Pipe::create().value();
  Gate sent;
  Child child = child_with(theirs, [&](Connection& c) {
    (void)c.send(1);
    sent.open();
    for (;;) ::pause();
    return 0;
  });
  sent.wait();
  std::optional<absl::Status> end;
  std::atomic<pid_t> tid{0};
  EXPECT_EQ(mine.recv<int>().value(), 1);
  std::thread receiver([&, &mine = mine] {
    tid = ::gettid();
    end = mine.recv<int>().status();
  });
  while (tid == 0) std::this_thread::yield();
  ASSERT_TRUE(sleeps_in_poll(tid));
  (void)child.kill();
  receiver.join();
  EXPECT_TRUE(absl::IsOutOfRange(*end));
  EXPECT_TRUE(absl::IsUnavailable(mine.send(1)));
}

TEST(PipeProcessTest, WhatTheDeadHadSentIsRead) {
  auto [mine, theirs] = Pipe::create().value();
  Child child = child_with(theirs, [](Connection& c) {
    for (int i = 0; i < 5; ++i) (void)c.send(i);
    ::raise(SIGKILL);
    return 0;
  });
  (void)child.join();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(mine.recv<int>().value(), i);
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status()));
}

TEST(PipeProcessTest, ABlockedSenderLearnsOfTheReadersDeath) {
  auto [mine, theirs] = Pipe::create({.capacity = 64}).value();
  Child child = child_with(theirs, [](Connection&) -> int {
    for (;;) ::pause();
  });
  std::thread killer([&] {
    while (PipeView::to(mine, 1).room.load() == 0) std::this_thread::yield();  // it waits for room
    (void)child.kill();
  });
  absl::Status status;
  while (status.ok()) status = mine.send(1);
  EXPECT_TRUE(absl::IsUnavailable(status));
  killer.join();
}

TEST(PipeProcessTest, AStoppedPeerIsNotDead) {
  auto [mine, theirs] = Pipe::create().value();
  Child child = child_with(theirs, echo);
  ASSERT_TRUE(sleeps_in_poll(child.pid()));
  child.stop();
  ASSERT_TRUE(mine.send("still there?").ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(mine.recv_for<std::string>(100ms).status()));
  child.go_on();
  EXPECT_EQ(mine.recv<std::string>().value(), "still there?");
}

TEST(PipeProcessTest, AChildByForkHoldsWhatItsParentHeld) {
  auto [mine, theirs] = Pipe::create().value();
  Gate done;
  Child child([&] { done.wait(); });
  theirs.close();
  EXPECT_FALSE(mine.poll(20ms)) << "the child holds it yet";
  done.open();
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status()));
}

TEST(PipeProcessTest, WhatWasNotPassedIsLetGoOf) {
  auto [mine, theirs] = Pipe::create().value();
  auto [other, others] = Pipe::create().value();
  (void)other.fileno();
  Gate done;
  Child child = child_with(theirs, [&, &other = other](Connection& c) {
    if (!absl::IsFailedPrecondition(other.send(1)) || other.fileno() != -1 || !other.poll()) return 1;
    other.close();
    done.wait();
    return c.send(5).ok() ? 0 : 2;
  });
  other.close();
  EXPECT_TRUE(absl::IsOutOfRange(others.recv<int>().status())) << "the child does not hold it";
  done.open();
  EXPECT_EQ(mine.recv<int>().value(), 5);
  EXPECT_TRUE(child.join().well());
}

TEST(PipeProcessTest, OtherHoldersOfADeadProcessesEndGoOn) {
  auto [mine, theirs] = Pipe::create().value();
  Connection held = theirs.share();
  Child child = child_with(theirs, [](Connection& c) {
    (void)c.send(1);
    ::raise(SIGKILL);
    return 0;
  });
  (void)child.join();
  EXPECT_EQ(mine.recv<int>().value(), 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(mine.recv_for<int>(10ms).status()));
  ASSERT_TRUE(held.send(2).ok());
  EXPECT_EQ(mine.recv<int>().value(), 2);
  ASSERT_TRUE(mine.send(3).ok());
  EXPECT_EQ(held.recv<int>().value(), 3);
}

TEST(PipeProcessTest, AForkInTheMidstOfAnotherThreadsMessage) {
  auto [mine, theirs] = Pipe::create({.capacity = 64}).value();
  const auto large = pattern(5'000, 1);
  std::thread sender([&, &mine = mine] { EXPECT_TRUE(mine.send_bytes(large).ok()); });
  while (PipeView::to(mine, 1).tail.load() == 0) std::this_thread::yield();
  Child child([&, &mine = mine] { return mine.send(std::string(200, 'c')).ok() ? 0 : 1; });  // after the parent's
  EXPECT_TRUE(theirs.recv_bytes().value() == large);
  EXPECT_EQ(theirs.recv<std::string>().value(), std::string(200, 'c'));
  sender.join();
  EXPECT_TRUE(child.join().well());
}

TEST(PipeProcessTest, ManyShareBothEnds) {
  constexpr int kProcesses = 2, kThreads = 2, kEach = 3000;
  auto [in, out] = Pipe::create({.duplex = false, .capacity = 1024}).value();
  test::Shared<std::atomic<long>> sum{0L};
  std::vector<Child> children;
  for (int p = 0; p < kProcesses; ++p) {
    children.emplace_back([&, &in = in, &out = out]() -> int {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([connection = out.share()]() mutable {
          for (int i = 1; i <= kEach; ++i) {
            if (!connection.send(i).ok()) ::abort();
          }
        });
        threads.emplace_back([&, connection = in.share()]() mutable {
          for (int i = 1; i <= kEach; ++i) *sum += connection.recv<int>().value();
        });
      }
      for (std::thread& thread : threads) thread.join();
      return 0;
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(*sum, 1L * kProcesses * kThreads * kEach * (kEach + 1) / 2);
}

// A storm of signals: calls go on, and time limits hold.
TEST(PipeProcessTest, SignalsEndNoCall) {
  static std::atomic<int> signals{0};
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { ++signals; };  // no SA_RESTART
  ::sigaction(SIGALRM, &action, &before);
  const itimerval each{.it_interval = {.tv_sec = 0, .tv_usec = 500}, .it_value = {.tv_sec = 0, .tv_usec = 500}};
  auto [mine, theirs] = Pipe::create({.capacity = 64}).value();
  Gate go;
  Child child = child_with(theirs, [&](Connection& c) {
    go.wait();
    return c.recv_bytes().value() == pattern(20'000, 2) && c.send(9).ok() ? 0 : 1;
  });
  ::setitimer(ITIMER_REAL, &each, nullptr);
  EXPECT_TRUE(absl::IsDeadlineExceeded(mine.recv_for<int>(50ms).status()));
  std::thread([&] { go.open(); }).join();
  EXPECT_TRUE(mine.send_bytes(pattern(20'000, 2)).ok());
  EXPECT_EQ(mine.recv<int>().value(), 9);
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_GT(signals, 10);
  EXPECT_TRUE(child.join().well());
}

TEST(PipeProcessTest, TheEndIsToldAcrossPidNamespaces) {
  auto [mine, theirs] = Pipe::create().value();
  const test::IsolatedEnd end = test::in_new_pid_namespace([&, &theirs = theirs] {
    EXPECT_TRUE(theirs.send(1).ok());
    ::raise(SIGKILL);
  });
  if (!end) GTEST_SKIP() << "namespaces are not permitted here";
  theirs.close();
  EXPECT_EQ(mine.recv<int>().value(), 1);
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status()));
}

}  // namespace
}  // namespace warren
