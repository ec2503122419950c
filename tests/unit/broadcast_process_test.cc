// Broadcast between processes: everybody's account, deaths, stops, forks, a peer's bytes.
#include <warren/ipc/broadcast.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::Shared;
using test::unique_name;

constexpr BroadcastOptions kBlocking{.capacity = 4, .slow_reader = SlowReader::kBlocksWriter};

// A process that is subscribed, and reads nothing.
template <class T>
Child idle_subscriber(Broadcast<T>& broadcast) {
  Gate joined;
  Child child([&] {
    auto subscriber = broadcast.subscribe().value();
    joined.open();
    for (;;) ::pause();
  });
  joined.wait();
  return child;
}

template <class T>
void fill(Broadcast<T>& broadcast) {
  for (std::size_t i = 0; i < broadcast.capacity(); ++i) ASSERT_TRUE(broadcast.push(T{}));
}

class BroadcastCrowd : public ::testing::TestWithParam<SlowReader> {};
INSTANTIATE_TEST_SUITE_P(BroadcastTest, BroadcastCrowd, testing::Values(SlowReader::kLoses, SlowReader::kBlocksWriter),
                         [](const auto& mode) { return mode.param == SlowReader::kLoses ? "Loses" : "BlocksWriter"; });

TEST_P(BroadcastCrowd, EveryProcessAccountsForEveryItem) {
  constexpr std::uint64_t kWriters = 2, kReaders = 3, kEach = 20'000;
  struct Item {
    std::uint64_t writer, number, check;
  };
  auto broadcast = Broadcast<Item>::create({.capacity = 64, .slow_reader = GetParam()}).value();
  Gate joined;
  std::vector<Child> writers, readers;
  for (std::uint64_t r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      auto subscriber = broadcast.subscribe().value();
      joined.arrive();
      std::array<std::uint64_t, kWriters> next{};
      std::uint64_t seen = 0;
      while (const std::optional<Item> item = subscriber.pop()) {
        ASSERT_EQ(item->check, item->writer * 31 + item->number * 17) << "torn";
        ASSERT_GE(item->number, next.at(item->writer)) << "out of the order of its writer, or twice";
        next[item->writer] = item->number + 1;
        ++seen;
      }
      EXPECT_EQ(seen + subscriber.lost(), kWriters * kEach);
      EXPECT_TRUE(GetParam() == SlowReader::kLoses || subscriber.lost() == 0);
    });
  }
  joined.wait_for(kReaders);
  for (std::uint64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (std::uint64_t n = 0; n < kEach; ++n)
        ASSERT_TRUE(broadcast.push({.writer = w, .number = n, .check = w * 31 + n * 17}));
    });
  }
  for (Child& writer : writers) EXPECT_TRUE(writer.join().well());
  broadcast.close();
  for (Child& reader : readers) EXPECT_TRUE(reader.join().well());
}

// --- deaths ----------------------------------------------------------------------------------------------------------

TEST(BroadcastDeath, OfTheSlowestFreesABlockedWriter) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  Child first = idle_subscriber(broadcast), second = idle_subscriber(broadcast);
  fill(broadcast);
  Child writer([&] { return broadcast.push(1) ? 0 : 1; });
  test::await_futex_sleep(writer.pid());
  (void)first.kill();
  (void)second.kill();
  EXPECT_TRUE(writer.join().well());
}

TEST(BroadcastDeath, OfTheSlowestIsFoundByWhoOnlyTries) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  Child first = idle_subscriber(broadcast), second = idle_subscriber(broadcast);
  fill(broadcast);
  EXPECT_FALSE(broadcast.try_push(1));
  first.kill_but_not_reap();
  second.kill_but_not_reap();
  while (!broadcast.try_push(1)) std::this_thread::yield();
  EXPECT_EQ(broadcast.stats().waited_for, 0u);
}

TEST(BroadcastDeath, CellsOfTheDeadAreUsedAgain) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  Gate joined;
  Child crowd([&] {
    std::vector<Subscriber<int>> all;
    for (int i = 0; i < 1024; ++i) all.push_back(broadcast.subscribe().value());
    joined.open();
    for (;;) ::pause();
  });
  joined.wait();
  EXPECT_TRUE(absl::IsResourceExhausted(broadcast.subscribe().status()));
  (void)crowd.kill();
  EXPECT_TRUE(broadcast.subscribe().ok());
}

TEST(BroadcastDeath, AStoppedSubscriberIsNotDead) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  Child idle = idle_subscriber(broadcast);
  fill(broadcast);
  idle.stop();
  EXPECT_FALSE(broadcast.try_push_for(1, 300ms));
  EXPECT_EQ(broadcast.stats().waited_for, 1u);
  (void)idle.kill();
  EXPECT_TRUE(broadcast.push(1));
}

TEST(BroadcastDeath, WhoDetachesIsNoLongerWaitedFor) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<int>::create(name, kBlocking).value();
  {
    auto subscriber = Broadcast<int>::open(name)->subscribe().value();
    fill(broadcast);
    EXPECT_FALSE(broadcast.try_push(1));
  }
  EXPECT_TRUE(broadcast.try_push(1));
}

// A writer that has its turn and goes no further.
Child writer_in_its_turn(Broadcast<int>& broadcast) {
  Gate in;
  Child child([&] {
    auto& header = *reinterpret_cast<layout::BroadcastHeader*>(test::Reach::attachment(broadcast).object());
    detail::MutexCore turn(test::Reach::attachment(broadcast), header.writer);
    if (turn.try_take() != detail::MutexCore::Take::kTaken) ::_exit(1);
    in.open();
    for (;;) ::pause();
  });
  in.wait();
  return child;
}

TEST(BroadcastDeath, OfAWriterInItsTurnHoldsUpNobody) {
  auto broadcast = Broadcast<int>::create().value();
  Child writer = writer_in_its_turn(broadcast);
  (void)writer.kill();
  auto subscriber = broadcast.subscribe().value();
  EXPECT_TRUE(broadcast.push(1));
  EXPECT_EQ(subscriber.pop(), 1);
}

TEST(BroadcastDeath, AWriterThatIsStoppedInItsTurnHoldsUpWritersAndNoSubscriber) {
  auto broadcast = Broadcast<int>::create().value();
  auto subscriber = broadcast.subscribe().value();
  EXPECT_TRUE(broadcast.push(1));
  Child writer = writer_in_its_turn(broadcast);
  writer.stop();
  EXPECT_FALSE(broadcast.try_push_for(2, 50ms));
  EXPECT_EQ(subscriber.pop(), 1);
  EXPECT_TRUE(broadcast.subscribe().ok()) << "with kLoses it takes no turn";
  broadcast.close();
  EXPECT_TRUE(subscriber.drained()) << "nor does close";
  EXPECT_FALSE(broadcast.push(3));
}

// --- forks -----------------------------------------------------------------------------------------------------------

TEST(BroadcastFork, AChildsCopyGoesOnByItselfAndLeavesItsParentsAlone) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  auto subscriber = broadcast.subscribe().value();
  EXPECT_TRUE(broadcast.push(1));
  EXPECT_TRUE(broadcast.push(2));
  {
    Gate overrun, read;
    std::optional<Subscriber<int>> copy = std::move(subscriber);
    Child child([&] {
      EXPECT_EQ(copy->pop(), 1);
      EXPECT_EQ(copy->pop(), 2);
      read.open();
      overrun.wait();
      EXPECT_EQ(copy->pop(), 5) << "nobody waits for it";
      EXPECT_EQ(copy->lost(), 2u);
      copy.reset();
    });
    read.wait();
    EXPECT_TRUE(broadcast.push(3));
    EXPECT_TRUE(broadcast.push(4));
    EXPECT_FALSE(broadcast.try_push(5)) << "the child's reading moves no cursor";
    EXPECT_EQ(copy->pop(), 1);
    EXPECT_EQ(copy->pop(), 2);
    for (int i = 5; i <= 6; ++i) EXPECT_TRUE(broadcast.push(i));
    for (int i = 3; i <= 4; ++i) EXPECT_EQ(copy->pop(), i);
    for (int i = 7; i <= 8; ++i) EXPECT_TRUE(broadcast.push(i));
    overrun.open();
    EXPECT_TRUE(child.join().well());
    subscriber = *std::move(copy);
  }
  EXPECT_EQ(broadcast.stats().waited_for, 1u) << "the child gave nothing back";
  EXPECT_FALSE(broadcast.try_push(9));
  for (int i = 5; i <= 8; ++i) EXPECT_EQ(subscriber.pop(), i);
}

TEST(BroadcastFork, AChildSubscribesForItself) {
  auto broadcast = Broadcast<int>::create(kBlocking).value();
  Gate joined;
  Child child([&] {
    auto subscriber = broadcast.subscribe().value();
    joined.open();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(subscriber.pop(), i);
    EXPECT_EQ(subscriber.pop(), std::nullopt);
  });
  joined.wait();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(broadcast.push(i));
  broadcast.close();
  EXPECT_TRUE(child.join().well());
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

constexpr std::size_t at(std::size_t field) { return layout::kObjectOffset + field; }
using Header = layout::BroadcastHeader;

TEST(BroadcastHostile, AGeometryThatCannotBeIsCorrupt) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<int>::create(name, kBlocking).value();
  const test::SegmentFile file(name);
  const auto refused = [&](std::size_t offset, auto wrong) {
    const auto right = file.read<decltype(wrong)>(at(offset));
    file.write(at(offset), wrong);
    EXPECT_TRUE(absl::IsDataLoss(Broadcast<int>::open(name).status())) << offset << ": " << wrong;
    file.write(at(offset), right);
  };
  for (const std::uint64_t wrong : {std::uint64_t{0}, std::uint64_t{5}, ~std::uint64_t{0}, std::uint64_t{1} << 40}) {
    refused(offsetof(Header, capacity), wrong);
    if (wrong != 5) refused(offsetof(Header, slot_count), wrong);
  }
  for (const std::uint32_t wrong : {0u, 7u, ~0u}) {
    refused(offsetof(Header, slot_bytes), wrong);
    refused(offsetof(Header, payload_bytes), wrong);
    if (wrong != 0) refused(offsetof(Header, cells), wrong);
  }
  refused(offsetof(Header, tail), std::uint64_t{1} << 62);
  EXPECT_TRUE(Broadcast<int>::open(name).ok());
}

TEST(BroadcastHostile, WordsThatMoveStopNobody) {
  for (const SlowReader mode : {SlowReader::kLoses, SlowReader::kBlocksWriter}) {
    const std::string name = unique_name();
    auto broadcast = Broadcast<int>::create(name, {.capacity = 4, .slow_reader = mode}).value();
    auto subscriber = broadcast.subscribe().value();
    const test::SegmentFile file(name);
    for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{1} << 40, std::uint64_t{1} << 61,
                                     (std::uint64_t{1} << 63) - 1, std::uint64_t{9}}) {
      file.write(at(offsetof(Header, tail)), word);
      for (const std::uint64_t other : {std::uint64_t{0}, word, word + 1, ~std::uint64_t{0}}) {
        file.write(at(offsetof(Header, lowest)), other);
        if (mode == SlowReader::kBlocksWriter) {
          file.write(at(sizeof(Header) + offsetof(layout::BroadcastCell, cursor)), other);
          file.write(at(offsetof(Header, cells_high)), static_cast<std::uint32_t>(other));
        }
        for (int i = 0; i < 6; ++i) (void)broadcast.try_push(i);
        for (int i = 0; i < 12; ++i) (void)subscriber.try_pop();
        (void)subscriber.try_pop_for(1us);
        (void)broadcast.try_push_for(1, 1us);
        (void)subscriber.lost();
        (void)subscriber.drained();
        (void)broadcast.stats();
        (void)broadcast.check(1);
      }
    }
  }
}

TEST(BroadcastHostile, CellsOfNobodyAreFreed) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<int>::create(name, kBlocking).value();
  const test::SegmentFile file(name);
  const layout::OwnedCell forged{.lane = 60'000, .generation = 7, .note = 0xffff'ffff, .owned = true};
  for (std::size_t i = 0; i < 1024; ++i) file.write(at(sizeof(Header) + 64 * i), forged.word());
  file.write(at(offsetof(Header, cells_high)), 1024u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(broadcast.try_push(i));
  EXPECT_TRUE(broadcast.subscribe().ok());
}

// 2^62 positions are never used up; whoever writes one near the end there breaks nothing.
TEST(BroadcastHostile, PositionsNearTheLimit) {
  for (const SlowReader mode : {SlowReader::kLoses, SlowReader::kBlocksWriter}) {
    const std::string name = unique_name();
    auto broadcast = Broadcast<int>::create(name, {.capacity = 4, .slow_reader = mode}).value();
    test::SegmentFile(name).write(at(offsetof(Header, tail)), layout::kMaxBroadcast - 100);
    auto subscriber = Broadcast<int>::open(name)->subscribe().value();
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(broadcast.try_push(i));
      ASSERT_EQ(subscriber.pop(), i);
    }
    EXPECT_EQ(subscriber.lost(), 0u);
  }
}

TEST(BroadcastHostile, ASegmentCutShortIsCorrupt) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<int>::create(name, {.capacity = 100'000}).value();
  test::SegmentFile(name).resize(layout::kObjectOffset + 8192);
  EXPECT_FALSE(Broadcast<int>::open(name).ok());
}

}  // namespace
}  // namespace warren
