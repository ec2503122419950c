// Broadcast: who sees what, what is lost, who waits for whom, closing, misuse, handles by name and as values.
#include <warren/ipc/broadcast.h>
#include <warren/ipc/queue.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <limits>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/blocked.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::unique_name;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr BroadcastOptions kBlocking{.capacity = 4, .slow_reader = SlowReader::kBlocksWriter};

// All that is there now.
template <class T>
std::vector<T> all_of(Subscriber<T>& subscriber) {
  std::vector<T> items;
  while (std::optional<T> item = subscriber.try_pop()) items.push_back(*item);
  return items;
}

class BothModes : public ::testing::TestWithParam<SlowReader> {
 protected:
  Broadcast<int> broadcast_ = Broadcast<int>::create({.capacity = 4, .slow_reader = GetParam()}).value();
};
INSTANTIATE_TEST_SUITE_P(BroadcastTest, BothModes, testing::Values(SlowReader::kLoses, SlowReader::kBlocksWriter),
                         [](const auto& mode) { return mode.param == SlowReader::kLoses ? "Loses" : "BlocksWriter"; });

TEST_P(BothModes, EverySubscriberSeesEverythingFromWhereItJoined) {
  EXPECT_TRUE(broadcast_.push(1)) << "without subscribers it succeeds";
  auto first = broadcast_.subscribe().value();
  EXPECT_TRUE(broadcast_.try_push(2));
  EXPECT_TRUE(broadcast_.try_push_for(3, 1ms));
  auto second = broadcast_.subscribe().value();
  EXPECT_TRUE(broadcast_.try_push_until(4, Deadline::after(1ms)));
  EXPECT_THAT(all_of(first), ElementsAre(2, 3, 4));
  EXPECT_THAT(all_of(second), ElementsAre(4));
  EXPECT_EQ(first.lost() + second.lost(), 0u);
  EXPECT_EQ(broadcast_.stats().pushed, 4u);
}

TEST_P(BothModes, WithoutSubscribersPushesSucceed) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(broadcast_.try_push(i));
  { auto gone = broadcast_.subscribe().value(); }
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(broadcast_.try_push(i));
}

TEST_P(BothModes, SubscribersDrainWhatIsThereThenEnd) {
  auto subscriber = broadcast_.subscribe().value();
  EXPECT_TRUE(broadcast_.push(1));
  EXPECT_FALSE(broadcast_.closed());
  broadcast_.close();
  EXPECT_TRUE(broadcast_.closed());
  EXPECT_FALSE(broadcast_.push(2));
  EXPECT_FALSE(broadcast_.try_push(2));
  EXPECT_TRUE(absl::IsOutOfRange(broadcast_.check(2)));
  EXPECT_FALSE(subscriber.drained());
  EXPECT_EQ(subscriber.pop(), 1);
  EXPECT_TRUE(subscriber.drained());
  EXPECT_EQ(subscriber.pop(), std::nullopt);
  EXPECT_EQ(subscriber.try_pop_for(1h), std::nullopt) << "who is at the end waits for nothing";
  auto late = broadcast_.subscribe().value();
  EXPECT_TRUE(late.drained());
  EXPECT_EQ(late.pop(), std::nullopt);
  broadcast_.close();
}

TEST_P(BothModes, NothingNowIsNotTheEnd) {
  auto subscriber = broadcast_.subscribe().value();
  EXPECT_EQ(subscriber.try_pop(), std::nullopt);
  EXPECT_FALSE(subscriber.drained());
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms),
                          Timeout(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()))})
    EXPECT_EQ(subscriber.try_pop_for(d), std::nullopt);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(subscriber.try_pop_until(begin + 20ms), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
}

TEST_P(BothModes, APushWakesEverySubscriberThatSleeps) {
  auto first = broadcast_.subscribe().value(), second = broadcast_.subscribe().value();
  Blocked one([&] { EXPECT_EQ(first.pop(), 7); }), other([&] { EXPECT_EQ(second.try_pop_for(1h), 7); });
  EXPECT_TRUE(broadcast_.push(7));
  one.join();
  other.join();
}

TEST_P(BothModes, CloseWakesEverybody) {
  auto first = broadcast_.subscribe().value(), second = broadcast_.subscribe().value();
  Blocked one([&] { EXPECT_EQ(first.pop(), std::nullopt); }), other([&] { EXPECT_EQ(second.pop(), std::nullopt); });
  broadcast_.close();
  one.join();
  other.join();
}

TEST_P(BothModes, ASubscriberMovesAndOutlivesHandleAndThread) {
  std::optional<Subscriber<int>> kept;
  std::thread([&] {
    auto subscriber = broadcast_.subscribe().value();
    EXPECT_TRUE(broadcast_.push(1));
    EXPECT_TRUE(broadcast_.push(2));
    EXPECT_EQ(subscriber.pop(), 1);
    kept = std::move(subscriber);
  }).join();
  {
    auto other = Broadcast<int>::create({.capacity = 4, .slow_reader = GetParam()}).value();
    broadcast_.close();
    broadcast_ = other;
  }
  EXPECT_EQ(kept->pop(), 2);
  EXPECT_TRUE(kept->drained());
  kept = broadcast_.subscribe().value();
  EXPECT_TRUE(broadcast_.push(3));
  EXPECT_EQ(kept->pop(), 3) << "assigned: another subscription";
}

TEST_P(BothModes, ByNameAndAsAValue) {
  const std::string name = unique_name();
  auto made = Broadcast<int>::create(name, {.capacity = 3, .slow_reader = GetParam()}).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Broadcast<int>::create(name).status()));
  auto opened = Broadcast<int>::open("/" + name).value();
  EXPECT_EQ(Broadcast<int>::open_or_create(name, {.capacity = 99})->capacity(), 3u);
  EXPECT_TRUE(absl::IsFailedPrecondition(Broadcast<unsigned>::open(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>::open(name).status()));
  auto subscriber = made.subscribe().value();
  EXPECT_TRUE(opened.push(5));
  EXPECT_EQ(subscriber.pop(), 5);
  auto mail = Queue<Broadcast<int>>::create({.capacity = 1}).value();
  EXPECT_TRUE(mail.push(made));
  EXPECT_TRUE(mail.pop()->push(6));
  EXPECT_EQ(subscriber.pop(), 6);
  EXPECT_TRUE(Broadcast<int>::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Broadcast<int>::open(name).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Broadcast<int>::create("").status()));
}

TEST_P(BothModes, EveryItemIsWholeUpToTheLargestInASlot) {
  struct Large {
    std::array<std::uint64_t, 32> words;
  };
  static_assert(sizeof(Large) == 256);
  auto broadcast = Broadcast<Large>::create({.capacity = 2, .slow_reader = GetParam()}).value();
  auto subscriber = broadcast.subscribe().value();
  for (std::uint64_t n = 0; n < 10; ++n) {
    Large item{};
    for (std::uint64_t i = 0; i < 32; ++i) item.words[i] = n << 32 | i;
    ASSERT_TRUE(broadcast.push(item));
    const Large seen = subscriber.pop().value();
    for (std::uint64_t i = 0; i < 32; ++i) ASSERT_EQ(seen.words[i], n << 32 | i);
  }
  auto small = Broadcast<std::array<char, 3>>::create({.capacity = 2, .slow_reader = GetParam()}).value();
  auto reader = small.subscribe().value();
  EXPECT_TRUE(small.push({'a', 'b', 'c'}));
  EXPECT_EQ(reader.pop(), (std::array<char, 3>{'a', 'b', 'c'}));
}

TEST(BroadcastTest, TheSynopsisHolds) {
  static_assert(!std::is_copy_constructible_v<Subscriber<int>> &&
                std::is_nothrow_move_constructible_v<Subscriber<int>>);
  static_assert(std::is_nothrow_move_assignable_v<Subscriber<int>> && std::is_copy_constructible_v<Broadcast<int>>);
  static_assert(BroadcastOptions{}.capacity == 1024 && BroadcastOptions{}.slow_reader == SlowReader::kLoses);
  static_assert(
      noexcept(std::declval<Subscriber<int>&>().lost())&& noexcept(std::declval<Subscriber<int>&>().drained()));
}

TEST(BroadcastTest, ACapacityThatCannotBeIsRefused) {
  for (const std::size_t capacity : {std::size_t{0}, std::numeric_limits<std::size_t>::max(), std::size_t{1} << 45}) {
    const absl::Status status = Broadcast<int>::create({.capacity = capacity}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << capacity;
    EXPECT_THAT(std::string(status.message()), HasSubstr("capacity"));
  }
}

// --- kLoses ----------------------------------------------------------------------------------------------------------

TEST(BroadcastTest, ASlowSubscriberIsToldExactlyHowMuchItLost) {
  for (const std::size_t capacity : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{8}}) {
    auto broadcast = Broadcast<std::uint64_t>::create({.capacity = capacity}).value();
    auto subscriber = broadcast.subscribe().value();
    std::uint64_t next = 0, lost = 0;
    for (std::uint64_t burst : {capacity, capacity + 1, 3 * capacity + 2, std::size_t{1}, 100 * capacity}) {
      for (std::uint64_t i = 0; i < burst; ++i) ASSERT_TRUE(broadcast.try_push(next++));
      const std::uint64_t kept = std::min<std::uint64_t>(burst, capacity);
      const std::vector<std::uint64_t> seen = all_of(subscriber);
      ASSERT_EQ(seen.size(), kept);
      for (std::uint64_t i = 0; i < kept; ++i) ASSERT_EQ(seen[i], next - kept + i);
      lost += burst - kept;
      ASSERT_EQ(subscriber.lost(), lost);
    }
  }
}

TEST(BroadcastTest, ATryEndsAlsoWhereWritersAreFasterThanEveryCopy) {
  auto broadcast = Broadcast<int>::create({.capacity = 4}).value();
  auto& attachment = test::Reach::attachment(broadcast);
  auto& header = *reinterpret_cast<layout::BroadcastHeader*>(attachment.object());
  constexpr std::size_t kSlotBytes = detail::BroadcastSlots<int>::kSlotBytes;
  const auto geometry = detail::BroadcastRing::check(header, attachment.size(), sizeof(int), kSlotBytes).value();
  const detail::BroadcastRing ring(attachment, header, geometry, kSlotBytes);
  detail::BroadcastPlace place = ring.last();
  ASSERT_TRUE(broadcast.push(0));
  std::uint64_t copies = 0;
  const auto overtaken = [&](const std::byte*, std::uint64_t) {
    ++copies;
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(broadcast.push(i));
  };
  EXPECT_EQ(ring.try_read(place, overtaken), detail::Received::kNothing);
  EXPECT_EQ(copies, detail::BroadcastRing::kMostOverruns);
  const std::uint64_t before = place.position;
  EXPECT_EQ(place.lost, before) << "what it passed it has lost";
  EXPECT_EQ(ring.try_read(place, [](const std::byte*, std::uint64_t) {}), detail::Received::kItem);
  EXPECT_EQ(place.position, before + 1);
}

TEST(BroadcastTest, WhoLosesIsWaitedForByNobody) {
  auto broadcast = Broadcast<int>::create({.capacity = 2}).value();
  std::vector<Subscriber<int>> idle;
  for (int i = 0; i < 2'000; ++i) idle.push_back(broadcast.subscribe().value());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(broadcast.push(i));
  EXPECT_TRUE(broadcast.check(0).ok());
  EXPECT_EQ(broadcast.stats().waited_for, 0u);
  for (auto& subscriber : idle) {
    ASSERT_THAT(all_of(subscriber), ElementsAre(98, 99));
    ASSERT_EQ(subscriber.lost(), 98u);
  }
}

TEST(BroadcastTest, WhatWasLostBeforeTheEndIsToldWithTheRest) {
  auto broadcast = Broadcast<int>::create({.capacity = 2}).value();
  auto subscriber = broadcast.subscribe().value();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(broadcast.push(i));
  broadcast.close();
  EXPECT_EQ(subscriber.pop(), 3);
  EXPECT_EQ(subscriber.lost(), 3u);
  EXPECT_EQ(subscriber.pop(), 4);
  EXPECT_EQ(subscriber.pop(), std::nullopt);
}

// --- kBlocksWriter ---------------------------------------------------------------------------------------------------

TEST(BroadcastTest, TheSlowestHoldsUpWriters) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  auto slow = broadcast.subscribe().value(), fast = broadcast.subscribe().value();
  EXPECT_EQ(broadcast.stats().waited_for, 2u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(broadcast.try_push(i));
  EXPECT_THAT(all_of(fast), ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(broadcast.try_push(4));
  EXPECT_FALSE(broadcast.try_push_for(4, 2ms));
  EXPECT_TRUE(absl::IsResourceExhausted(broadcast.check(4)));
  EXPECT_EQ(slow.pop(), 0);
  EXPECT_TRUE(broadcast.try_push(4));
  EXPECT_FALSE(broadcast.try_push(5)) << "room for one";
  EXPECT_THAT(all_of(slow), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(all_of(fast), ElementsAre(4));
  EXPECT_EQ(slow.lost() + fast.lost(), 0u);
}

TEST(BroadcastTest, APopFreesBlockedWriters) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  auto subscriber = broadcast.subscribe().value();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(broadcast.push(i));
  Blocked one([&] { EXPECT_TRUE(broadcast.push(4)); }), other([&] { EXPECT_TRUE(broadcast.push(4)); });
  for (int i = 0; i < 4; ++i) EXPECT_EQ(subscriber.pop(), i);
  EXPECT_EQ(subscriber.pop(), 4);
  EXPECT_EQ(subscriber.pop(), 4);
  one.join();
  other.join();
}

TEST(BroadcastTest, TheEndOfASubscriberFreesBlockedWriters) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  std::optional<Subscriber<int>> subscriber = broadcast.subscribe().value();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(broadcast.push(i));
  Blocked one([&] { EXPECT_TRUE(broadcast.push(4)); }), other([&] { EXPECT_TRUE(broadcast.push(4)); });
  subscriber.reset();
  one.join();
  other.join();
  EXPECT_EQ(broadcast.stats().waited_for, 0u);
}

TEST(BroadcastTest, CloseFreesBlockedWritersWhoPushNothing) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  auto subscriber = broadcast.subscribe().value();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(broadcast.push(i));
  Blocked writer([&] { EXPECT_FALSE(broadcast.push(4)); });
  broadcast.close();
  writer.join();
  EXPECT_THAT(all_of(subscriber), ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(subscriber.drained());
}

TEST(BroadcastTest, ThereAre1024SubscribersThatWritersWaitFor) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  std::vector<Subscriber<int>> all;
  for (int i = 0; i < 1024; ++i) all.push_back(broadcast.subscribe().value());
  const absl::Status status = broadcast.subscribe().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1024"));
  EXPECT_TRUE(broadcast.push(1));
  for (auto& subscriber : all) ASSERT_EQ(subscriber.pop(), 1);
  all.erase(all.begin() + 17);
  EXPECT_TRUE(broadcast.subscribe().ok()) << "a cell was given back";
}

// --- threads ---------------------------------------------------------------------------------------------------------

// Of a writer, the how-manieth.
struct Mark {
  std::uint32_t writer, number;
};

// Everybody sees one order: what two subscribers saw differs by where they joined only.
TEST_P(BothModes, ManyWritersManyReadersOneOrder) {
  constexpr std::uint32_t kWriters = 3, kReaders = 3, kEach = 4'000;
  auto broadcast =
      Broadcast<Mark>::create({.capacity = GetParam() == SlowReader::kLoses ? kWriters * kEach : std::size_t{16},
                               .slow_reader = GetParam()})
          .value();
  std::array<std::vector<Mark>, kReaders> seen;
  std::vector<std::thread> readers, writers;
  for (auto& log : seen) {
    readers.emplace_back([&log, subscriber = broadcast.subscribe().value()]() mutable {
      while (const std::optional<Mark> mark = subscriber.pop()) log.push_back(*mark);
      EXPECT_EQ(subscriber.lost(), 0u);
    });
  }
  for (std::uint32_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (std::uint32_t n = 0; n < kEach; ++n) ASSERT_TRUE(broadcast.push({.writer = w, .number = n}));
    });
  }
  for (std::thread& writer : writers) writer.join();
  broadcast.close();
  for (std::thread& reader : readers) reader.join();
  std::array<std::uint32_t, kWriters> next{};
  ASSERT_EQ(seen[0].size(), kWriters * kEach);
  for (const Mark& mark : seen[0]) ASSERT_EQ(mark.number, next.at(mark.writer)++) << "out of the order of its writer";
  for (const auto& log : seen) {
    ASSERT_EQ(log.size(), seen[0].size());
    for (std::size_t i = 0; i < log.size(); ++i)
      ASSERT_TRUE(log[i].writer == seen[0][i].writer && log[i].number == seen[0][i].number) << i;
  }
}

// Of a single writer, whose items are numbers: no gap that is not counted, nothing twice.
TEST_P(BothModes, WhoJoinsWhileWritersRunMissesNothingAndSeesNothingTwice) {
  auto broadcast = Broadcast<std::uint64_t>::create({.capacity = 8, .slow_reader = GetParam()}).value();
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint64_t n = 0; !done; ++n) ASSERT_TRUE(broadcast.push(n));
  });
  for (int round = 0; round < 300; ++round) {
    auto subscriber = broadcast.subscribe().value();
    const std::uint64_t first = subscriber.pop().value();
    std::uint64_t before = subscriber.lost(), last = first;
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t item = subscriber.pop().value();
      ASSERT_EQ(item, last + 1 + subscriber.lost() - before) << "the items lost are counted exactly";
      before = subscriber.lost();
      last = item;
    }
    ASSERT_TRUE(GetParam() == SlowReader::kLoses || subscriber.lost() == 0);
  }
  done = true;
  writer.join();
}

}  // namespace
}  // namespace warren
