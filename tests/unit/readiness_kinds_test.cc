// fileno() and wait() of the kinds beside Queue and Event (readiness_test.cc): priority queues, stacks, both rings of
// one producer and one consumer, and subscribers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/spsc_records.h>
#include <warren/ipc/stack.h>

#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/reach.h"
#include "support/readiness.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Census;
using test::Child;
using test::kAges;
using test::readable;
using test::Readiness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Each kind as a line of numbers: what is pushed into `in()` comes out of `out()`, whose descriptor it is.
struct Priorities {
  PriorityQueue<int> queue = PriorityQueue<int>::create({.capacity = 64}).value();
  auto& in() { return queue; }
  auto& out() { return queue; }
  bool push(int n) { return queue.push(n, -n); }
};
struct Names {  // parcels
  PriorityQueue<std::string> queue = PriorityQueue<std::string>::create({.capacity = 64}).value();
  auto& in() { return queue; }
  auto& out() { return queue; }
  bool push(int n) { return queue.push(std::string(static_cast<std::size_t>(n % 300), 'x'), -n); }
};
struct Pile {
  Stack<int> stack = Stack<int>::create({.capacity = 64}).value();
  auto& in() { return stack; }
  auto& out() { return stack; }
  bool push(int n) { return stack.push(n); }
};
struct Line {
  SpscQueue<int> queue = SpscQueue<int>::create({.capacity = 64}).value();
  auto& in() { return queue; }
  auto& out() { return queue; }
  bool push(int n) { return queue.push(n); }
};
struct Log {
  SpscRecords ring = SpscRecords::create(4096).value();
  auto& in() { return ring; }
  auto& out() { return ring; }
  bool push(int n) { return ring.push(std::as_bytes(std::span(&n, 1))); }
};
template <SlowReader kSlow>
struct Wave {
  Broadcast<int> wave = Broadcast<int>::create({.capacity = 64, .slow_reader = kSlow}).value();
  Subscriber<int> mine = wave.subscribe().value();
  auto& in() { return wave; }
  auto& out() { return mine; }
  bool push(int n) { return wave.push(n); }
};
using Overwritten = Wave<SlowReader::kLoses>;
using WaitedFor = Wave<SlowReader::kBlocksWriter>;

template <class Kind>
class EveryReadiness : public Readiness {
 protected:
  Kind kind_;
};
using Kinds = ::testing::Types<Priorities, Names, Pile, Line, Log, Overwritten, WaitedFor>;
TYPED_TEST_SUITE(EveryReadiness, Kinds);

TYPED_TEST(EveryReadiness, IsReadableUntilATryFindsNothing) {
  auto& out = this->kind_.out();
  EXPECT_FALSE(readable(out));
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->kind_.push(i));
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(readable(out, kAges));
      ASSERT_TRUE(out.try_pop());
    }
    EXPECT_FALSE(out.try_pop());
    EXPECT_FALSE(readable(out)) << round;
  }
}

TYPED_TEST(EveryReadiness, WhatLayThereBeforeItWasAskedForCounts) {
  ASSERT_TRUE(this->kind_.push(1));
  EXPECT_TRUE(readable(this->kind_.out(), kAges));
}

TYPED_TEST(EveryReadiness, EveryCallThatFindsNothingQuietensIt) {
  auto& out = this->kind_.out();
  const auto after = [&](const auto& call) {
    EXPECT_TRUE(this->kind_.push(1));
    EXPECT_TRUE(readable(out, kAges));
    EXPECT_TRUE(out.pop());
    call();
    EXPECT_FALSE(readable(out));
  };
  after([&] { EXPECT_FALSE(out.try_pop_for(0s)); });
  after([&] { EXPECT_FALSE(out.try_pop_for(1ms)); });
  after([&] { EXPECT_FALSE(out.try_pop_until(std::chrono::steady_clock::now())); });
  after([&] { EXPECT_THAT(wait({out}, 0s), IsEmpty()); });
  if constexpr (requires { out.try_borrow(); }) after([&] { EXPECT_FALSE(out.try_borrow()); });
  if constexpr (requires { out.peek(); }) {
    after([&] { EXPECT_TRUE(out.peek().empty()); });
    int place = 0;
    after([&] { EXPECT_EQ(out.try_pop_n({&place, 1}), 0u); });
  }
}

TYPED_TEST(EveryReadiness, TheEndIsReadableForEver) {
  auto& out = this->kind_.out();
  EXPECT_FALSE(readable(out));
  ASSERT_TRUE(this->kind_.push(1));
  this->kind_.in().close();
  ASSERT_TRUE(readable(out, kAges));
  EXPECT_TRUE(out.try_pop());
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(out.try_pop());
    EXPECT_TRUE(readable(out, kAges)) << "the end";
    EXPECT_THAT(wait({out}), ElementsAre(0u));
  }
  EXPECT_TRUE(out.drained());
}

// Each item, however the consumer's calls and the mirror's looks fall, against a producer that never waits for it.
TYPED_TEST(EveryReadiness, ALoopOfEventsMissesNothing) {
  constexpr int kItems = 5'000;
  auto& out = this->kind_.out();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, out.fileno(), &event), 0);
  Child producer([&] {
    for (int i = 0; i < kItems; ++i) {
      ASSERT_TRUE(this->kind_.push(i));
      if (i % 97 == 0) std::this_thread::yield();
      if (i % 501 == 0) std::this_thread::sleep_for(200us);
    }
    this->kind_.in().close();
  });
  std::uint64_t seen = 0;
  while (!out.drained()) {
    ASSERT_EQ(::epoll_wait(epoll, &event, 1, kAges), 1) << "overslept at " << seen;
    while (out.try_pop()) ++seen;
  }
  ::close(epoll);
  if constexpr (requires { out.lost(); }) seen += out.lost();
  EXPECT_EQ(seen, std::uint64_t{kItems});
  EXPECT_TRUE(producer.join().well());
}

TYPED_TEST(EveryReadiness, WaitTellsItAmongOthers) {
  auto& out = this->kind_.out();
  auto [mine, theirs] = Pipe::create().value();
  EXPECT_THAT(wait({mine, out}, 1ms), IsEmpty());
  Child([&] { ASSERT_TRUE(this->kind_.push(1)); }).join();
  EXPECT_THAT(wait({mine, out}, 20s), ElementsAre(1u));
  EXPECT_TRUE(out.pop());
  EXPECT_THAT(wait({mine, out}, 1ms), IsEmpty()) << "what was rung is no more";
}

TYPED_TEST(EveryReadiness, AForkedChildHasItsOwn) {
  auto& out = this->kind_.out();
  std::thread([&] {  // so that the mirror is under way: AddressSanitizer's new threads hold locks
    ASSERT_TRUE(this->kind_.push(0));
    ASSERT_TRUE(readable(out, kAges));
    EXPECT_TRUE(out.try_pop());
    EXPECT_FALSE(out.try_pop());
  })
      .join();
  EXPECT_FALSE(readable(out));
  Child child([&]() -> int {
    if (readable(out)) return 1;
    if (!this->kind_.push(1)) return 2;
    if (!readable(out, kAges)) return 3;
    return 0;
  });
  EXPECT_EQ(child.join().code, 0);
  EXPECT_TRUE(readable(out, kAges));
}

TYPED_TEST(EveryReadiness, ThreadAndDescriptorComeWithTheFirstCallAndGoAgain) {
  (void)this->kind_.out().try_pop();
  const Census before = Census::now();
  {
    TypeParam other;
    (void)other.out().try_pop();
    const Census without = Census::now();
    EXPECT_EQ(without.threads, before.threads);
    EXPECT_EQ(other.out().fileno(), other.out().fileno());
    const Census with = Census::now();
    EXPECT_EQ(with.threads, before.threads + 1);
    EXPECT_EQ(with.descriptors.size(), without.descriptors.size() + 1);
    EXPECT_EQ(detail::Attachment::mirrors(), 1u);
  }
  EXPECT_EQ(Census::now().threads, before.threads);
  EXPECT_EQ(detail::Attachment::mirrors(), 0u);
}

TYPED_TEST(EveryReadiness, TheObjectGoesAtAnyMoment) {
  for (int round = 0; round < 100; ++round) {
    TypeParam other;
    (void)other.out().fileno();
    if (round % 3 == 0) {
      EXPECT_TRUE(other.push(1));
    }
    if (round % 5 == 0) (void)other.out().try_pop();
    if (round % 7 == 0) std::this_thread::yield();
  }
}

using SubscriberReadiness = Readiness;
using SpscReadiness = Readiness;
using LockedReadiness = Readiness;

// --- subscribers -----------------------------------------------------------------------------------------------------

TEST_F(SubscriberReadiness, EachIsToldOfWhatItHasNotSeen) {
  auto wave = Broadcast<int>::create({.capacity = 8}).value();
  auto fast = wave.subscribe().value(), slow = wave.subscribe().value();
  EXPECT_FALSE(readable(fast));
  EXPECT_FALSE(readable(slow));
  EXPECT_NE(fast.fileno(), slow.fileno());
  ASSERT_TRUE(wave.push(1));
  ASSERT_TRUE(readable(fast, kAges));
  ASSERT_TRUE(readable(slow, kAges));
  EXPECT_EQ(fast.try_pop(), 1);
  EXPECT_EQ(fast.try_pop(), std::nullopt);
  EXPECT_FALSE(readable(fast));
  EXPECT_TRUE(readable(slow)) << "it has not seen it";
  EXPECT_THAT(wait({fast, slow}), ElementsAre(1u));
  auto late = wave.subscribe().value();
  EXPECT_FALSE(readable(late)) << "from the next push on";
}

TEST_F(SubscriberReadiness, TheDescriptorMovesWithIt) {
  auto wave = Broadcast<int>::create({.capacity = 8}).value();
  std::optional<Subscriber<int>> first = wave.subscribe().value();
  const int number = first->fileno();
  Subscriber<int> mine = *std::move(first);
  first.reset();
  EXPECT_EQ(mine.fileno(), number);
  std::thread other([mine = std::move(mine), &wave]() mutable {
    EXPECT_FALSE(readable(mine));
    ASSERT_TRUE(wave.push(1));
    EXPECT_TRUE(readable(mine, kAges));
    EXPECT_EQ(mine.try_pop(), 1);
    mine = wave.subscribe().value();  // the old one's is no more
    EXPECT_FALSE(readable(mine));
    ASSERT_TRUE(wave.push(2));
    EXPECT_TRUE(readable(mine, kAges));
  });
  other.join();
  EXPECT_EQ(detail::Attachment::mirrors(), 0u);
}

TEST_F(SubscriberReadiness, OneThatWasOverrunIsToldAndThenQuiet) {
  auto wave = Broadcast<int>::create({.capacity = 4}).value();
  auto mine = wave.subscribe().value();
  EXPECT_FALSE(readable(mine));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(wave.push(i));
  ASSERT_TRUE(readable(mine, kAges));
  while (mine.try_pop()) {
  }
  EXPECT_EQ(mine.lost(), 46u);
  EXPECT_FALSE(readable(mine));
}

// --- one producer, one consumer --------------------------------------------------------------------------------------

TEST_F(SpscReadiness, AskingForItClaimsNothing) {
  auto queue = SpscQueue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  EXPECT_THAT(wait({queue}, 0s), IsEmpty());
  std::thread([&] { EXPECT_TRUE(queue.claim_consumer().ok()); }).join();
  EXPECT_TRUE(queue.claim_consumer().ok()) << "that thread has ended";
}

TEST_F(SpscReadiness, ABorrowedRecordIsToldUntilItsEnd) {
  auto ring = SpscRecords::create(4096).value();
  EXPECT_FALSE(readable(ring));
  const int n = 7;
  ASSERT_TRUE(ring.push(std::as_bytes(std::span(&n, 1))));
  ASSERT_TRUE(readable(ring, kAges));
  {
    auto record = ring.borrow();
    EXPECT_TRUE(record);
    EXPECT_THAT(wait({ring}, 0s), ElementsAre(0u));
  }
  EXPECT_FALSE(ring.try_pop());
  EXPECT_FALSE(readable(ring));
}

// A peer's false words neither keep the consumer turning for nothing nor hide the end.
TEST_F(SpscReadiness, AFalseHeadIsPutRight) {
  auto queue = SpscQueue<int>::create({.capacity = 8}).value();
  auto& header = *reinterpret_cast<layout::SpscRingHeader*>(test::Reach::attachment(queue).object());
  ASSERT_TRUE(queue.push(1));
  EXPECT_EQ(queue.pop(), 1);
  header.head.store(0);
  ASSERT_TRUE(readable(queue, kAges)) << "for nothing";
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_FALSE(readable(queue, 20));
  header.tail.store(1'000);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_FALSE(readable(queue, 20)) << "of indices that cannot be nothing comes";
  queue.close();
  EXPECT_TRUE(readable(queue, kAges));
}

TEST_F(SpscReadiness, ACorruptRingOfRecordsIsToldAndCloses) {
  auto ring = SpscRecords::create(4096).value();
  auto& header = *reinterpret_cast<layout::SpscRingHeader*>(test::Reach::attachment(ring).object());
  EXPECT_FALSE(ring.try_pop());
  EXPECT_FALSE(readable(ring));
  header.tail.store(1'000'000);
  detail::notify(header.not_empty, test::Reach::attachment(ring).wait_mode(), detail::kWakeAll);
  ASSERT_TRUE(readable(ring, kAges));
  EXPECT_FALSE(ring.try_pop());
  EXPECT_TRUE(ring.closed());
  EXPECT_TRUE(readable(ring, kAges)) << "the end";
}

// --- under a lock ----------------------------------------------------------------------------------------------------

TEST_F(LockedReadiness, AMirrorKeepsNoWakeFromWhoTakes) {
  auto stack = Stack<int>::create({.capacity = 8}).value();
  test::expect_that_a_mirror_keeps_no_wake(stack, 30);
}

TEST_F(LockedReadiness, OneWhoseLockIsHeldByTheDeadIsTold) {
  auto queue = PriorityQueue<int>::create({.capacity = 8}).value();
  EXPECT_FALSE(readable(queue));
  Child holder([&] {
    if (!queue.push(1, 1)) return;
    (void)test::Reach::attachment(queue).seat();
    ::raise(SIGKILL);
  });
  (void)holder.join();
  EXPECT_TRUE(readable(queue, kAges));
  EXPECT_EQ(queue.try_pop(), 1);
}

}  // namespace
}  // namespace warren
