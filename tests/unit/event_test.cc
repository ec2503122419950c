// Event: set and clear, who is released, deaths, handles by fork and by name, peers' bytes.
#include <warren/ipc/event.h>
#include <warren/ipc/segment.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <limits>
#include <thread>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::unique_name;
using ::testing::HasSubstr;

TEST(EventTest, IsClearThenSetThenClear) {
  auto event = Event::create().value();
  EXPECT_FALSE(event.is_set());
  event.set();
  event.set();
  EXPECT_TRUE(event.is_set());
  event.clear();
  EXPECT_FALSE(event.is_set()) << "set twice is set once";
  event.clear();
  EXPECT_FALSE(event.is_set());
}

TEST(EventTest, WaitsReturnAtOnceWhereItIsSet) {
  auto event = Event::create().value();
  event.set();
  event.wait();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(kForever)}) EXPECT_TRUE(event.wait_for(d));
  EXPECT_TRUE(event.wait_until(std::chrono::steady_clock::time_point::min()));
}

TEST(EventTest, ATimedWaitEnds) {
  const auto event = Event::create().value();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) EXPECT_FALSE(event.wait_for(d));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(event.wait_until(begin + 20ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
}

TEST(EventTest, ASetReleasesThreadsAndProcesses) {
  auto event = Event::create().value();
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.emplace_back([&] { event.wait(); });
  Blocked thread([&] { event.wait(); });
  for (const Child& child : children) test::await_futex_sleep(child.pid());
  event.set();
  for (Child& child : children) EXPECT_TRUE(child.join().well());
}

// Also those that run only after it was cleared.
TEST(EventTest, ASetThatIsClearedAtOnceReleasesAllWhoWaited) {
  auto event = Event::create().value();
  for (int round = 0; round < 20; ++round) {
    std::vector<Child> children;
    for (int i = 0; i < 2; ++i) children.emplace_back([&] { event.wait(); });
    for (const Child& child : children) {
      test::await_futex_sleep(child.pid());
      child.stop();
    }
    event.set();
    event.clear();
    for (const Child& child : children) child.go_on();
    for (Child& child : children) EXPECT_TRUE(child.join().well());
  }
}

TEST(EventTest, ASetBeforeTheWaitDoesNotCountOnceItIsCleared) {
  auto event = Event::create().value();
  event.set();
  event.clear();
  EXPECT_FALSE(event.wait_for(5ms));
}

TEST(EventTest, ASignalDoesNotEndAWait) {
  auto event = Event::create().value();
  Child child([&]() -> int {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    event.wait();
    return event.is_set() ? 0 : 1;
  });
  test::await_futex_sleep(child.pid());
  for (int i = 0; i < 10; ++i) {
    child.signal(SIGUSR1);
    test::await_futex_sleep(child.pid());
  }
  event.set();
  EXPECT_TRUE(child.join().well());
}

Event* of_handler = nullptr;
TEST(EventTest, ASignalHandlerMaySetIt) {
  auto event = Event::create().value();
  Child child([&]() -> int {
    of_handler = &event;
    struct sigaction action {};
    action.sa_handler = [](int) { of_handler->set(); };
    ::sigaction(SIGUSR1, &action, nullptr);
    event.wait();
    return 0;
  });
  test::await_futex_sleep(child.pid());
  child.signal(SIGUSR1);
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(event.is_set());
}

TEST(EventTest, DeathsChangeNothing) {
  auto event = Event::create().value();
  Child waiter([&] { event.wait(); });
  test::await_futex_sleep(waiter.pid());
  (void)waiter.kill();
  EXPECT_FALSE(event.wait_for(1ms));
  (void)Child([&] {
    event.set();
    ::raise(SIGKILL);
  }).join();
  EXPECT_TRUE(event.is_set());
  event.wait();
}

TEST(EventTest, AStoppedWaiterHoldsUpNobody) {
  auto event = Event::create().value();
  Child stopped([&] { event.wait(); }), other([&] { event.wait(); });
  test::await_futex_sleep(stopped.pid());
  test::await_futex_sleep(other.pid());
  stopped.stop();
  event.set();
  EXPECT_TRUE(other.join().well());
  stopped.go_on();
  EXPECT_TRUE(stopped.join().well());
}

TEST(EventTest, AForkedChildUsesWhatItInherited) {
  auto there = Event::create().value(), back = Event::create().value();
  Child child([&]() -> int {
    for (int i = 0; i < 100; ++i) {
      there.wait();
      there.clear();
      back.set();
    }
    return 0;
  });
  for (int i = 0; i < 100; ++i) {
    there.set();
    back.wait();
    back.clear();
  }
  EXPECT_TRUE(child.join().well());
}

TEST(EventTest, ByName) {
  const std::string name = unique_name();
  auto first = Event::create(name).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Event::create(name).status()));
  Child child([&]() -> int {
    auto event = Event::open("/" + name).value();
    event.wait();
    return 0;
  });
  auto second = Event::open_or_create(name).value();
  second.set();
  EXPECT_TRUE(first.is_set());
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(Event::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Event::open(name).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Event::create("").status()));
}

TEST(EventTest, AnotherTypeOfThatNameIsRefused) {
  const std::string name = unique_name();
  const auto segment = Segment::create(name, 4096).value();
  const absl::Status status = Event::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a segment, not an event"));
}

TEST(EventTest, CopiesOfAHandleAreTheSameEvent) {
  auto event = Event::create().value();
  const Event copy = event;
  event.set();
  EXPECT_TRUE(copy.is_set());
}

class EventWord : public ::testing::Test {
 protected:
  void write(std::uint64_t word) { file_.write(layout::kObjectOffset + offsetof(layout::Event, state), word); }

  const std::string name_ = unique_name();
  Event event_ = Event::create(name_).value();
  const test::SegmentFile file_{name_};
};

// The count of sets goes round: a set still differs from what the waiter saw.
TEST_F(EventWord, TheCountGoesRound) {
  write(layout::EventState{.sets = std::numeric_limits<std::uint64_t>::max() >> 1}.word());
  {
    const Blocked waiter([&] { event_.wait(); });
    event_.set();
    event_.clear();
  }
  EXPECT_EQ(file_.read<std::uint64_t>(layout::kObjectOffset), 0u);
  event_.set();
  EXPECT_TRUE(event_.is_set());
}

// Peers' bytes: whatever stands there is an event.
TEST_F(EventWord, AnyWordIsSetOrClear) {
  for (std::uint64_t word = 1; word != 0; word <<= 1) {
    for (const std::uint64_t flipped : {word, ~word}) {
      write(flipped);
      EXPECT_EQ(event_.is_set(), (flipped & 1) != 0);
      EXPECT_EQ(event_.wait_for(0s), event_.is_set());
      event_.set();
      EXPECT_TRUE(event_.is_set());
      event_.clear();
      EXPECT_FALSE(event_.is_set());
    }
  }
}

TEST_F(EventWord, ASegmentThatIsTooSmallIsRefused) {
  file_.write(offsetof(layout::SegmentHeader, size), std::uint64_t{8});
  EXPECT_TRUE(absl::IsDataLoss(Event::open(name_).status())) << Event::open(name_).status();
}

}  // namespace
}  // namespace warren
