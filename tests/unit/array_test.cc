// Array: how one is made, plain and atomic access, bounds, sizes that cannot be, handles by fork and by name, hostile
// bytes.
#include <warren/ipc/array.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <list>
#include <mutex>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/isolation.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::unique_name;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Point {
  int x, y;
  friend bool operator==(const Point&, const Point&) = default;
};
struct Padded {
  char tag;
  std::int32_t number;
};
struct alignas(256) Aligned {
  char byte;
};

static_assert(std::ranges::contiguous_range<Array<int>> && std::ranges::sized_range<Array<int>>);
static_assert(std::ranges::contiguous_range<const Array<int>>);

// --- made of ---------------------------------------------------------------------------------------------------------

TEST(ArrayTest, ANumberOfZeros) {
  auto zeros = Array<double>::create(100).value();
  EXPECT_EQ(zeros.size(), 100u);
  EXPECT_EQ(std::ranges::count(zeros, 0.0), 100);
  EXPECT_EQ(Array<int>::create({5}).value().size(), 1u) << "braces are elements";
}

TEST(ArrayTest, AList) {
  EXPECT_THAT(Array<int>::create({1, 2, 3}).value(), ElementsAre(1, 2, 3));
  EXPECT_THAT((Array<Point>::create({{1, 2}, {3, 4}}).value()), ElementsAre(Point{1, 2}, Point{3, 4}));
}

TEST(ArrayTest, AnyRange) {
  EXPECT_THAT(Array<int>::create(std::views::iota(0, 4)).value(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Array<long>::create(std::list<int>{1, 2}).value(), ElementsAre(1, 2));
  EXPECT_THAT(Array<bool>::create(std::vector<bool>{true, false}).value(), ElementsAre(true, false));
  EXPECT_THAT(Array<char>::create(std::span("ab", 2)).value(), ElementsAre('a', 'b'));
  auto even = std::views::iota(0, 7) | std::views::filter([](int i) { return i % 2 == 0; });
  EXPECT_THAT(Array<int>::create(even).value(), ElementsAre(0, 2, 4, 6)) << "of unknown length";
  std::istringstream text("3 4 5");
  EXPECT_THAT(Array<int>::create(std::ranges::istream_view<int>(text)).value(), ElementsAre(3, 4, 5)) << "seen once";
  EXPECT_THAT(Array<int>::create(Array<int>::create({7, 8}).value()).value(), ElementsAre(7, 8)) << "a copy";
}

TEST(ArrayTest, NothingAtAll) {
  auto none = Array<int>::create(0).value();
  EXPECT_EQ(none.size(), 0u);
  EXPECT_TRUE(none.begin() == none.end() && none.span().empty());
  EXPECT_EQ(Array<int>::create(std::vector<int>{}).value().size(), 0u);
}

TEST(ArrayTest, WhatARangeThrowsLeavesNothing) {
  const std::string name = unique_name();
  const auto throwing = std::views::iota(0, 3) | std::views::transform([](int i) { return i < 2 ? i : throw i; });
  EXPECT_THROW((void)Array<int>::create(name, throwing), int);
  EXPECT_FALSE(test::name_exists(name));
}

// --- sizes that cannot be --------------------------------------------------------------------------------------------

TEST(ArrayTest, AnAbsurdSizeIsAnError) {
  const absl::Status status = Array<double>::create(std::numeric_limits<std::size_t>::max()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("18446744073709551615 elements of 8 bytes"));
  EXPECT_TRUE(absl::IsInvalidArgument(Array<double>::create((std::size_t{1} << 61) + 1).status())) << "wraps to 8";
  EXPECT_TRUE(absl::IsResourceExhausted(Array<double>::create(std::size_t{1} << 41).status())) << "16 TiB";
}

TEST(ArrayTest, AFullShmIsAnErrorAndNoSigbus) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(8 << 20, [] {
    EXPECT_TRUE(absl::IsResourceExhausted(Array<char>::create("large", 16 << 20).status()));
    auto small = Array<char>::create("small", 1 << 20).value();
    std::ranges::fill(small, 'x');
  }));
}

// --- plain memory ----------------------------------------------------------------------------------------------------

TEST(ArrayTest, ElementsArePlainMemory) {
  auto array = Array<int>::create(5).value();
  std::iota(array.begin(), array.end(), 1);
  for (int& x : array) x = -x;
  array[1] = 7;
  array.span()[2] = 8;
  array.data()[3] = 9;
  EXPECT_THAT(array, ElementsAre(-1, 7, 8, 9, -5));
  EXPECT_EQ(std::ranges::max(array), 9);
  const Array<int>& same = array;
  EXPECT_EQ(same[1] + same.span()[2] + *(same.data() + 3) + *(same.end() - 1), 7 + 8 + 9 - 5);
  static_assert(std::same_as<decltype(same[0]), const int&>);
}

TEST(ArrayTest, AlignedAsTheTypeAsks) {
  auto array = Array<Aligned>::create(3).value();
  for (const Aligned& x : array) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&x) % alignof(Aligned), 0u);
}

using ArrayDeathTest = ::testing::Test;

TEST(ArrayDeathTest, AnIndexPastTheEndStopsTheProgram) {
  auto array = Array<int>::create({1, 2, 3}).value();
  constexpr const char* kMessage = "index 3 of an Array of 3 elements";
  EXPECT_DEATH(array[3] = 1, kMessage);
  EXPECT_DEATH((void)std::as_const(array)[3], kMessage);
  EXPECT_DEATH((void)array.load(3), kMessage);
  EXPECT_DEATH(array.store(3, 1), kMessage);
  EXPECT_DEATH(array.fetch_add(3, 1), kMessage);
  EXPECT_DEATH(Array<int>::create(0).value()[0] = 1, "index 0 of an Array of 0 elements");
}

// --- atomic ----------------------------------------------------------------------------------------------------------

TEST(ArrayTest, ElementsAreAtomicWhereTheySaySo) {
  auto array = Array<int>::create(2).value();
  array.store(1, 4);
  EXPECT_EQ(array.load(1), 4);
  EXPECT_EQ(array.exchange(1, 5), 4);
  EXPECT_EQ(array.fetch_add(1, 3), 5);
  EXPECT_EQ(array.fetch_sub(1, 1), 8);
  EXPECT_EQ(array.fetch_or(1, 8), 7);
  EXPECT_EQ(array.fetch_and(1, 9), 15);
  EXPECT_EQ(array.fetch_xor(1, 1), 9);
  int expected = 7;
  EXPECT_FALSE(array.compare_exchange(1, expected, 1));
  EXPECT_EQ(expected, 8);
  EXPECT_TRUE(array.compare_exchange(1, expected, 1));
  EXPECT_THAT(array, ElementsAre(0, 1)) << "and its neighbour is as it was";
}

TEST(ArrayTest, PaddingThatAPlainWriteLeftIsNotCompared) {
  auto array = Array<Padded>::create(1).value();
  std::memset(static_cast<void*>(array.data()), 0x55, sizeof(Padded));
  array[0].tag = 'a';
  array[0].number = 1;
  Padded expected{.tag = 'a', .number = 1};
  EXPECT_TRUE(array.compare_exchange(0, expected, {.tag = 'b', .number = 2}));
  EXPECT_EQ(array.load(0).number, 2);
}

template <class T>
class Counters : public ::testing::Test {};
using Numbers = ::testing::Types<std::uint8_t, short, unsigned, long, float, double>;
TYPED_TEST_SUITE(Counters, Numbers);

TYPED_TEST(Counters, NoAdditionIsLostNorMeetsItsNeighbour) {
  constexpr int kEach = 40;
  auto array = Array<TypeParam>::create(3).value();
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      std::thread other([&] {
        for (int n = 0; n < kEach; ++n) array.fetch_add(0, 1), array.fetch_add(2, 1);
      });
      for (int n = 0; n < kEach; ++n) array.fetch_sub(1, 1);
      other.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_THAT(array, ElementsAre(3 * kEach, static_cast<TypeParam>(-3 * kEach), 3 * kEach));
}

// --- the lock --------------------------------------------------------------------------------------------------------

TEST(ArrayTest, TheMutexGuardsWhatIsPlain) {
  constexpr int kEach = 5'000;
  auto array = Array<long>::create(64).value();
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        const std::scoped_lock guard(array.mutex());
        for (long& x : array) ++x;
      }
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  for (const long x : array) ASSERT_EQ(x, 3 * kEach);
}

TEST(ArrayTest, WhoLocksAfterADeathIsToldUntilOneRepairs) {
  auto array = Array<int>::create({1, 1}).value();
  (void)Child([&] {
    array.mutex().lock();
    array[0] = 2;  // and dies before the second
  }).join();
  for (int i = 0; i < 2; ++i) {
    const std::scoped_lock guard(array.mutex());
    ASSERT_TRUE(array.mutex().owner_died());
  }
  const std::scoped_lock guard(array.mutex());
  array[1] = array[0];
  EXPECT_TRUE(array.mutex().consistent());
  EXPECT_FALSE(array.mutex().owner_died());
}

// --- handles and names -----------------------------------------------------------------------------------------------

TEST(ArrayTest, ByName) {
  const std::string name = unique_name();
  auto array = Array<int>::create(name, 3).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Array<int>::create(name, {1, 2}).status()));
  EXPECT_TRUE(Child([&] { Array<int>::open("/" + name).value()[1] = 5; }).join().well());
  EXPECT_EQ(array[1], 5);
  EXPECT_EQ(Array<int>::open(name)->size(), 3u);
  EXPECT_TRUE(Array<int>::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Array<int>::open(name).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Array<int>::create("", 3).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Array<int>::create("", {1, 2}).status()));
}

TEST(ArrayTest, NamedOnesHaveElementsFromTheStart) {
  const std::string name = unique_name();
  const auto listed = Array<int>::create(name, {1, 2, 3}).value();
  const auto ranged = Array<int>::create(name + "r", std::views::iota(4, 6)).value();
  EXPECT_THAT(Array<int>::open(name).value(), ElementsAre(1, 2, 3));
  EXPECT_THAT(Array<int>::open(name + "r").value(), ElementsAre(4, 5));
}

TEST(ArrayTest, AnotherSizeOrTypeOfThatNameIsRefused) {
  const std::string name = unique_name();
  const auto array = Array<int>::create(name, {1, 2, 3}).value();
  EXPECT_THAT(Array<int>::open_or_create(name, 3).value(), ElementsAre(1, 2, 3));
  const absl::Status size = Array<int>::open_or_create(name, 4).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(size));
  EXPECT_THAT(std::string(size.message()), HasSubstr("is an array of 3 elements, not of 4"));
  const absl::Status type = Array<float>::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(type));
  EXPECT_THAT(std::string(type.message()), HasSubstr("is an array of int (4 bytes), not an array of float (4 bytes)"));
}

TEST(ArrayTest, ANameMayOutliveItsProcesses) {
  const std::string name = unique_name();
  (void)Array<int>::create(name, {1, 2}, {.lifetime = Lifetime::kUntilUnlinked}).value();
  EXPECT_THAT(Array<int>::open(name).value(), ElementsAre(1, 2));
  EXPECT_TRUE(Array<int>::unlink(name).ok());
}

TEST(ArrayTest, CopiesOfAHandleAreTheSameArray) {
  auto array = Array<int>::create(1).value();
  Array<int> copy = array;
  copy[0] = 5;
  EXPECT_EQ(array[0], 5);
  copy.mutex().lock();
  EXPECT_TRUE(array.mutex().unlock());
}

// --- peers' bytes ----------------------------------------------------------------------------------------------------

TEST(ArrayTest, AHeaderThatCannotBeIsRefused) {
  const std::string name = unique_name();
  auto array = Array<int>::create(name, 1000).value();
  const test::SegmentFile file(name);
  const auto spoilt = [&](std::size_t field, std::uint64_t wrong) {
    const auto right = file.read<std::uint64_t>(layout::kObjectOffset + field);
    file.write(layout::kObjectOffset + field, wrong);
    const absl::Status status = Array<int>::open(name).status();
    file.write(layout::kObjectOffset + field, right);
    return status;
  };
  using Header = layout::ArrayHeader;
  for (const std::uint64_t size : {std::uint64_t{1001}, std::uint64_t{1} << 62, ~std::uint64_t{0}})
    EXPECT_TRUE(absl::IsDataLoss(spoilt(offsetof(Header, size), size))) << size;
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{8}})
    EXPECT_TRUE(absl::IsDataLoss(spoilt(offsetof(Header, element_bytes), bytes))) << bytes;
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{129}, ~std::uint64_t{0}})
    EXPECT_TRUE(absl::IsDataLoss(spoilt(offsetof(Header, elements_offset), offset))) << offset;
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{127}}) {
    file.write(offsetof(layout::SegmentHeader, size), size);
    EXPECT_FALSE(Array<int>::open(name).ok()) << size;
  }
}

TEST(ArrayTest, ASizeThatAPeerChangesLaterChangesNothing) {
  const std::string name = unique_name();
  auto array = Array<int>::create(name, 3).value();
  test::SegmentFile(name).write(layout::kObjectOffset + offsetof(layout::ArrayHeader, size), std::uint64_t{1} << 40);
  EXPECT_EQ(array.size(), 3u);
  EXPECT_DEATH(array[3] = 1, "index 3 of an Array of 3");
}

}  // namespace
}  // namespace warren
