// Lease<T>: items that stay the queue's until they are acknowledged.
#include <warren/ipc/lease.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/lease_view.h"
#include "support/queue_blocks.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::QueueBlocks;
using test::Reach;
using test::Shared;
using ::testing::ElementsAre;

template <class T>
Queue<T> queue_of(std::size_t capacity = 4) {
  return Queue<T>::create({.capacity = capacity}).value();
}
layout::MpmcRingHeader& header_of(const Handle& queue) {
  return *reinterpret_cast<layout::MpmcRingHeader*>(Reach::attachment(queue).object());
}

// Every payload a queue carries: in its slot, in a block, encoded; the third word of its name is what makes it long.
template <class T>
T value(int i);
template <>
int value<int>(int i) {
  return i;
}
using Wide = std::array<std::uint64_t, 32>;
template <>
Wide value<Wide>(int i) {
  Wide wide;
  wide.fill(static_cast<std::uint64_t>(i) * 0x0101010101010101u);
  return wide;
}
template <>
std::string value<std::string>(int i) {
  return std::string(static_cast<std::size_t>(100 + 50 * i), static_cast<char>('a' + i));
}
using Map = std::map<int, std::string>;
template <>
Map value<Map>(int i) {
  return {{i, "x"}, {i + 1, std::string(300, 'y')}};
}

template <class T>
class LeaseOf : public testing::Test {};
using Payloads = testing::Types<int, Wide, std::string, Map>;
TYPED_TEST_SUITE(LeaseOf, Payloads);

TYPED_TEST(LeaseOf, AcknowledgedIsNeverDeliveredAgain) {
  auto queue = queue_of<TypeParam>();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(value<TypeParam>(i)));
  for (int i = 0; i < 3; ++i) {
    auto lease = queue.lease();
    ASSERT_TRUE(lease);
    EXPECT_EQ(*lease, value<TypeParam>(i));
    EXPECT_EQ(lease.attempt(), 1u);
    EXPECT_TRUE(lease.ack());
    EXPECT_FALSE(lease);
    EXPECT_EQ(*lease, value<TypeParam>(i)) << "the copy is the holder's";
    EXPECT_FALSE(lease.ack());
    EXPECT_FALSE(lease.give_back());
  }
  EXPECT_FALSE(queue.try_lease());
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_EQ(queue.stats().returned, 0u);
}

TYPED_TEST(LeaseOf, WhatIsDroppedComesBackToTheFront) {
  auto queue = queue_of<TypeParam>();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(value<TypeParam>(i)));
  { auto dropped = queue.lease(); }
  EXPECT_EQ(queue.stats().returned, 1u);
  EXPECT_EQ(queue.approx_size(), 3u);
  auto again = queue.lease();
  EXPECT_EQ(*again, value<TypeParam>(0));
  EXPECT_EQ(again.attempt(), 2u);
  EXPECT_EQ(queue.approx_size(), 2u);
  again.give_back();
  EXPECT_FALSE(again);
  EXPECT_EQ(queue.try_pop(), value<TypeParam>(0)) << "a plain pop takes it like any other";
  EXPECT_EQ(queue.try_pop(), value<TypeParam>(1));
  EXPECT_EQ(queue.try_pop(), value<TypeParam>(2));
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TYPED_TEST(LeaseOf, TheFirstComesBackFirst) {
  auto queue = queue_of<TypeParam>(8);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(queue.push(value<TypeParam>(i)));
  std::array<Lease<TypeParam>, 3> leases;
  for (auto& lease : leases) lease = queue.lease();
  leases[2].give_back();
  leases[0].give_back();
  leases[1].give_back();
  std::array<TypeParam, 8> out;
  std::size_t count = 0;
  while (count < 5) count += queue.pop_n(std::span(out).subspan(count));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], value<TypeParam>(i));
}

TYPED_TEST(LeaseOf, AttemptsAreCounted) {
  auto queue = queue_of<TypeParam>();
  for (std::uint32_t round = 0; round < 3; ++round) {
    ASSERT_TRUE(queue.push(value<TypeParam>(1)));
    for (std::uint32_t attempt = 1; attempt < 5; ++attempt) {
      auto lease = queue.try_lease_for(1s);
      ASSERT_TRUE(lease);
      EXPECT_EQ(lease.attempt(), attempt);
      EXPECT_EQ(*lease, value<TypeParam>(1));
      if (attempt == 4) lease.ack();
    }
  }
}

TYPED_TEST(LeaseOf, ItsHolderDies) {
  auto queue = queue_of<TypeParam>();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(queue.push(value<TypeParam>(i)));
  Child holder([&] {
    auto first = queue.lease();
    auto second = queue.lease();
    second.ack();
    ::kill(::getpid(), SIGKILL);
  });
  (void)holder.join();
  auto again = queue.try_lease_for(30s);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, value<TypeParam>(0));
  EXPECT_EQ(again.attempt(), 2u);
  EXPECT_EQ(queue.stats().returned, 1u);
  again.ack();
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TYPED_TEST(LeaseOf, OfAnUnboundedQueue) {
  if constexpr (detail::kInSlot<TypeParam>) {
    auto queue = Queue<TypeParam>::create().value();
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(queue.push(value<TypeParam>(i)));
    auto lease = queue.lease();
    for (int i = 1; i < 40; ++i) ASSERT_EQ(queue.try_pop(), value<TypeParam>(i));
    lease.give_back();
    EXPECT_EQ(queue.try_pop(), value<TypeParam>(0));
  }
}

TYPED_TEST(LeaseOf, ClosedIsNotDrainedWhileSomethingIsOnLease) {
  auto queue = queue_of<TypeParam>();
  ASSERT_TRUE(queue.push(value<TypeParam>(0)));
  auto lease = queue.lease();
  queue.close();
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  lease.give_back();
  EXPECT_FALSE(queue.drained());
  lease = queue.lease();
  ASSERT_TRUE(lease);
  EXPECT_FALSE(queue.drained());
  lease.ack();
  EXPECT_TRUE(queue.drained());
  EXPECT_FALSE(queue.lease());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(Lease, IsEmptyWhereThereIsNothing) {
  auto queue = queue_of<int>();
  EXPECT_FALSE(Lease<int>());
  EXPECT_EQ(Lease<int>().attempt(), 0u);
  EXPECT_FALSE(queue.try_lease());
  EXPECT_FALSE(queue.try_lease_for(1ms));
  EXPECT_FALSE(queue.try_lease_for(-1ms));
  const auto end = std::chrono::steady_clock::now() + 5ms;
  EXPECT_FALSE(queue.try_lease_until(end));
  EXPECT_GE(std::chrono::steady_clock::now(), end);
  queue.close();
  EXPECT_FALSE(queue.lease());
}

TEST(Lease, TakesNoneOfTheCapacity) {
  auto queue = queue_of<int>(2);
  ASSERT_TRUE(queue.push(1) && queue.push(2));
  auto lease = queue.lease();
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_FALSE(queue.try_push(4));
  lease.give_back();
  for (const int i : {1, 2, 3}) EXPECT_EQ(queue.try_pop(), i);
}

TEST(Lease, WhatCameBackIsReady) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  EXPECT_TRUE(queue.try_push(1));
  auto lease = queue.lease();
  EXPECT_THAT(wait({queue}, 0s), ::testing::IsEmpty());
  lease.give_back();
  EXPECT_THAT(wait({queue}), ::testing::ElementsAre(0u));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_THAT(wait({queue}), ::testing::ElementsAre(0u)) << "with another behind it";
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_THAT(wait({queue}, 0s), ::testing::IsEmpty());
}

TEST(Lease, WaitsForAnItem) {
  auto queue = queue_of<int>();
  {
    Blocked waits([&] {
      auto lease = queue.lease();
      EXPECT_EQ(*lease, 7);
      lease.ack();
    });
    ASSERT_TRUE(queue.push(7));
  }
  ASSERT_TRUE(queue.push(8));
  auto lease = queue.lease();
  Blocked waits([&] { EXPECT_EQ(queue.pop(), 8); });
  lease.give_back();  // wakes who waits for anything
}

TEST(Lease, TheLastAcknowledgementEndsAClosedQueue) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  auto lease = queue.lease();
  queue.close();
  Blocked pops([&] { EXPECT_EQ(queue.pop(), std::nullopt); });
  Blocked leases([&] { EXPECT_FALSE(queue.lease()); });
  EXPECT_FALSE(pops.returned());
  lease.ack();
}

TEST(Lease, AWaiterFindsWhatTheDeadHeldAtTheEnd) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  test::Gate held;
  Child holder([&] {
    auto lease = queue.lease();
    held.open();
    ::pause();
  });
  held.wait();
  queue.close();
  Blocked pops([&] { EXPECT_EQ(queue.pop(), 7); });
  (void)holder.kill();
  pops.join();
  EXPECT_TRUE(queue.drained());
}

TEST(Lease, WhoPollsFindsWhatTheDeadHeld) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  Child holder([&] {
    auto lease = queue.lease();
    ::kill(::getpid(), SIGKILL);
  });
  (void)holder.join();
  std::optional<int> item;
  while (!(item = queue.try_pop())) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(item, 7);
}

TEST(Lease, AStoppedHolderKeepsIt) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  test::Gate held;
  Child holder([&] {
    auto lease = queue.lease();
    held.open();
    while (!queue.closed()) std::this_thread::sleep_for(1ms);
    lease.ack();
  });
  held.wait();
  holder.stop();
  EXPECT_FALSE(queue.try_lease_for(400ms)) << "stopped is not dead";
  queue.close();
  holder.go_on();
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.stats().returned, 0u);
}

TEST(Lease, AProcessThatEndsGivesBack) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  Child holder([&] { new Lease<int>(queue.lease()); });  // forgotten
  EXPECT_TRUE(holder.join().well());
  EXPECT_EQ(queue.try_pop_for(30s), 7);
}

TEST(Lease, MovesAndIsAssigned) {
  auto queue = queue_of<int>();
  for (const int i : {1, 2}) ASSERT_TRUE(queue.push(i));
  auto first = queue.lease();
  auto second = queue.lease();
  auto moved = std::move(first);
  EXPECT_FALSE(first);  // NOLINT: that it is empty is its contract
  EXPECT_EQ(*moved, 1);
  moved = std::move(second);  // gives 1 back
  EXPECT_EQ(*moved, 2);
  EXPECT_EQ(queue.try_pop(), 1);
  auto& self = moved;
  moved = std::move(self);
  EXPECT_TRUE(moved);
  moved.ack();
  queue.close();
  EXPECT_TRUE(queue.drained());
}

TEST(Lease, OutlivesItsHandleAndTheThreadThatTookIt) {
  const test::Census before = test::Census::now();
  {
    Lease<std::string> lease;
    std::string name = test::unique_name();
    {
      auto queue = Queue<std::string>::create(name, {.capacity = 4}).value();
      ASSERT_TRUE(queue.push(std::string(500, 'x')));
      std::thread([&] { lease = queue.lease(); }).join();
    }
    ASSERT_TRUE(lease);
    EXPECT_EQ(*lease, std::string(500, 'x'));
    auto again = Queue<std::string>::open(name);
    ASSERT_TRUE(again.ok()) << again.status();
    (void)Reach::attachment(*again).sweep();
    EXPECT_EQ(again->try_pop(), std::nullopt) << "taken from a process that lives";
    std::thread([&] { lease.give_back(); }).join();
    EXPECT_EQ(again->try_pop(), std::string(500, 'x'));
  }
  EXPECT_EQ(test::Census::left_behind(before, test::Census::now()), "");
}

TEST(Lease, ItsCopyInAForkedChildIsEmpty) {
  auto queue = queue_of<int>();
  ASSERT_TRUE(queue.push(7));
  auto lease = queue.lease();
  Child child([&] {
    EXPECT_FALSE(lease);
    EXPECT_FALSE(lease.ack());
    EXPECT_FALSE(lease.give_back());
    lease = Lease<int>();
    EXPECT_EQ(queue.try_pop(), std::nullopt);
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_TRUE(lease);
  EXPECT_EQ(queue.stats().returned, 0u);
  EXPECT_TRUE(lease.give_back());
  EXPECT_FALSE(lease.ack()) << "it is the queue's again";
  EXPECT_EQ(queue.pop(), 7);
  EXPECT_FALSE(Lease<int>().ack());
}

// Who only leases looks for the dead too, and then takes back what they had.
TEST(Lease, WhatTheDeadHadIsTakenBackByWhoOnlyLeases) {
  auto queue = queue_of<std::string>(8);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(std::string(5'000, 'x')));
  const QueueBlocks blocks(queue);
  const std::size_t all = blocks.owned();
  Child dead([&] {
    auto borrowed = queue.borrow();
    ::raise(SIGKILL);
  });
  (void)dead.join();
  auto first = queue.try_lease();
  EXPECT_TRUE(first);
  auto second = queue.try_lease();
  EXPECT_TRUE(second);
  while (blocks.owned() == all) {
    EXPECT_FALSE(queue.try_lease());
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(blocks.owned(), all - 1);
}

void take_back_by_force(Queue<int>& queue) {
  const test::LeaseView view(Reach::attachment(queue), 1);
  EXPECT_TRUE(view.cells().give_back({.index = 0, .word = view.cell(0).word.load()}));
}

// A holder that was taken for dead, say from another PID namespace: its item is somebody else's by then.
TEST(Lease, OneThatWasLostIsNeitherAcknowledgedNorGivenBack) {
  for (const bool acknowledge : {true, false}) {
    auto queue = queue_of<int>();
    ASSERT_TRUE(queue.push(7));
    auto lost = queue.lease();
    take_back_by_force(queue);
    auto now = queue.try_lease();
    ASSERT_TRUE(now);
    EXPECT_EQ(now.attempt(), 2u);
    EXPECT_FALSE(acknowledge ? lost.ack() : lost.give_back());
    EXPECT_FALSE(lost);
    EXPECT_EQ(queue.try_pop(), std::nullopt) << "nothing changed";
    EXPECT_TRUE(now.ack());
    EXPECT_TRUE(queue.join_for(0ms).ok());
  }
}

TEST(Lease, AsManyAsThereAreCells) {
  auto queue = queue_of<int>(2000);
  for (int i = 0; i < 1500; ++i) ASSERT_TRUE(queue.push(i));
  std::vector<Lease<int>> leases;
  for (int i = 0; i < 1023; ++i) {
    leases.push_back(queue.try_lease());
    ASSERT_TRUE(leases.back()) << i;
  }
  EXPECT_FALSE(queue.try_lease());
  EXPECT_FALSE(queue.try_lease_for(2ms));
  EXPECT_EQ(queue.try_pop(), 1023) << "a pop needs none";
  Blocked waits([&] { EXPECT_EQ(*queue.lease(), 1024); });
  leases[500].ack();
  waits.join();
  leases.clear();
  for (int i = 0; i < 1500; ++i) {
    if (i != 500 && i != 1023) {
      ASSERT_EQ(queue.try_pop(), i);
    }
  }
}

TEST(Lease, BlocksStayTheItemsUntilItIsAcknowledged) {
  auto queue = queue_of<std::string>();
  const QueueBlocks blocks(queue);
  ASSERT_TRUE(queue.push(std::string(1000, 'x')));
  auto lease = queue.lease();
  EXPECT_EQ(blocks.owned_after_recovery(), 1u);
  lease.give_back();
  EXPECT_EQ(blocks.owned_after_recovery(), 1u);
  EXPECT_EQ(std::string((*queue.borrow()).data(), 1000), std::string(1000, 'x'));
  EXPECT_EQ(blocks.owned(), 0u);
  ASSERT_TRUE(queue.push(std::string(1000, 'y')));
  lease = queue.lease();
  lease.ack();
  EXPECT_EQ(blocks.owned(), 0u);
}

TEST(Lease, WhatMakesNoTIsSkippedForGood) {
  auto queue = queue_of<Map>();
  const QueueBlocks blocks(queue);
  ASSERT_TRUE(queue.push(value<Map>(1)) && queue.push(value<Map>(2)));
  blocks.slot(0)[1] = ~std::uint64_t{0};
  auto lease = queue.try_lease();
  ASSERT_TRUE(lease);
  EXPECT_EQ(*lease, value<Map>(2));
  EXPECT_EQ(queue.stats().undecodable, 1u);
  lease.ack();
  queue.close();
  EXPECT_TRUE(queue.drained());
}

// --- a peer's words --------------------------------------------------------------------------------------------------

TEST(LeaseWords, WhateverHeadAndCellsSayCallsReturn) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 400; ++round) {
    auto queue = queue_of<std::string>();
    const layout::MpmcRingHeader& before = header_of(queue);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(value<std::string>(i)));
    auto lease = queue.lease();
    (void)queue.lease();
    auto* const cells = reinterpret_cast<std::uint64_t*>(
        Reach::attachment(queue).object() +
        detail::LeaseCells::offset_behind(Reach::attachment(queue).max_size() -
                                          detail::LeaseCells::bytes(layout::kParcelWords)));
    ASSERT_EQ(layout::LeaseWord::from(cells[0]).state, layout::LeaseWord::State::kHeld);
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t bits = std::uint64_t{1} << random() % 64 | std::uint64_t{1} << random() % 64;
      switch (random() % 4) {
        case 0: header_of(queue).head ^= bits; break;
        case 1: header_of(queue).lease_cells ^= static_cast<std::uint32_t>(bits); break;
        default: cells[random() % 40] ^= bits;
      }
    }
    (void)queue.try_lease();
    (void)queue.try_lease_for(1ms);
    (void)queue.try_pop();
    (void)queue.try_push("x");
    std::array<std::string, 3> out;
    (void)queue.try_pop_n(out);
    if (round % 2 == 0) lease.ack();
    lease.give_back();
    (void)QueueBlocks(queue).owned_after_recovery();
    (void)queue.approx_size();
    queue.close();
    (void)queue.drained();
    (void)before;
  }
}

// A position less, and every bit that head has for a cell.
TEST(LeaseWords, AtTheEndOfItsPositionsAQueueIsAsClosed) {
  const std::string name = test::unique_name();
  auto first = Queue<int>::create(name, {.capacity = 4}).value();
  header_of(first).tail = header_of(first).head = layout::kMaxPosition - 3;
  auto queue = Queue<int>::open(name).value();
  for (const int i : {1, 2, 3}) EXPECT_TRUE(queue.try_push(i));
  EXPECT_FALSE(queue.try_push(4));
  EXPECT_FALSE(queue.push(4));
  EXPECT_TRUE(queue.closed());
  EXPECT_TRUE(absl::IsOutOfRange(queue.check(4)));
  auto third = Queue<int>::open(name);
  ASSERT_TRUE(third.ok()) << third.status();
  { auto lease = queue.lease(); }
  auto lease = queue.lease();
  EXPECT_EQ(lease.attempt(), 2u);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(third->pop(), 3);
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(header_of(queue).head, layout::kMaxPosition);
  lease.ack();
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace warren
