// map, starmap, map_async, starmap_async and for_each, of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/array.h>
#include <warren/ipc/value.h>

#include <list>
#include <numeric>
#include <set>
#include <sstream>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kItems = 60;

int twice(int x) { return 2 * x; }
void negate(int& x) { x = -x; }
std::uint32_t began(int item) { return ++marks->ran[static_cast<std::size_t>(item)]; }

Array<int> numbers(std::size_t size = kItems) {
  auto array = Array<int>::create(size).value();
  std::iota(array.begin(), array.end(), 0);
  return array;
}
void expect_item(const absl::Status& status, std::size_t item) {
  EXPECT_EQ(task_error(status).value_or(TaskError{}).item, item) << status;
  EXPECT_TRUE(std::string(status.message()).starts_with("item " + std::to_string(item) + ": ")) << status;
}

// --- map -------------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(MapKeepsTheOrderAndRunsEachItemOnce) {
  auto pool = this->make(2);
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  const auto counts = [](int i) { return ++marks->ran[static_cast<std::size_t>(i)], i; };
  unsigned rounds = 0;
  for (const std::optional<std::size_t> size :
       {std::optional<std::size_t>(), {1}, {7}, {99}, {100}, {101}, {SIZE_MAX}}) {
    EXPECT_EQ(pool.map({.chunksize = size}, counts, std::views::iota(0, 100)).value(), expected);
    ++rounds;
    EXPECT_TRUE(std::ranges::all_of(std::span(marks->ran).first(100), [&](const auto& ran) { return ran == rounds; }));
  }
  EXPECT_THAT(pool.map([](int a, int b) { return a * b; }, std::vector{1, 2, 3}, std::views::iota(5)).value(),
              ElementsAre(5, 12, 21));
  EXPECT_THAT(pool.map(twice, {1, 2}).value(), ElementsAre(2, 4));
  EXPECT_THAT(pool.map(twice, std::vector<int>()).value(), ElementsAre());
  const auto count = [](int) { ++marks->count; };
  EXPECT_TRUE(pool.map(count, expected).ok());
  EXPECT_EQ(marks->count, 100u);
}

TEST_OF_EACH_POOL(AChunksizeOfZeroIsAnInvalidArgument) {
  auto pool = this->make(1);
  auto array = Array<int>::create(2).value();
  const std::vector<std::tuple<int>> none;
  const auto expect_invalid = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  };
  expect_invalid(pool.map({.chunksize = 0}, twice, {1, 2}).status());
  expect_invalid(pool.map({.chunksize = 0}, [](int) {}, {1, 2}));
  expect_invalid(pool.starmap({.chunksize = 0}, twice, none).status());
  expect_invalid(pool.for_each({.chunksize = 0}, array, [](int&) {}));
  auto stream = pool.imap({.chunksize = 0}, twice, std::vector{1, 2});
  expect_invalid(stream.next_for(kForever)->status());
  EXPECT_TRUE(stream.done());
}

TEST_OF_EACH_POOL(MapTellsTheFirstErrorInOrderAfterAllHaveRun) {
  auto pool = this->make(2);
  const auto odd_fails = [](int x) { return ++marks->count, x % 2 == 0 ? x : throw std::runtime_error("odd"); };
  const absl::Status status = pool.map({.chunksize = 2}, odd_fails, std::views::iota(0, 10)).status();
  expect_item(status, 1);
  EXPECT_EQ(marks->count, 10u);
}

TEST_OF_EACH_POOL(MapMakesAboutFourChunksForEachWorker) {
  auto pool = this->make(2);
  const auto ids = pool.map([](int) { return current_task().id().value; }, std::views::iota(0, 80)).value();
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), 8u);
}

TEST_OF_EACH_POOL(MapOfMoreChunksThanMayBePending) {
  auto pool = this->make(2);
  auto small = this->make(2, 4);
  EXPECT_EQ(small.map({.chunksize = 1}, twice, std::views::iota(0, 1000)).value().back(), 1998);
}

TEST_OF_EACH_POOL(MapTakesListsVectorsViewsAndArrays) {
  auto pool = this->make(2);
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

TEST_OF_EACH_POOL(MapMakesTextsOfAListStrings) {
  auto pool = this->make(2);
  EXPECT_THAT(pool.map([](std::string s) { return s.size(); }, {"a", "bcd"}).value(), ElementsAre(1u, 3u));
}

TEST_OF_EACH_POOL(MapZipsSeveralRangesToTheShortest) {
  auto pool = this->make(2);
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

TEST_OF_EACH_POOL(MapOfAnEmptyRangeGivesNothing) {
  auto pool = this->make(2);
  EXPECT_THAT(pool.map(twice, std::vector<int>()).value(), IsEmpty());
  EXPECT_THAT(pool.map({.chunksize = 5}, twice, std::views::empty<int>).value(), IsEmpty());
  EXPECT_THAT(pool.map([](int a, int b) { return a + b; }, std::views::iota(0), std::vector<int>()).value(), IsEmpty());
  EXPECT_TRUE(pool.map([](int) {}, std::vector<int>()).ok());
}

// A range that can be read once and does not know its size.
TEST_OF_EACH_POOL(MapReadsInputRangesOnce) {
  auto pool = this->make(2);
  std::istringstream numbers("1 2 3 4 5 6 7 8 9");
  EXPECT_THAT(pool.map(twice, std::ranges::istream_view<int>(numbers)).value(),
              ElementsAre(2, 4, 6, 8, 10, 12, 14, 16, 18));
  std::istringstream more("1 2 3");
  EXPECT_THAT(pool.map({.chunksize = 2}, twice, std::ranges::istream_view<int>(more)).value(), ElementsAre(2, 4, 6));
}

TEST_OF_EACH_POOL(MapReadsLazyRangesInTheCallersThread) {
  auto pool = this->make(2);
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

TEST_OF_EACH_POOL(MapOfARangeThatThrowsThrowsToTheCaller) {
  auto pool = this->make(2);
  const auto throwing = std::views::iota(0, 10) | std::views::transform([](int i) { return i == 5 ? throw 5 : i; });
  EXPECT_THROW((void)pool.map({.chunksize = 2}, twice, throwing), int);
  EXPECT_THAT(pool.map(twice, {1}).value(), ElementsAre(2));
}

TEST_OF_EACH_POOL(MapOfMoveOnlyItems) {
  auto pool = this->make(2);
  std::vector<std::unique_ptr<int>> pointers;
  for (int i = 0; i < 10; ++i) pointers.push_back(std::make_unique<int>(i));
  const auto moved = std::ranges::subrange(std::move_iterator(pointers.begin()), std::move_sentinel(pointers.end()));
  const auto results = pool.map([](std::unique_ptr<int> p) { return std::make_unique<int>(2 * *p); }, moved).value();
  EXPECT_EQ(*results.at(9), 18);
}

TEST_OF_EACH_POOL(MapOfAVoidFunctionGivesAStatus) {
  auto pool = this->make(2);
  EXPECT_TRUE(pool.map([](int) { ++marks->count; }, std::views::iota(0, 50)).ok());
  EXPECT_EQ(marks->count, 50u);
  const auto fails_at_7 = [](int i) { return i == 7 ? absl::NotFoundError("7") : absl::OkStatus(); };
  EXPECT_EQ(pool.map(fails_at_7, std::views::iota(0, 50)).code(), absl::StatusCode::kNotFound);
}

TEST_OF_EACH_POOL(MapOfLargeItemsAndResults) {
  auto pool = this->make(2);
  const auto strings = pool.map(
                               {.chunksize = 3}, [](int i) { return std::string(100'000, static_cast<char>('a' + i)); },
                               std::views::iota(0, 20))
                           .value();
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(strings[i], std::string(100'000, static_cast<char>('a' + i)));
  EXPECT_THAT(pool.map([](const std::string& s) { return s.size(); }, strings).value(), Each(100'000u));
}

TEST_OF_EACH_POOL(ATaskAloneHasNoItem) {
  auto pool = this->make(2);
  const absl::Status status =
      pool.submit([](int i) { return i == 0 ? throw std::runtime_error("no") : i; }, 0).get().status();
  EXPECT_EQ(task_error(status).value().item, std::nullopt);
  EXPECT_TRUE(std::string(status.message()).starts_with("std::runtime_error: no")) << status;
}

TEST_OF_EACH_POOL(StarmapTakesTuplesPairsAndArrays) {
  auto pool = this->make(2);
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

// --- map_async -------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(MapAsyncGivesTheWholeInOrder) {
  auto pool = this->make(4);
  Future<std::vector<int>> squares = pool.map_async([](int x) { return x * x; }, std::views::iota(0, 1000));
  std::vector<int> want(1000);
  for (int i = 0; i < 1000; ++i) want[static_cast<std::size_t>(i)] = i * i;
  EXPECT_EQ(squares.get().value(), want);
  EXPECT_EQ(squares.get().value(), want) << "again";
  EXPECT_EQ(squares.progress(), 1);
  EXPECT_EQ(pool.map_async([](int x) { return x; }, {1, 2, 3}).get().value().size(), 3u);
  EXPECT_TRUE(pool.map_async([](int) {}, std::vector<int>{1, 2}).get().ok());
  EXPECT_EQ(pool.map_async({.chunksize = 2}, std::plus<int>(), std::vector<int>{1, 2, 3}, std::vector<int>{1, 2})
                .get()
                .value(),
            (std::vector<int>{2, 4}));
  EXPECT_TRUE(pool.map_async([](int x) { return x; }, std::vector<int>{}).get().value().empty());
}

TEST_OF_EACH_POOL(StarmapAsyncTakesTuples) {
  auto pool = this->make(4);
  const std::vector<std::tuple<int, int>> pairs{{1, 2}, {3, 4}};
  EXPECT_THAT(pool.starmap_async([](int a, int b) { return a + b; }, pairs).get().value(), ElementsAre(3, 7));
  EXPECT_THAT(pool.starmap_async(
                      {.chunksize = 1}, [](int a, int b) { return a * b; }, pairs)
                  .get()
                  .value(),
              ElementsAre(2, 12));
  EXPECT_THAT(pool.starmap(
                      {.chunksize = 1}, [](int a, int b) { return a * b; }, pairs)
                  .value(),
              ElementsAre(2, 12));
}

TEST_OF_EACH_POOL(MapAsyncDoesNotWait) {
  auto pool = this->make(4);
  Future<std::vector<int>> future = pool.map_async(
      {.chunksize = 1}, [](int x) { return marks->pass(0), x; }, std::views::iota(0, 8));
  bool told = false;
  future.on_done([&](absl::StatusOr<std::vector<int>> r) { told = r.value().size() == 8; });
  EXPECT_FALSE(future.ready());
  EXPECT_FALSE(future.wait_for(10ms));
  EXPECT_EQ(future.progress(), 0);
  marks->open(0);
  EXPECT_TRUE(future.get().ok());
  EXPECT_TRUE(told);
}

TEST_OF_EACH_POOL(MapAsyncTellsTheFirstErrorInOrder) {
  auto pool = this->make(4);
  const auto fails = [](int x) { return x % 10 == 7 ? throw std::runtime_error(std::to_string(x)) : x; };
  const absl::Status status = pool.map_async({.chunksize = 3}, fails, std::views::iota(0, 100)).get().status();
  EXPECT_EQ(task_error(status).value().what, "7");
  EXPECT_EQ(task_error(status).value().item, 7u);
  EXPECT_EQ(pool.map_async({.chunksize = 0}, fails, std::views::iota(0, 3)).get().status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_OF_EACH_POOL(OneMayWaitForAMapAsyncInACallback) {
  auto pool = this->make(4);
  Future<int> first = pool.submit([] { return 1; });
  std::size_t size = 0;
  first.on_done([&](absl::StatusOr<int>) {
    size = pool.map_async([](int x) { return x; }, std::views::iota(0, 100)).get().value().size();
    pool.close();
    (void)pool.join();
  });
  ASSERT_TRUE(first.wait_for(kPromptly)) << "it waits for itself";
  EXPECT_EQ(size, 100u);
}

TEST_OF_EACH_POOL(MapAsyncThatIsCancelledCancelsTheChunksThatWait) {
  auto pool = this->make(1);
  const Future<void> first = block(pool);
  Future<std::vector<int>> mapped = pool.map_async([](int x) { return x; }, {1, 2, 3});
  Future<std::vector<int>> starred =
      pool.starmap_async([](int a, int b) { return a + b; }, std::vector<std::pair<int, int>>{{1, 2}});
  EXPECT_TRUE(mapped.cancel());
  EXPECT_EQ(mapped.get().status().code(), absl::StatusCode::kCancelled);
  marks->open(0);
  EXPECT_THAT(starred.get().value(), ElementsAre(3));
  EXPECT_FALSE(starred.cancel());
}

// --- for_each --------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ForEachChangesEveryElementInPlaceAndOnce) {
  auto pool = this->make(2);
  std::uint32_t rounds = 0;
  for (const auto size : {std::optional<std::size_t>(), {1}, {7}, {60}, {SIZE_MAX}}) {
    auto array = numbers();
    ++rounds;
    ASSERT_TRUE(pool.for_each({.chunksize = size}, array, [](int& x) { began(x), x += 1000; }).ok());
    for (std::size_t i = 0; i < kItems; ++i) {
      EXPECT_EQ(array[i], static_cast<int>(i) + 1000);
      EXPECT_EQ(marks->ran[i], rounds);
    }
  }
}

TEST_OF_EACH_POOL(ForEachNamesTheFirstElementThatThrowsAndChangesTheOthers) {
  auto pool = this->make(2);
  auto array = numbers();
  const absl::Status status = pool.for_each({.chunksize = 7}, array, [](int& x) {
    began(x);
    x += 1000;
    if (x == 1020 || x == 1033) throw std::runtime_error("no " + std::to_string(x));
    x += 1000;
  });
  expect_item(status, 20);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(task_error(status).value_or(TaskError{}).what, "no 1020");
  for (int i = 0; i < static_cast<int>(kItems); ++i) {
    EXPECT_EQ(marks->ran[static_cast<std::size_t>(i)], 1u);
    EXPECT_EQ(array[static_cast<std::size_t>(i)], i + (i == 20 || i == 33 ? 1000 : 2000)) << "as it was left";
  }
}

TEST_OF_EACH_POOL(ForEachTakesABadStatusForAFailure) {
  auto pool = this->make(2);
  auto array = numbers();
  const absl::Status status =
      pool.for_each(array, [](int& x) { return x == 7 ? absl::NotFoundError("seven") : absl::OkStatus(); });
  expect_item(status, 7);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

TEST_OF_EACH_POOL(ForEachOfAnEmptyArrayIsDoneAtOnce) {
  auto pool = this->make(2);
  auto none = Array<int>::create(0).value();
  EXPECT_TRUE(pool.for_each(none, negate).ok());
  EXPECT_TRUE(pool.for_each({.chunksize = 3}, none, negate).ok());
  EXPECT_EQ(pool.for_each({.chunksize = 0}, none, negate).code(), absl::StatusCode::kInvalidArgument);
  pool.close();
  EXPECT_EQ(pool.for_each(none, negate).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_OF_EACH_POOL(ForEachTakesFunctionsOfEveryKind) {
  auto pool = this->make(2);
  auto array = Array<int>::create({1, 2, 3}).value();
  EXPECT_TRUE(pool.for_each(array, negate).ok());
  EXPECT_TRUE(pool.for_each(array, fn<&negate>).ok());
  EXPECT_THAT(array.span(), ElementsAre(1, 2, 3));
  EXPECT_TRUE(pool.for_each(array, [k = 2](int& x) { return x *= k; }).ok()) << "what it gives is thrown away";
  EXPECT_TRUE(pool.for_each(array, [](auto& x) { ++x; }).ok());
  EXPECT_TRUE(pool.for_each(array, [](int& x) { return ++x, absl::OkStatus(); }).ok());
  EXPECT_TRUE(pool.for_each(array, [](int& x) { return absl::StatusOr<int>(++x); }).ok());
  EXPECT_THAT(array.span(), ElementsAre(5, 7, 9));
  auto sum = Value<int>::create(0).value();
  EXPECT_TRUE(pool.for_each(array, bind_front([](Value<int>& to, const int& x) { to += x; }, sum)).ok());
  EXPECT_EQ(sum.load(), 21);
}

TEST_OF_EACH_POOL(ForEachOfSeveralThreadsAtOnce) {
  auto pool = this->make(2);
  std::vector<std::thread> threads;
  std::atomic<int> whole = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      auto array = Array<int>::create(500).value();
      for (int round = 0; round < 20; ++round) {
        if (!pool.for_each({.chunksize = 50}, array, [t](int& x) { x += t; }).ok()) return;
      }
      whole += std::ranges::count(array, 20 * t) == 500;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(whole, 4);
}

TEST_OF_EACH_POOL(ForEachOfMoreRangesThanMayBePending) {
  auto pool = this->make(2);
  auto small = this->make(2, 4);
  auto array = numbers(1000);
  EXPECT_TRUE(small.for_each({.chunksize = 1}, array, [](int& x) { ++x; }).ok());
  EXPECT_EQ(array[999], 1000);
}

}  // namespace
}  // namespace warren::test
