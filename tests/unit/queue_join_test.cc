// Queue: task_done(), join(), who is told of which loss, and the high-water mark.
#include <absl/status/status.h>
#include <gtest/gtest.h>
#include <warren/ipc/detail/take_ledger.h>
#include <warren/ipc/queue.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/lease_view.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {
struct Odd {
  int number;
};
struct Thrown {
  int number;
};
}  // namespace
template <>
struct Codec<Thrown> {
  static void encode(Writer& w, const Thrown& thrown) { w.put(thrown.number); }
  static absl::StatusOr<Thrown> decode(Reader& r) {
    const auto number = r.get<int>();
    if (!number.ok()) return number.status();
    if (*number % 2 == 0) throw std::runtime_error("even");
    return Thrown{*number};
  }
};
template <>
struct Codec<Odd> {
  static void encode(Writer& w, const Odd& odd) { w.put(odd.number); }
  static absl::StatusOr<Odd> decode(Reader& r) {
    const auto number = r.get<int>();
    if (!number.ok()) return number.status();
    if (*number % 2 == 0) return absl::DataLossError("not odd");
    return Odd{*number};
  }
};
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::Shared;

// Deaths are noticed in slices.
class QueueJoin : public testing::Test {
 protected:
  void SetUp() override {
    detail::WaitTuning& tuning = detail::wait_tuning();
    tuning.slice_min_ns = tuning.slice_max_ns = 2'000'000;
    tuning.slice_per_lane_ns = 0;
  }
  void TearDown() override {
    const detail::WaitTuning standard;
    detail::WaitTuning& tuning = detail::wait_tuning();
    tuning.slice_min_ns = standard.slice_min_ns.load();
    tuning.slice_max_ns = standard.slice_max_ns.load();
    tuning.slice_per_lane_ns = standard.slice_per_lane_ns.load();
  }
};

template <class T = int>
Queue<T> make_queue(std::size_t capacity = 64) {
  return Queue<T>::create({.capacity = capacity}).value();
}

bool waits(Queue<int>& queue) { return absl::IsDeadlineExceeded(queue.join_for(5ms)); }

layout::MpmcRingHeader& header_of(Queue<int>& queue) {
  return *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
}

void expect_lost(const absl::Status& status, std::string_view what) {
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_NE(std::string(status.message()).find(what), std::string::npos) << status << "\nwanted: " << what;
}
std::string process(pid_t pid) { return "process " + std::to_string(pid) + " "; }

// Pops `count` items and stands.
Child consumer_with(Queue<int>& queue, int count) {
  Gate popped;
  Child consumer([&] {
    for (int i = 0; i < count; ++i) (void)queue.pop();
    popped.open();
    for (;;) ::pause();
  });
  popped.wait();
  return consumer;
}

// --- done ------------------------------------------------------------------------------------------------------------

TEST_F(QueueJoin, AnEmptyQueueIsDone) { EXPECT_TRUE(make_queue().join().ok()); }

TEST_F(QueueJoin, WaitsForItemsThatNobodyPopped) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  EXPECT_TRUE(waits(queue));
}

TEST_F(QueueJoin, WaitsForItemsThatWerePoppedAndAreNotDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  EXPECT_TRUE(queue.pop() && queue.pop());
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(queue.task_done());
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, TaskDoneMoreOftenThanPoppedIsFalseAndChangesNothing) {
  auto queue = make_queue();
  EXPECT_FALSE(queue.task_done());
  ASSERT_TRUE(queue.push(1));
  EXPECT_FALSE(queue.task_done()) << "pushed, but not popped";
  EXPECT_TRUE(queue.pop());
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done());
  ASSERT_TRUE(queue.push(2));
  EXPECT_TRUE(waits(queue));
}

TEST_F(QueueJoin, AFailedPopIsNoItem) {
  auto queue = make_queue();
  EXPECT_FALSE(queue.try_pop());
  std::array<int, 3> none{};
  EXPECT_EQ(queue.try_pop_n(none), 0u);
  EXPECT_FALSE(queue.task_done());
}

TEST_F(QueueJoin, EachItemOfABatchWantsItsOwn) {
  auto queue = make_queue();
  ASSERT_EQ(queue.push_n(std::vector<int>{1, 2, 3, 4, 5}), 5u);
  std::array<int, 4> out{};
  ASSERT_EQ(queue.pop_n(out), 4u);
  ASSERT_TRUE(queue.pop());
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(waits(queue));
    EXPECT_TRUE(queue.task_done());
  }
  EXPECT_TRUE(queue.join().ok());
  EXPECT_FALSE(queue.task_done());
}

TEST_F(QueueJoin, ATimeoutAsManyTasksAndAJoinAgain) {
  auto queue = make_queue();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(queue.push(round));
    EXPECT_TRUE(waits(queue));
    EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(0ms)));
    EXPECT_EQ(queue.pop(), round);
    EXPECT_TRUE(queue.task_done());
    EXPECT_TRUE(queue.join_for(0ms).ok());
  }
}

TEST_F(QueueJoin, ClosedAndDrainedItStillWaitsForWhatIsNotDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  queue.close();
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(queue.pop());
  EXPECT_TRUE(queue.drained());
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, AnUnboundedQueueLikewise) {
  detail::elastic_tuning().chunk_bytes = 64;
  auto queue = make_queue(0);
  detail::elastic_tuning().chunk_bytes = 512 << 10;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(queue.push(i));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(queue.pop(), i);
  for (int i = 0; i < 999; ++i) ASSERT_TRUE(queue.task_done());
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, ParcelsAndBorrowedItemsLikewise) {
  auto queue = make_queue<std::string>();
  ASSERT_TRUE(queue.push(std::string("short")) && queue.push(std::string(5000, 'x')) && queue.push("borrowed"));
  EXPECT_EQ(queue.pop(), "short");
  EXPECT_EQ(queue.pop()->size(), 5000u);
  { EXPECT_TRUE(queue.borrow()); }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(0ms)));
    EXPECT_TRUE(queue.task_done());
  }
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, AnItemThatMakesNoneIsDoneWhenItIsSkipped) {
  auto queue = Queue<Odd>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(Odd{2}) && queue.push(Odd{1}) && queue.push(Odd{4}));
  EXPECT_EQ(queue.pop()->number, 1);
  EXPECT_FALSE(queue.try_pop());
  EXPECT_EQ(queue.stats().undecodable, 2u);
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, AnItemWhoseDecodingThrowsIsDoneThen) {
  auto queue = Queue<Thrown>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(Thrown{2}) && queue.push(Thrown{1}));
  EXPECT_THROW((void)queue.pop(), std::runtime_error);
  EXPECT_EQ(queue.stats().undecodable, 1u);
  EXPECT_EQ(queue.pop()->number, 1);
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

// --- leases ----------------------------------------------------------------------------------------------------------

TEST_F(QueueJoin, AnAcknowledgedLeaseIsDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  auto lease = queue.lease();
  EXPECT_TRUE(waits(queue));
  EXPECT_FALSE(queue.task_done()) << "a lease is finished by ack()";
  EXPECT_TRUE(lease.ack());
  EXPECT_FALSE(lease.ack());
  EXPECT_TRUE(queue.join().ok());
  EXPECT_TRUE(queue.join_until(std::chrono::steady_clock::now()).ok());
  EXPECT_FALSE(queue.task_done());
}

// Once a thread without a lane took something, no account says who has what.
TEST_F(QueueJoin, OneTaskDoneTooManySettlesNoLease) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  header_of(queue).takes.blind.store(1);
  auto lease = queue.lease();
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done()) << "that would be the lease's";
  EXPECT_TRUE(waits(queue));
  EXPECT_TRUE(lease.give_back());
  EXPECT_FALSE(queue.task_done()) << "it came back";
  EXPECT_TRUE(queue.lease().ack());
  EXPECT_TRUE(queue.join().ok());
}

// A cell that somebody is about to take, or died in that, stands for nothing that was taken.
TEST_F(QueueJoin, ACellThatIsBeingTakenHidesNoItemFromABlindTaskDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  EXPECT_TRUE(queue.lease().ack());
  EXPECT_EQ(queue.pop(), 2);
  layout::Lane& lane = *test::Reach::attachment(queue).seat().lane;
  lane.finished.store(lane.taken.load());  // as if who popped had none
  header_of(queue).takes.blind.store(1);
  const test::LeaseView view(test::Reach::attachment(queue), 1);
  const auto word = view.word(0);
  view.cell(0).word.store(
      test::LeaseView::Word{.state = test::LeaseView::State::kTaking, .version = word.version + 1}.word());
  EXPECT_TRUE(queue.task_done());
  EXPECT_FALSE(queue.task_done());
}

TEST_F(QueueJoin, ALeaseThatComesBackIsNeitherDoneNorLost) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2) && queue.push(3));
  queue.lease().give_back();
  EXPECT_TRUE(waits(queue));
  Child([&] {
    auto lease = queue.lease();
    ::raise(SIGKILL);
  }).join();
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(30ms))) << "the queue has it again";
  const auto end = std::chrono::steady_clock::now() + 5ms;
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_until(end)));
  EXPECT_GE(std::chrono::steady_clock::now(), end);
  std::array<int, 3> out{};
  for (std::size_t got = 0; got < 3;) {
    const std::size_t count = queue.pop_n(out);
    for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(queue.task_done());
    got += count;
  }
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, WhatCameBackAndWasPoppedIsLostWithItsConsumer) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  queue.lease().give_back();
  Child consumer = consumer_with(queue, 1);
  const pid_t pid = consumer.pid();
  EXPECT_TRUE(waits(queue));
  consumer.kill();
  expect_lost(queue.join(), process(pid));
}

TEST_F(QueueJoin, AnUndecodableLeaseIsDoneWhenItIsSkipped) {
  auto queue = Queue<Odd>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(Odd{2}) && queue.push(Odd{1}));
  auto lease = queue.lease();
  EXPECT_EQ(lease->number, 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(0ms)));
  lease.ack();
  EXPECT_TRUE(queue.join().ok());
  EXPECT_FALSE(queue.task_done());
}

TEST_F(QueueJoin, ALeaseWhoseDecodingThrowsComesBack) {
  auto queue = Queue<Thrown>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(Thrown{2}));
  EXPECT_THROW((void)queue.lease(), std::runtime_error);
  EXPECT_EQ(queue.stats().returned, 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(5ms)));
  EXPECT_THROW((void)queue.pop(), std::runtime_error);
  EXPECT_TRUE(queue.join().ok());
}

// --- threads ---------------------------------------------------------------------------------------------------------

TEST_F(QueueJoin, AnotherThreadMayCallTaskDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(queue.pop());
  std::thread([&] {
    EXPECT_TRUE(queue.task_done());
    EXPECT_FALSE(queue.task_done());
  }).join();
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, WhatAThreadTookIsItsProcesssWhenItEnds) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  for (int i = 0; i < 2; ++i) std::thread([&] { ASSERT_TRUE(queue.pop()); }).join();
  EXPECT_TRUE(waits(queue)) << "not lost: this process lives";
  EXPECT_TRUE(queue.task_done() && queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

// Though what it took goes from its account to its process's in the middle of that.
TEST_F(QueueJoin, AnotherThreadMayCallTaskDoneWhileTheFirstOneEnds) {
  auto queue = make_queue();
  for (int round = 0; round < 3000; ++round) {
    ASSERT_TRUE(queue.push(1) && queue.push(2));
    std::atomic<bool> popped{false};
    std::thread first([&] {
      EXPECT_TRUE(queue.pop() && queue.pop());
      popped = true;
    });
    while (!popped) std::this_thread::yield();
    for (int i = round % 512; i != 0; --i) detail::cpu_relax();
    EXPECT_TRUE(queue.task_done() && queue.task_done()) << round;
    first.join();
    ASSERT_FALSE(queue.task_done()) << "on two accounts: " << round;
    ASSERT_TRUE(queue.join().ok());
  }
}

// Whose item is finished is all the same: who has one to finish finds one.
TEST_F(QueueJoin, ThreadsThatPoppedNothingMayCallTaskDoneWhileOthersPop) {
  auto queue = make_queue();
  constexpr int kItems = 5000;
  std::atomic<int> passed_on{0}, left{2 * kItems};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kItems; ++n) {
        EXPECT_TRUE(queue.push(n) && queue.pop());
        ++passed_on;
      }
    });
    threads.emplace_back([&] {
      while (left > 0) {
        int now = passed_on;
        if (now == 0 || !passed_on.compare_exchange_strong(now, now - 1)) continue;
        EXPECT_TRUE(queue.task_done());
        --left;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, AThreadWithoutALaneMayCallTaskDone) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(queue.pop());
  std::thread([&] {
    detail::Seat& seat = test::Reach::attachment(queue).seat();
    layout::Lane* const lane = std::exchange(seat.lane, nullptr);
    EXPECT_TRUE(queue.task_done());
    EXPECT_FALSE(queue.task_done());
    seat.lane = lane;
  }).join();
  EXPECT_TRUE(queue.join().ok());
  EXPECT_FALSE(queue.task_done());
  ASSERT_TRUE(queue.push(2));
  consumer_with(queue, 1).kill();
  EXPECT_TRUE(absl::IsAborted(queue.join())) << "losses are told as before";
}

TEST_F(QueueJoin, JoinsOfSeveralThreadsAllEnd) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  std::atomic<int> done{0};
  std::vector<std::thread> joiners;
  for (int i = 0; i < 4; ++i) joiners.emplace_back([&] { done += queue.join().ok(); });
  ASSERT_TRUE(queue.pop());
  ASSERT_TRUE(queue.task_done());
  for (std::thread& joiner : joiners) joiner.join();
  EXPECT_EQ(done, 4);
}

TEST_F(QueueJoin, ThePipelineOfPythonsManualEnds) {
  auto queue = make_queue<int>(3);
  Shared<std::atomic<int>> worked{0};
  std::vector<Child> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (queue.pop()) {
        worked->fetch_add(1);
        EXPECT_TRUE(queue.task_done());
      }
    });
  }
  for (int round = 1; round <= 5; ++round) {
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(queue.push(i));
    EXPECT_TRUE(queue.join().ok());
    EXPECT_EQ(worked->load(), round * 200);
  }
  queue.close();
  for (Child& worker : workers) EXPECT_TRUE(worker.join().well());
}

TEST_F(QueueJoin, TaskDoneOfAnotherProcessCounts) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(queue.pop());
  Child other([&] {
    EXPECT_TRUE(queue.task_done());
    EXPECT_FALSE(queue.task_done());
  });
  EXPECT_TRUE(other.join().well());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

// --- lost ------------------------------------------------------------------------------------------------------------

TEST_F(QueueJoin, TellsOfAConsumerThatIsKilledWithAnItem) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Child consumer = consumer_with(queue, 1);
  EXPECT_TRUE(waits(queue));
  const pid_t pid = consumer.pid();
  consumer.kill();
  expect_lost(queue.join(), "an item is lost: " + process(pid));
  EXPECT_TRUE(queue.join().ok()) << "told once, and written off";
  EXPECT_FALSE(queue.task_done());
}

TEST_F(QueueJoin, TellsWhileItWaits) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Child consumer = consumer_with(queue, 1);
  const pid_t pid = consumer.pid();
  std::thread killer([&] {
    std::this_thread::sleep_for(5ms);
    consumer.kill();
  });
  expect_lost(queue.join(), process(pid));
  killer.join();
}

// Though others wait in the queue: there may be nobody left to pop them.
TEST_F(QueueJoin, TellsBeforeTheOthersAreDone) {
  auto queue = make_queue();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue.push(i));
  Child consumer = consumer_with(queue, 2);
  const pid_t pid = consumer.pid();
  consumer.kill();
  expect_lost(queue.join(), "2 items are lost: who took them, " + process(pid) + "the last");
  EXPECT_TRUE(waits(queue));
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_TRUE(queue.task_done() && queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, SeveralDeathsAreCountedTogether) {
  auto queue = make_queue();
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(queue.push(i));
  for (int i = 0; i < 3; ++i) consumer_with(queue, 2).kill();
  std::uint32_t lost = 0;
  for (absl::Status status = queue.join(); !status.ok(); status = queue.join()) {
    ASSERT_TRUE(absl::IsAborted(status)) << status;
    lost += static_cast<std::uint32_t>(std::atoi(std::string(status.message()).c_str()));
  }
  EXPECT_EQ(lost, 6u);
}

TEST_F(QueueJoin, WhatADeadConsumerHasIsNobodysToFinish) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  consumer_with(queue, 1).kill();
  EXPECT_FALSE(queue.task_done()) << "not swept yet, but dead";
  detail::Seat& seat = test::Reach::attachment(queue).seat();
  layout::Lane* const lane = std::exchange(seat.lane, nullptr);
  EXPECT_FALSE(queue.task_done()) << "nor without a lane";
  seat.lane = lane;
  EXPECT_TRUE(absl::IsAborted(queue.join()));
}

TEST_F(QueueJoin, WhatADeadConsumerHasIsNotWhoSweepsIts) {
  using layout::LaneIdentity;
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  auto& attachment = test::Reach::attachment(queue);
  const LaneIdentity self = LaneIdentity::from(attachment.seat().lane->identity.load());
  Child consumer = consumer_with(queue, 1);
  const auto pid = static_cast<std::uint32_t>(consumer.pid());
  consumer.kill();
  for (std::uint32_t index = 0; index < attachment.lanes_high(); ++index) {
    layout::Lane& lane = attachment.lane(index);
    const LaneIdentity found = LaneIdentity::from(lane.identity.load());
    if (found.pid != pid) continue;
    LaneIdentity sweeping = self;
    sweeping.generation = found.generation;
    sweeping.phase = LaneIdentity::Phase::kSweeping;
    lane.identity = sweeping.word();
    EXPECT_FALSE(queue.task_done());
    lane.identity = found.word();
  }
  expect_lost(queue.join(), process(static_cast<pid_t>(pid)));
}

// A producer that is stopped within a push is not dead; a consumer is.
TEST_F(QueueJoin, TellsOfALossBehindAStoppedProducer) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Child consumer = consumer_with(queue, 1);
  Gate claimed;
  Child producer([&] {
    layout::MpmcRingHeader& header = header_of(queue);
    const std::uint64_t t = header.tail.load();
    test::Reach::attachment(queue).seat().lane->announcement.store(t + 1);
    header.tail.store(t + 1);
    claimed.open();
    for (;;) ::pause();
  });
  claimed.wait();
  const pid_t pid = consumer.pid();
  consumer.kill();
  expect_lost(queue.join(), process(pid));
  EXPECT_TRUE(waits(queue));
}

TEST_F(QueueJoin, AJoinThatTellsOfLessThanAnotherDoesNotTakeThatBack) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  layout::MpmcRingHeader& header = header_of(queue);
  detail::TakeLedger ledger(test::Reach::attachment(queue), header);
  std::atomic<std::uint32_t> told{0};
  const auto look = [&] {
    header.takes.settled = layout::Settled{.lost = 1}.word();
    told = 2;
    return detail::Progress::kBlocked;
  };
  const auto none = [] { return std::uint64_t{0}; };
  expect_lost(ledger.join(Deadline::never(), told, look, none, [] {}), "an item is lost");
  EXPECT_EQ(told, 2u);
}

TEST_F(QueueJoin, ADeadConsumerThatHadDoneItsItemsLosesNothing) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  Child consumer([&] {
    EXPECT_TRUE(queue.pop() && queue.pop());
    EXPECT_TRUE(queue.task_done() && queue.task_done());
    ::raise(SIGKILL);
  });
  consumer.join();
  EXPECT_TRUE(queue.join().ok());
}

TEST_F(QueueJoin, AProcessThatEndsWellWithItemsLosesThem) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Child consumer([&] {
    EXPECT_TRUE(queue.pop());
    Queue<int> mine = std::move(queue);
  });
  const pid_t pid = consumer.pid();
  EXPECT_TRUE(consumer.join().well());
  expect_lost(queue.join(), "an item is lost: " + process(pid));
}

TEST_F(QueueJoin, TheLastWordOfAThreadsProcessCounts) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Gate popped;
  Child consumer([&] {
    std::thread([&] { EXPECT_TRUE(queue.pop()); }).join();
    popped.open();
    for (;;) ::pause();
  });
  popped.wait();
  EXPECT_TRUE(waits(queue)) << "its process lives, and may yet finish it";
  const pid_t pid = consumer.pid();
  consumer.kill();
  expect_lost(queue.join(), process(pid));
}

TEST_F(QueueJoin, AStoppedConsumerIsNotDead) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Gate popped, go_on;
  Child consumer([&] {
    EXPECT_TRUE(queue.pop());
    popped.open();
    go_on.wait();
    EXPECT_TRUE(queue.task_done());
  });
  popped.wait();
  consumer.stop();
  EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(30ms)));
  go_on.open();
  consumer.go_on();
  EXPECT_TRUE(queue.join().ok());
  EXPECT_TRUE(consumer.join().well());
}

TEST_F(QueueJoin, EveryProcessThatHasTheQueueIsToldOnce) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Gate told;
  Child consumer = consumer_with(queue, 1);
  Child other([&] {  // forked with the handle, before the loss
    told.wait();
    EXPECT_TRUE(absl::IsAborted(queue.join()));
    EXPECT_TRUE(queue.join().ok());
  });
  consumer.kill();
  EXPECT_TRUE(absl::IsAborted(queue.join()));
  auto copy = queue;
  EXPECT_TRUE(copy.join().ok()) << "a copy is the same handle";
  told.open();
  EXPECT_TRUE(other.join().well());
}

TEST_F(QueueJoin, WhoOpensItAfterwardsIsNotTold) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  ASSERT_TRUE(queue.push(1));
  consumer_with(queue, 1).kill();
  EXPECT_TRUE(absl::IsAborted(queue.join()));
  EXPECT_TRUE(Queue<int>::open(name)->join().ok());
}

TEST_F(QueueJoin, AllJoinsThatWaitAreTold) {
  auto queue = make_queue();
  ASSERT_TRUE(queue.push(1));
  Child consumer = consumer_with(queue, 1);
  std::atomic<int> told{0};
  std::vector<std::thread> joiners;
  for (int i = 0; i < 3; ++i) joiners.emplace_back([&] { told += absl::IsAborted(queue.join()); });
  std::vector<Child> others;
  Gate begun;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      begun.arrive();
      EXPECT_TRUE(absl::IsAborted(queue.join()));
    });
  }
  begun.wait_for(2);
  const auto all_wait = [&] { return (header_of(queue).takes.joiners.load() & 1) != 0; };
  while (!all_wait()) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);
  consumer.kill();
  for (std::thread& joiner : joiners) joiner.join();
  EXPECT_EQ(told, 3);
  for (Child& other : others) EXPECT_TRUE(other.join().well());
}

TEST_F(QueueJoin, ADeadClaimIsNoItem) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  Child producer([&] {
    layout::MpmcRingHeader& header = header_of(queue);
    const std::uint64_t t = header.tail.load();
    test::Reach::attachment(queue).seat().lane->announcement.store(t + 1);
    header.tail.store(t + 1);
    ::raise(SIGKILL);
  });
  producer.join();
  EXPECT_TRUE(queue.join().ok()) << "join itself buries it: there need be no consumer";
  EXPECT_EQ(queue.stats().buried, 1u);
  ASSERT_TRUE(queue.push(1));
  EXPECT_TRUE(waits(queue));
  ASSERT_TRUE(queue.pop() && queue.task_done());
  EXPECT_FALSE(queue.task_done());
  EXPECT_TRUE(queue.join().ok());
}

// Many rounds of work, kills at random: nothing is told that was not lost, and everything that was.
TEST_F(QueueJoin, KillsAtRandomAreAllTold) {
  auto queue = make_queue<int>(8);
  Shared<std::atomic<std::uint64_t>> done{0u};
  std::uint64_t lost = 0, pushed = 0;
  const auto join = [&] {
    for (;;) {
      const absl::Status status = queue.join_for(2ms);
      if (status.ok()) return true;
      if (!absl::IsAborted(status)) return false;
      const std::string text(status.message());
      lost += text.starts_with("an item") ? 1u : static_cast<std::uint64_t>(std::atoi(text.c_str()));
    }
  };
  constexpr int kKills = 60;
  for (int i = 0; i < kKills; ++i) {
    Gate running;
    Child consumer([&] {
      running.open();
      for (int n = 0; queue.pop(); ++n) {
        if (n % 3 == 0) std::this_thread::yield();
        if (queue.task_done()) done->fetch_add(1);
      }
    });
    running.wait();
    for (int n = 0; n < 50 + i; ++n) {
      ASSERT_TRUE(queue.push(n));
      ++pushed;
    }
    consumer.kill();
    (void)join();
  }
  while (queue.try_pop()) {
    EXPECT_TRUE(queue.task_done());
    done->fetch_add(1);
  }
  while (!join()) {
  }
  EXPECT_FALSE(queue.task_done());
  EXPECT_EQ(queue.stats().popped, pushed);
  // Between task_done() and the count a kill leaves one uncounted.
  EXPECT_LE(lost + done->load(), pushed);
  EXPECT_GE(lost + done->load() + kKills, pushed);
}

// --- words that a peer spoilt ----------------------------------------------------------------------------------------

TEST_F(QueueJoin, WhateverTheWordsSayCallsReturn) {
  auto queue = make_queue(4);
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  ASSERT_TRUE(queue.pop());
  auto& attachment = test::Reach::attachment(queue);
  layout::MpmcRingHeader& header = header_of(queue);
  layout::Lane& lane = *attachment.seat().lane;
  const auto spoil = [&](auto& word) {
    const auto was = word.load();
    using Word = decltype(was);
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 63,
                                      std::uint64_t{0x5555'5555'5555'5555}}) {
      word.store(static_cast<std::remove_cv_t<Word>>(value));
      (void)queue.join_for(0ms);
      (void)queue.task_done();
      (void)queue.stats();
      word.store(was);
    }
  };
  spoil(header.takes.settled);
  spoil(header.takes.blind);
  spoil(header.takes.loser);
  spoil(header.burials);
  spoil(header.high_water);
  spoil(lane.taking);
  spoil(lane.taken);
  spoil(lane.finished);
}

// A batch of as many as the count of losses has room for.
TEST_F(QueueJoin, ALossOfVeryManyIsToldAndNotForgotten) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  auto other = Queue<int>::open(name).value();
  layout::MpmcRingHeader& header = header_of(queue);
  header.head.store(std::uint64_t{layout::Settled::kLostMask} + 1);
  header.tail.store(std::uint64_t{layout::Settled::kLostMask} + 1);
  for (Queue<int>* const each : {&queue, &other}) {
    expect_lost(each->join(), "4095 or more items are lost");
    EXPECT_TRUE(each->join().ok());
  }
}

// Counters near the end of their words go on from zero.
TEST_F(QueueJoin, TheCountersMayOverflow) {
  auto queue = make_queue(4);
  layout::MpmcRingHeader& header = header_of(queue);
  layout::Lane& lane = *test::Reach::attachment(queue).seat().lane;
  const std::uint64_t position = (std::uint64_t{1} << 44) - 4;  // a multiple of the ring's slots
  header.head.store(position);
  header.tail.store(position);
  header.takes.settled.store(layout::Settled{.items = position}.word());
  lane.taken.store(~std::uint64_t{0} - 2);
  lane.finished.store(~std::uint64_t{0} - 2);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(queue.push(i));
    EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(0ms)));
    ASSERT_EQ(queue.pop(), i);
    EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(0ms)));
    EXPECT_TRUE(queue.task_done());
    EXPECT_FALSE(queue.task_done());
    EXPECT_TRUE(queue.join().ok());
  }
}

// --- the high-water mark ---------------------------------------------------------------------------------------------

TEST(QueueHighWater, IsExactWhereTheQueueWasFull) {
  for (const std::size_t capacity : {1u, 3u, 64u, 1000u}) {
    auto queue = make_queue(capacity);
    EXPECT_EQ(queue.stats().high_water, 0u);
    for (int round = 0; round < 2; ++round) {
      std::size_t pushed = 0;
      while (queue.try_push(1)) ++pushed;
      EXPECT_EQ(pushed, capacity);
      while (queue.try_pop()) {
      }
      EXPECT_EQ(queue.stats().high_water, capacity);
    }
  }
}

TEST(QueueHighWater, IsExactInASmallQueue) {
  auto queue = make_queue(7);
  for (std::size_t most = 1; most <= 7; ++most) {
    for (std::size_t i = 0; i < most; ++i) ASSERT_TRUE(queue.try_push(1));
    while (queue.try_pop()) {
    }
    EXPECT_EQ(queue.stats().high_water, most);
  }
}

TEST(QueueHighWater, IsNeverTooHighAndHardlyTooLow) {
  for (const std::size_t capacity : {0u, 100u, 5000u}) {
    auto queue = make_queue(capacity);
    std::uint64_t highest = 0;
    for (const std::size_t most : {1u, 2u, 9u, 40u, 99u, 30u}) {
      for (std::size_t round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < most; ++i) ASSERT_TRUE(queue.try_push(1));
        EXPECT_GE(queue.stats().high_water, most) << "what is in it counts, as exactly as it is known";
        while (queue.try_pop()) {
        }
      }
      highest = std::max<std::uint64_t>(highest, most);
      const std::uint64_t mark = queue.stats().high_water;
      EXPECT_LE(mark, highest);
      EXPECT_GE(mark + std::max<std::uint64_t>(8, highest / 8), highest);
    }
  }
}

TEST(QueueHighWater, ParcelsHaveOneToo) {
  auto queue = make_queue<std::string>(16);
  while (queue.try_push("text")) {
  }
  while (queue.try_pop()) {
  }
  EXPECT_EQ(queue.stats().high_water, 16u);
}

// Whoever filled it died before it raised the mark.
TEST(QueueHighWater, IsExactOnceAPushOfAParcelWasToldSo) {
  auto queue = make_queue<std::string>(16);
  while (queue.try_push("text")) {
  }
  auto& mark = reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object())->high_water;
  mark = 0;
  EXPECT_FALSE(queue.try_push("text"));
  EXPECT_EQ(mark, 16u);
}

}  // namespace
}  // namespace warren
