// What only a priority queue does: its order. What it shares with a stack: locked_slots_test.cc.
#include <warren/ipc/priority_queue.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/locked_kinds.h"
#include "support/resources.h"

namespace warren {
namespace {

using test::LockedView;
using ::testing::ElementsAre;

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

PriorityQueue<int> queue_of(std::size_t capacity) { return PriorityQueue<int>::create({.capacity = capacity}).value(); }

template <class T>
std::vector<T> drain(PriorityQueue<T>& queue) {
  std::vector<T> out;
  while (std::optional<T> item = queue.try_pop()) out.push_back(*std::move(item));
  return out;
}

TEST(PriorityQueue, TheLargestComesFirst) {
  auto queue = queue_of(8);
  for (const int i : {3, -1, 7, 0, 5}) ASSERT_TRUE(queue.try_push(i, i));
  EXPECT_THAT(drain(queue), ElementsAre(7, 5, 3, 0, -1));
}

TEST(PriorityQueue, EveryNumberIsAPriority) {
  auto queue = queue_of(8);
  int i = 0;
  for (const std::int64_t priority : {std::int64_t{0}, kLeast, kMost, kLeast + 1, kMost - 1, std::int64_t{-1}, kMost})
    ASSERT_TRUE(queue.push(i++, priority));
  EXPECT_THAT(drain(queue), ElementsAre(2, 6, 4, 0, 5, 3, 1));
}

TEST(PriorityQueue, AmongEqualsFirstInFirstOut) {
  auto queue = queue_of(5);
  int next_in = 0, next_out = 0;
  for (int lap = 0; lap < 500; ++lap) {
    for (int i = 0; i < 1 + lap % 5; ++i) ASSERT_TRUE(queue.try_push(next_in++, 42));
    for (int i = 0; i < 1 + lap % 5; ++i) ASSERT_EQ(queue.try_pop(), next_out++);
  }
}

TEST(PriorityQueue, ALaterOneOfALargerPriorityPassesThoseThatWait) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.push(1, 0) && queue.push(2, 0) && queue.push(3, 1));
  EXPECT_EQ(queue.pop(), 3);
  ASSERT_TRUE(queue.push(4, 1));
  EXPECT_THAT(drain(queue), ElementsAre(4, 1, 2));
}

// Against a map of lists, with many equal ones.
TEST(PriorityQueue, IsWhatAModelSays) {
  std::mt19937 random(7);
  for (const std::size_t capacity : {1u, 2u, 3u, 7u, 64u, 1000u}) {
    auto queue = queue_of(capacity);
    std::multimap<std::int64_t, int, std::greater<>> model;
    for (int i = 0; i < 4000; ++i) {
      if (random() % 2 != 0) {
        const auto priority = static_cast<std::int64_t>(random() % 9) - 4;
        const bool room = model.size() < capacity;
        ASSERT_EQ(queue.try_push(i, priority), room);
        if (room) model.emplace(priority, i);
      } else {
        ASSERT_EQ(queue.try_pop(), model.empty() ? std::nullopt : std::optional(model.begin()->second));
        if (!model.empty()) model.erase(model.begin());
      }
      ASSERT_EQ(queue.approx_size(), model.size());
    }
  }
}

TEST(PriorityQueue, CarriesStringsInTheirOrder) {
  auto queue = PriorityQueue<std::string>::create({.capacity = 4}).value();
  const std::string large(5000, 'x');
  ASSERT_TRUE(queue.push("tidy up", -1) && queue.push(large, 3) && queue.push("answer", 10));
  EXPECT_THAT(drain(queue), ElementsAre("answer", large, "tidy up"));
}

// --- what the dead and peers left
// -------------------------------------------------------------------------------------

// As whoever takes the lock of a dead holder finds it.
void expect_told_and_repaired(PriorityQueue<int>& queue) {
  layout::Mutex& lock = LockedView(queue).header().lock;
  lock.state = layout::MutexState{.inconsistent = true}.word();
  (void)queue.try_push(-1, kLeast);
  EXPECT_EQ(lock.state.load(), 0u) << "free, and consistent";
}

TEST(PriorityQueueRepair, AnyHeapIsMadeAnewFromTheSlots) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    auto queue = queue_of(9);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(queue.push(i, i % 4));
    EXPECT_EQ(queue.pop(), 3);
    for (int i = 0; i < 9; ++i) LockedView(queue).heap()[i] = static_cast<std::uint32_t>(random() % 12);
    expect_told_and_repaired(queue);
    EXPECT_THAT(drain(queue), ElementsAre(7, 2, 6, 1, 5, 0, 4, -1));
  }
}

TEST(PriorityQueueRepair, APushThatWasNotCommittedDidNotHappen) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.push(1, 1));
  layout::PrioritySlot& slot = LockedView(queue).slot(LockedView(queue).heap()[1]);
  slot = {.ticket = 2, .taken = 0, .priority = 5};
  expect_told_and_repaired(queue);
  EXPECT_EQ(slot.ticket == 2 && slot.priority == 5, false) << "a later commit would mean it";
  EXPECT_THAT(drain(queue), ElementsAre(1, -1));
}

TEST(PriorityQueueRepair, APopThatWasNotCommittedDidNotHappen) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.push(1, 1) && queue.push(2, 2));
  LockedView(queue).slot(LockedView(queue).heap()[0]).taken = 1;
  expect_told_and_repaired(queue);
  EXPECT_THAT(drain(queue), ElementsAre(2, 1, -1));
}

TEST(PriorityQueueRepair, AHeapThatMakesNoSenseIsMadeAnewOnTheWay) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.push(1, 1) && queue.push(2, 2));
  LockedView(queue).heap()[0] = 3;  // of a free slot
  EXPECT_EQ(queue.try_pop(), 2);
  LockedView(queue).heap()[1] = LockedView(queue).heap()[0];  // not free
  EXPECT_TRUE(queue.try_push(3, 3));
  LockedView(queue).heap()[0] = 77;
  EXPECT_EQ(queue.approx_size(), 2u);
  (void)queue.try_pop();
  (void)queue.try_pop();
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

}  // namespace
}  // namespace warren
