// fileno(), wait(), loops of events: readable means that a recv need not wait, and nothing is overslept.
#include <warren/ipc/pipe.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/pipe_view.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::pattern;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool readable(const Connection& c, int timeout_ms = 0) {
  pollfd fd{.fd = c.fileno(), .events = POLLIN, .revents = 0};
  return ::poll(&fd, 1, timeout_ms) == 1 && (fd.revents & POLLIN) != 0;
}

TEST(PipeFilenoTest, IsReadableWhileThereIsSomething) {
  auto [a, b] = Pipe::create().value();
  EXPECT_FALSE(readable(b));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(a.send(i).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(readable(b));
    EXPECT_EQ(b.recv<int>().value(), i);
  }
  EXPECT_FALSE(readable(b));
  a.close();
  EXPECT_TRUE(readable(b)) << "the end of the stream";
  EXPECT_TRUE(absl::IsOutOfRange(b.recv<int>().status()));
  EXPECT_TRUE(readable(b));
}

TEST(PipeFilenoTest, WhatLayThereBeforeItWasAskedForCounts) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_TRUE(readable(b));
  EXPECT_EQ(b.recv<int>().value(), 1);
  EXPECT_FALSE(readable(b));
}

TEST(PipeFilenoTest, IsTheSameForAllHoldersAndTheSendingEndHasOne) {
  auto [in, out] = Pipe::create({.duplex = false}).value();
  EXPECT_EQ(in.fileno(), in.share().fileno());
  EXPECT_FALSE(readable(out));
  in.close();
  pollfd fd{.fd = out.fileno(), .events = 0, .revents = 0};
  EXPECT_EQ(::poll(&fd, 1, 0), 0) << "an epoll is readable, never hung up";
  epoll_event event{};
  EXPECT_EQ(::epoll_wait(out.fileno(), &event, 1, 0), 1) << "no reader is left";
}

// A loop that only ever looks at the descriptor, against a sender that never waits for it.
TEST(PipeFilenoTest, ALoopOfEventsMissesNothing) {
  constexpr int kMessages = 30'000;
  auto [mine, theirs] = Pipe::create({.capacity = 512}).value();
  (void)mine.fileno();
  test::Child sender([&, &theirs = theirs, &mine = mine]() -> int {
    mine.close();
    for (int i = 0; i < kMessages; ++i) {
      if (!theirs.send(i).ok()) return 1;
      if (i % 97 == 0) std::this_thread::yield();
    }
    return theirs.send_bytes(pattern(5'000, 1)).ok() ? 0 : 2;
  });
  theirs.close();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, mine.fileno(), &event), 0);
  int next = 0;
  bool large = false, ended = false;
  while (!ended) {
    ASSERT_EQ(::epoll_wait(epoll, &event, 1, 20'000), 1) << "overslept at " << next;
    if (!mine.poll()) continue;
    if (next < kMessages) {
      ASSERT_EQ(mine.recv<int>().value(), next++);
    } else if (!large) {
      large = mine.recv_bytes().value() == pattern(5'000, 1);
    } else {
      ended = absl::IsOutOfRange(mine.recv<int>().status());
    }
  }
  ::close(epoll);
  EXPECT_TRUE(large);
  EXPECT_TRUE(sender.join().well());
}

// A thread that watches and one that blocks, on the same end: whoever takes, nobody oversleeps.
TEST(PipeFilenoTest, AWatcherAndABlockedReceiverShareAnEnd) {
  constexpr int kMessages = 20'000;
  auto [mine, theirs] = Pipe::create({.capacity = 256}).value();
  std::atomic<int> taken{0};
  std::thread watcher([&, c = mine.share()]() mutable {
    for (;;) {
      ASSERT_TRUE(readable(c, 20'000));
      const absl::Status status = c.recv_for<int>(0s).status();
      if (status.ok()) ++taken;
      if (absl::IsOutOfRange(status)) return;
    }
  });
  std::thread receiver([&, c = mine.share()]() mutable {
    while (c.recv<int>().ok()) ++taken;
  });
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(theirs.send(i).ok());
    if (i % 61 == 0) std::this_thread::sleep_for(20us);
  }
  theirs.close();
  watcher.join();
  receiver.join();
  EXPECT_EQ(taken, kMessages);
}

// As a sender does that was slow to ring for what somebody else has taken.
TEST(PipeFilenoTest, APollQuietensABellThatWasRungForNothing) {
  auto [a, b] = Pipe::create().value();
  layout::PipeDirection& direction = test::PipeView::to(b, 1);
  EXPECT_FALSE(readable(b));
  ASSERT_TRUE(a.send(1).ok());
  direction.head = direction.tail.load();  // taken by another process
  EXPECT_TRUE(readable(b));
  EXPECT_THAT(wait({b}, 1ms), IsEmpty());
  EXPECT_FALSE(readable(b));
  ASSERT_TRUE(a.send(2).ok());
  EXPECT_TRUE(readable(b));
  EXPECT_EQ(b.recv<int>().value(), 2);
}

// --- wait ------------------------------------------------------------------------------------------------------------

TEST(PipeWaitTest, GivesTheIndicesOfThoseThatAreReady) {
  auto [a, b] = Pipe::create().value();
  auto [c, d] = Pipe::create().value();
  auto [e, f] = Pipe::create().value();
  EXPECT_THAT(wait({b, d, f}, 0s), IsEmpty());
  EXPECT_THAT(wait({b, d, f}, 5ms), IsEmpty());
  ASSERT_TRUE(c.send(1).ok());
  e.close();
  EXPECT_THAT(wait({b, d, f}), ElementsAre(1, 2));
  EXPECT_EQ(d.recv<int>().value(), 1);
  EXPECT_THAT(wait({b, d, f}, 0s), ElementsAre(2));
}

TEST(PipeWaitTest, BlocksUntilOneIs) {
  auto [mine, theirs] = Pipe::create().value();
  test::Child child([&, &mine = mine]() -> int { return wait({mine}) == std::vector<std::size_t>{0} ? 0 : 1; });
  ASSERT_TRUE(test::sleeps_in_poll(child.pid()));
  ASSERT_TRUE(theirs.send(1).ok());
  EXPECT_TRUE(child.join().well());
}

TEST(PipeWaitTest, TakesWhateverHasADescriptor) {
  struct Bell {
    int fd = ::eventfd(0, EFD_CLOEXEC);
    ~Bell() { ::close(fd); }
    [[nodiscard]] int fileno() const { return fd; }
  } bell;
  auto [a, b] = Pipe::create().value();
  EXPECT_THAT(wait({b, bell}, 0s), IsEmpty());
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(bell.fd, &one, sizeof one), 8);
  EXPECT_THAT(wait({b, bell}), ElementsAre(1));
}

TEST(PipeWaitTest, WhatIsClosedIsReadyAndNothingIsNothing) {
  auto [a, b] = Pipe::create().value();
  Connection closed = b.share();
  closed.close();
  EXPECT_THAT(wait({b, closed}), ElementsAre(1));
  EXPECT_THAT(wait(std::span<const Waitable>()), IsEmpty());
}

TEST(PipeWaitTest, AThousandConnections) {
  constexpr std::size_t kPipes = 1000;
  std::vector<Connection> mine, theirs;
  for (std::size_t i = 0; i < kPipes; ++i) {
    auto pipe = Pipe::create({.duplex = false, .capacity = 64});
    ASSERT_TRUE(pipe.ok()) << i << ": " << pipe.status();
    mine.push_back(std::move(pipe->first));
    theirs.push_back(std::move(pipe->second));
  }
  const std::vector<Waitable> all(mine.begin(), mine.end());
  EXPECT_THAT(wait(all, 0s), IsEmpty());
  ASSERT_TRUE(theirs[17].send(1).ok());
  ASSERT_TRUE(theirs[998].send(1).ok());
  theirs[999].close();
  EXPECT_THAT(wait(all), ElementsAre(17, 998, 999));
}

// A bell whose ringer died before it rang: the message is found all the same.
TEST(PipeWaitTest, ARingThatWasLostCostsASliceAtMost) {
  auto [a, b] = Pipe::create().value();
  auto& direction = test::PipeView::to(b, 1);
  EXPECT_THAT(wait({b}, 0s), IsEmpty());
  direction.door = 0;  // as if somebody had rung, and another one had emptied the bell
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_FALSE(readable(b));
  EXPECT_THAT(wait({b}, 1ms), ElementsAre(0));
  direction.door = 0;
  EXPECT_EQ(b.recv<int>().value(), 1);
}

}  // namespace
}  // namespace warren
