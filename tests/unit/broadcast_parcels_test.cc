// Broadcast of what does not fit into a slot: encoded items and large ones, whole or counted as lost, in memory that is
// used again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/broadcast.h>

#include <atomic>
#include <map>
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
using test::unique_name;

// Tells whether it is whole.
std::string text_of(std::uint64_t number, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (number + i) % 26);
  return text;
}

class Parcels : public ::testing::TestWithParam<SlowReader> {
 protected:
  template <class T>
  Broadcast<T> make(std::size_t capacity) {
    return Broadcast<T>::create({.capacity = capacity, .slow_reader = GetParam()}).value();
  }
};
INSTANTIATE_TEST_SUITE_P(BroadcastParcelsTest, Parcels, testing::Values(SlowReader::kLoses, SlowReader::kBlocksWriter),
                         [](const auto& mode) { return mode.param == SlowReader::kLoses ? "Loses" : "BlocksWriter"; });

TEST_P(Parcels, TextsOfEverySizeArrive) {
  auto broadcast = make<std::string>(3);
  auto first = broadcast.subscribe().value(), second = broadcast.subscribe().value();
  for (const unsigned bytes : {0u, 1u, 111u, 112u, 113u, 120u, 4095u, 4096u, 100'001u, 300'000u, 5u, 113u, 0u}) {
    const std::string text = text_of(bytes, bytes);
    ASSERT_TRUE(broadcast.push(text));
    ASSERT_EQ(first.pop(), text);
    ASSERT_EQ(second.pop(), text);
  }
}

TEST_P(Parcels, AnythingThatTravelsDoes) {
  using Book = std::map<std::string, std::vector<int>>;
  auto books = make<Book>(2);
  auto reader = books.subscribe().value();
  const Book book{{"one", {1, 2, 3}}, {"long", std::vector<int>(1000, 7)}, {"", {}}};
  EXPECT_TRUE(books.try_push(book));
  EXPECT_EQ(reader.try_pop(), book);
  struct Large {
    std::array<int, 1000> numbers;
  };
  auto large = make<Large>(2);
  auto other = large.subscribe().value();
  Large item{};
  item.numbers[999] = 5;
  EXPECT_TRUE(large.push(item));
  EXPECT_EQ(other.pop()->numbers, item.numbers);
  EXPECT_EQ(books.stats().undecodable + large.stats().undecodable, 0u);
}

TEST_P(Parcels, WhatNeverFitsIsRefused) {
  auto broadcast =
      Broadcast<std::string>::create({.capacity = 2, .slow_reader = GetParam(), .max_item_bytes = 500}).value();
  EXPECT_TRUE(broadcast.push(text_of(0, 500)));
  EXPECT_FALSE(broadcast.push(text_of(0, 501)));
  EXPECT_TRUE(absl::IsInvalidArgument(broadcast.check(text_of(0, 501))));
  EXPECT_TRUE(broadcast.check(text_of(0, 500)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      (Broadcast<std::array<char, 300>>::create({.capacity = 2, .max_item_bytes = 299}).status())));
  EXPECT_TRUE(absl::IsInvalidArgument(
      (Broadcast<std::array<char, 30>>::create({.capacity = 2, .max_item_bytes = 29}).status())));
}

// Else it would grow by a block for each item.
TEST_P(Parcels, MemoryOfWhatWasOverwrittenIsUsedAgain) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<std::string>::create(name, {.capacity = 4, .slow_reader = GetParam()}).value();
  const test::SegmentFile file(name);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(broadcast.push(text_of(0, 1 << 16)));
  const auto used = file.stat().st_blocks;
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(broadcast.push(text_of(0, 1 << 16)));
  EXPECT_EQ(file.stat().st_blocks, used);
}

TEST_P(Parcels, BlocksOfWritersThatDieAreFound) {
  auto broadcast = make<std::string>(2);
  auto subscriber = broadcast.subscribe().value();
  ASSERT_TRUE(broadcast.push(text_of(1, 5000)));
  const auto parcels = detail::BroadcastParcels::attach(test::Reach::attachment(broadcast).shared_from_this()).value();
  for (int i = 0; i < 5; ++i) (void)Child([&] { (void)parcels->allocate(5000); }).join();
  EXPECT_EQ(parcels->reclaim(), 5u);
  EXPECT_EQ(parcels->reclaim(), 0u);
  EXPECT_EQ(subscriber.pop(), text_of(1, 5000)) << "an item's is not the dead's";
}

TEST(BroadcastParcelsTest, WhatIsLostIsCountedExactly) {
  auto broadcast = Broadcast<std::string>::create({.capacity = 3}).value();
  auto subscriber = broadcast.subscribe().value();
  for (std::size_t i = 0; i < 10; ++i) EXPECT_TRUE(broadcast.push(text_of(i, 1000 + i)));
  for (std::size_t i = 7; i < 10; ++i) EXPECT_EQ(subscriber.pop(), text_of(i, 1000 + i));
  EXPECT_EQ(subscriber.lost(), 7u);
}

// Every item is whole, of the very number that its place says, or counted.
TEST_P(Parcels, ReadersThatAreOvertakenReadNothingTorn) {
  constexpr std::uint64_t kItems = 2'000;
  auto broadcast = make<std::vector<std::uint64_t>>(4);
  std::atomic<int> joined{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      auto subscriber = broadcast.subscribe().value();
      ++joined;
      std::uint64_t seen = 0;
      while (const auto item = subscriber.pop()) {
        ASSERT_FALSE(item->empty());
        ASSERT_EQ(item->front(), seen + subscriber.lost());
        ASSERT_EQ(item->size(), 1 + item->front() % 3000);
        for (const std::uint64_t word : *item) ASSERT_EQ(word, item->front()) << "torn";
        ++seen;
      }
      EXPECT_EQ(seen + subscriber.lost(), kItems);
      EXPECT_TRUE(GetParam() == SlowReader::kLoses || subscriber.lost() == 0);
    });
  }
  while (joined < 2) std::this_thread::yield();
  for (std::uint64_t n = 0; n < kItems; ++n) ASSERT_TRUE(broadcast.push(std::vector<std::uint64_t>(1 + n % 3000, n)));
  broadcast.close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(broadcast.stats().undecodable, 0u);
}

TEST(BroadcastParcelsTest, WhatMakesNoItemIsSkippedAndCounted) {
  const std::string name = unique_name();
  using Words = std::vector<std::string>;
  auto broadcast = Broadcast<Words>::create(name, {.capacity = 4}).value();
  auto subscriber = broadcast.subscribe().value();
  const test::SegmentFile file(name);
  constexpr std::size_t kSlots = layout::kObjectOffset + sizeof(layout::BroadcastHeader);
  const std::vector<std::uint64_t> wrong{
      layout::ParcelLabel{.bytes = 113}.word(), layout::ParcelLabel{.bytes = ~std::uint64_t{0} >> 1}.word(),
      layout::ParcelLabel{.bytes = 8, .in_block = true}.word(), layout::ParcelLabel{.bytes = 3}.word()};
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    ASSERT_TRUE(broadcast.push({"a", "b"}));
    file.write(kSlots + i * detail::BroadcastParcels::kSlotBytes, wrong[i]);
    file.write(kSlots + i * detail::BroadcastParcels::kSlotBytes + 8, ~std::uint64_t{0});
  }
  EXPECT_EQ(subscriber.try_pop(), std::nullopt);
  EXPECT_EQ(broadcast.stats().undecodable, wrong.size());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(broadcast.push({"c", text_of(0, 1000)}));
    ASSERT_EQ(subscriber.pop(), (Words{"c", text_of(0, 1000)}));
  }
  EXPECT_EQ(subscriber.lost(), 0u);
}

TEST(BroadcastParcelsTest, AHeaderThatCannotBeIsCorrupt) {
  const std::string name = unique_name();
  auto broadcast = Broadcast<std::string>::create(name, {.capacity = 4}).value();
  const test::SegmentFile file(name);
  constexpr std::size_t kScale = layout::kObjectOffset + layout::kPage + offsetof(layout::ParcelHeader, scale);
  ASSERT_TRUE(std::has_single_bit(file.read<std::uint64_t>(kScale)));
  for (const std::uint64_t wrong : {std::uint64_t{0}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    file.write(kScale, wrong);
    EXPECT_TRUE(absl::IsDataLoss(Broadcast<std::string>::open(name).status())) << wrong;
  }
  EXPECT_TRUE(broadcast.push(text_of(0, 1000))) << "who is attached keeps to its own copy";
}

TEST(BroadcastParcelsTest, ARefusedPushGivesItsMemoryBack) {
  const std::string name = unique_name();
  auto broadcast =
      Broadcast<std::string>::create(name, {.capacity = 2, .slow_reader = SlowReader::kBlocksWriter}).value();
  const auto slow = broadcast.subscribe().value();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(broadcast.push(text_of(0, 1 << 16)));
  EXPECT_FALSE(broadcast.try_push(text_of(0, 1 << 16)));
  const test::SegmentFile file(name);
  const auto used = file.stat().st_blocks;
  for (int i = 0; i < 30; ++i) EXPECT_FALSE(broadcast.try_push(text_of(0, 1 << 16)));
  broadcast.close();
  for (int i = 0; i < 30; ++i) EXPECT_FALSE(broadcast.try_push(text_of(0, 1 << 16)));
  EXPECT_EQ(file.stat().st_blocks, used);
}

}  // namespace
}  // namespace warren
