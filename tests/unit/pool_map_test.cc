#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <csignal>
#include <cstdlib>
#include <list>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

int twice(int x) { return 2 * x; }

class PoolMap : public WithMarks {
 protected:
  Pool pool = make_pool(2);
};

// --- chunks ----------------------------------------------------------------------------------------------------------

class Chunksize : public PoolMap, public testing::WithParamInterface<std::optional<std::size_t>> {};

TEST_P(Chunksize, ChangesNoResultAndRunsEachItemOnce) {
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  const auto counts = [](int i) { return ++marks->ran[static_cast<std::size_t>(i)], i; };
  EXPECT_EQ(pool.map({.chunksize = GetParam()}, counts, std::views::iota(0, 100)).value(), expected);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(marks->ran[i], 1u) << i;
}

INSTANTIATE_TEST_SUITE_P(, Chunksize, testing::Values(std::nullopt, 1, 7, 99, 100, 101, SIZE_MAX));

TEST_F(PoolMap, AChunksizeOfZeroIsAnInvalidArgument) {
  EXPECT_EQ(pool.map({.chunksize = 0}, twice, {1, 2}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(pool.map({.chunksize = 0}, [](int) {}, {1, 2}).code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::tuple<int>> none;
  EXPECT_EQ(pool.starmap({.chunksize = 0}, twice, none).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PoolMap, TheItemsOfAChunkRunInOneWorker) {
  const auto pids = pool.map(
                            {.chunksize = 10}, [](int) { return ::getpid(); }, std::views::iota(0, 100))
                        .value();
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(pids[i], pids[i / 10 * 10]);
}

TEST_F(PoolMap, TheDefaultIsAboutFourChunksForEachWorker) {
  const auto ids = pool.map([](int) { return current_task().id().value; }, std::views::iota(0, 80)).value();
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), 8u);
}

TEST_F(PoolMap, MoreChunksThanMayBePending) {
  Pool small = make_pool(2, 4);
  EXPECT_EQ(small.map({.chunksize = 1}, twice, std::views::iota(0, 1000)).value().back(), 1998);
}

// --- ranges ----------------------------------------------------------------------------------------------------------

TEST_F(PoolMap, TakesListsVectorsViewsAndArrays) {
  EXPECT_THAT(pool.map(twice, {1, 2, 3}).value(), ElementsAre(2, 4, 6));
  EXPECT_THAT(pool.map({.chunksize = 2}, twice, {1, 2, 3}).value(), ElementsAre(2, 4, 6));
  const std::vector<int> vector{1, 2};
  EXPECT_THAT(pool.map(twice, vector).value(), ElementsAre(2, 4));
  EXPECT_THAT(pool.map(twice, std::vector{3}).value(), ElementsAre(6));
  EXPECT_THAT(pool.map(twice, std::list{1, 2}).value(), ElementsAre(2, 4));
  const int array[] = {1, 2};
  EXPECT_THAT(pool.map(twice, array).value(), ElementsAre(2, 4));
  EXPECT_THAT(pool.map(twice, vector | std::views::reverse).value(), ElementsAre(4, 2));
  EXPECT_THAT(pool.map([](bool b) { return !b; }, std::vector<bool>{true, false}).value(), ElementsAre(false, true));
}

TEST_F(PoolMap, TextsOfAListBecomeStrings) {
  EXPECT_THAT(pool.map([](std::string s) { return s.size(); }, {"a", "bcd"}).value(), ElementsAre(1u, 3u));
}

TEST_F(PoolMap, SeveralRangesAreZippedToTheShortest) {
  const std::vector<std::string> words{"a", "b", "c", "d"};
  const auto repeat = [](const std::string& s, int n, bool upper) {
    std::string text;
    for (int i = 0; i < n; ++i) text += upper ? "X" : s;
    return text;
  };
  EXPECT_THAT(pool.map(repeat, words, std::views::iota(1), std::vector<bool>{false, true, false}).value(),
              ElementsAre("a", "XX", "ccc"));
  EXPECT_THAT(pool.map({.chunksize = 1}, repeat, words, std::vector{2}, std::list{false}).value(), ElementsAre("aa"));
}

TEST_F(PoolMap, AnEmptyRangeGivesNothing) {
  EXPECT_THAT(pool.map(twice, std::vector<int>()).value(), IsEmpty());
  EXPECT_THAT(pool.map({.chunksize = 5}, twice, std::views::empty<int>).value(), IsEmpty());
  EXPECT_THAT(pool.map([](int a, int b) { return a + b; }, std::views::iota(0), std::vector<int>()).value(), IsEmpty());
  EXPECT_TRUE(pool.map([](int) {}, std::vector<int>()).ok());
}

// A range that can be read once and does not know its size.
TEST_F(PoolMap, ReadsInputRangesOnce) {
  std::istringstream numbers("1 2 3 4 5 6 7 8 9");
  EXPECT_THAT(pool.map(twice, std::ranges::istream_view<int>(numbers)).value(),
              ElementsAre(2, 4, 6, 8, 10, 12, 14, 16, 18));
  std::istringstream more("1 2 3");
  EXPECT_THAT(pool.map({.chunksize = 2}, twice, std::ranges::istream_view<int>(more)).value(), ElementsAre(2, 4, 6));
}

TEST_F(PoolMap, ReadsLazyRangesInTheCallersThread) {
  int read = 0;
  const pid_t self = ::getpid();
  const auto lazy = std::views::iota(0, 10) | std::views::transform([&](int i) {
                      EXPECT_EQ(::getpid(), self);
                      return ++read, i;
                    });
  EXPECT_EQ(pool.map({.chunksize = 3}, twice, lazy).value().size(), 10u);
  EXPECT_EQ(read, 10);
  auto odd = std::views::iota(0, 10) | std::views::filter([](int i) { return i % 2 == 1; });
  EXPECT_THAT(pool.map(twice, odd).value(), ElementsAre(2, 6, 10, 14, 18));
}

TEST_F(PoolMap, ARangeThatThrowsThrowsToTheCaller) {
  const auto throwing = std::views::iota(0, 10) | std::views::transform([](int i) { return i == 5 ? throw 5 : i; });
  EXPECT_THROW((void)pool.map({.chunksize = 2}, twice, throwing), int);
  EXPECT_THAT(pool.map(twice, {1}).value(), ElementsAre(2));
}

TEST_F(PoolMap, MoveOnlyItems) {
  std::vector<std::unique_ptr<int>> pointers;
  for (int i = 0; i < 10; ++i) pointers.push_back(std::make_unique<int>(i));
  const auto moved = std::ranges::subrange(std::move_iterator(pointers.begin()), std::move_sentinel(pointers.end()));
  const auto results = pool.map([](std::unique_ptr<int> p) { return std::make_unique<int>(2 * *p); }, moved).value();
  EXPECT_EQ(*results.at(9), 18);
}

TEST_F(PoolMap, VoidGivesAStatus) {
  EXPECT_TRUE(pool.map([](int) { ++marks->count; }, std::views::iota(0, 50)).ok());
  EXPECT_EQ(marks->count, 50u);
  const auto fails_at_7 = [](int i) { return i == 7 ? absl::NotFoundError("7") : absl::OkStatus(); };
  EXPECT_EQ(pool.map(fails_at_7, std::views::iota(0, 50)).code(), absl::StatusCode::kNotFound);
}

TEST_F(PoolMap, LargeItemsAndResults) {
  const auto strings = pool.map(
                               {.chunksize = 3}, [](int i) { return std::string(100'000, static_cast<char>('a' + i)); },
                               std::views::iota(0, 20))
                           .value();
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(strings[i], std::string(100'000, static_cast<char>('a' + i)));
  EXPECT_THAT(pool.map([](const std::string& s) { return s.size(); }, strings).value(), Each(100'000u));
}

// --- which item failed
// ------------------------------------------------------------------------------------------------

class FailedItem : public PoolMap, public testing::WithParamInterface<std::optional<std::size_t>> {
 protected:
  // What is told of the items of 0 to 59 that fail: 7 throws, 20 returns a bad status, 47 dies.
  static absl::StatusOr<int> fails(int i) {
    if (i == 7) throw std::runtime_error("seven");
    if (i == 20) return absl::NotFoundError("twenty");
    if (i == 47) std::abort();
    return i;
  }
  MapOptions options() const { return {.chunksize = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(, FailedItem, testing::Values(std::nullopt, 1, 7, 60));

void expect_item(const absl::Status& status, std::size_t item) {
  EXPECT_EQ(task_error(status).value().item, item) << status;
  EXPECT_TRUE(std::string(status.message()).starts_with("item " + std::to_string(item) + ": ")) << status;
}

TEST_P(FailedItem, IsNamedByMap) {
  const auto from = [this](int first) { return pool.map(options(), fails, std::views::iota(first, 60)).status(); };
  const absl::Status thrown = from(0), returned = from(8), died = from(21);
  expect_item(thrown, 7);
  EXPECT_EQ(task_error(thrown)->what, "seven");
  expect_item(returned, 12);
  EXPECT_EQ(returned.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(returned.message(), "item 12: twenty");
  EXPECT_EQ(task_error(returned)->what, "twenty");
  expect_item(died, 26);
  EXPECT_EQ(task_error(died)->signal, SIGABRT);
  EXPECT_EQ(died.code(), absl::StatusCode::kAborted);
  const auto none = [](int i) { return fails(i).status(); };
  expect_item(pool.map(options(), none, std::views::iota(8, 60)), 12);
}

TEST_P(FailedItem, IsNamedByStarmap) {
  std::vector<std::tuple<int>> tuples;
  for (int i = 21; i < 60; ++i) tuples.emplace_back(i);
  expect_item(pool.starmap(options(), fails, tuples).status(), 26);
}

TEST_P(FailedItem, IsNamedByStreams) {
  std::size_t at = 0;
  for (const absl::StatusOr<int>& each : pool.imap(options(), fails, std::views::iota(0, 60))) {
    if (!each.ok()) expect_item(each.status(), at);
    ++at;
  }
  std::set<std::size_t> items;
  for (const absl::StatusOr<int>& each : pool.imap_unordered(options(), fails, std::views::iota(0, 60))) {
    if (!each.ok()) items.insert(task_error(each.status()).value().item.value());
  }
  EXPECT_EQ(items, (std::set<std::size_t>{7, 20, 47}));
}

TEST_F(PoolMap, ATaskAloneHasNoItem) {
  const absl::Status status =
      pool.submit([](int i) { return i == 0 ? throw std::runtime_error("no") : i; }, 0).get().status();
  EXPECT_EQ(task_error(status).value().item, std::nullopt);
  EXPECT_TRUE(std::string(status.message()).starts_with("std::runtime_error: no")) << status;
}

// --- starmap ---------------------------------------------------------------------------------------------------------

TEST_F(PoolMap, StarmapTakesTuplesPairsAndArrays) {
  const auto subtract = [](int a, int b) { return a - b; };
  EXPECT_THAT(pool.starmap(subtract, std::vector<std::tuple<int, int>>{{5, 1}, {6, 1}}).value(), ElementsAre(4, 5));
  EXPECT_THAT(pool.starmap(subtract, std::vector<std::pair<int, int>>{{5, 2}}).value(), ElementsAre(3));
  EXPECT_THAT(pool.starmap({.chunksize = 1}, subtract, std::array<std::array<int, 2>, 2>{{{9, 1}, {9, 2}}}).value(),
              ElementsAre(8, 7));
  const auto labelled = [](const std::string& s, std::unique_ptr<int> n) { return s + std::to_string(*n); };
  std::vector<std::tuple<std::string, std::unique_ptr<int>>> tuples;
  tuples.emplace_back("n", std::make_unique<int>(4));
  const auto moved = std::ranges::subrange(std::move_iterator(tuples.begin()), std::move_sentinel(tuples.end()));
  EXPECT_THAT(pool.starmap(labelled, moved).value(), ElementsAre("n4"));
  EXPECT_THAT(pool.starmap(subtract, std::vector<std::pair<int, int>>()).value(), IsEmpty());
}

}  // namespace
}  // namespace warren::test
