// imap and imap_unordered, of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

constexpr std::size_t kAhead = 4;  // chunks under way for each worker

int twice(int x) { return 2 * x; }

template <class R>
std::vector<R> values_of(Stream<R> stream) {
  std::vector<R> values;
  for (Result<R> each : stream) values.push_back(std::move(each).value());
  return values;
}

std::vector<int> even_numbers(int count) {
  std::vector<int> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(2 * i);
  return numbers;
}

TEST_OF_EACH_POOL(ImapGivesResultsInOrder) {
  auto pool = this->make(2);
  const auto slow_at_first = [](int i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i < 4 ? 20 : 0));
    return 2 * i;
  };
  EXPECT_THAT(values_of(pool.imap(slow_at_first, std::views::iota(0, 50))), ElementsAreArray(even_numbers(50)));
  EXPECT_THAT(values_of(pool.imap({.chunksize = 7}, twice, std::views::iota(0, 50))),
              ElementsAreArray(even_numbers(50)));
}

TEST_OF_EACH_POOL(ImapUnorderedGivesEachResultOnceAsItComes) {
  auto pool = this->make(2);
  const auto first_waits = [](int i) {
    if (i == 0) marks->pass(0);
    return 2 * i;
  };
  std::vector<int> values;
  for (absl::StatusOr<int> each : pool.imap_unordered(first_waits, std::views::iota(0, 50))) {
    values.push_back(each.value());
    if (values.size() == 7) marks->open(0);  // with one chunk standing, the seven others under way come past it
  }
  EXPECT_THAT(values, UnorderedElementsAreArray(even_numbers(50)));
  EXPECT_NE(values.front(), 0);
}

TEST_OF_EACH_POOL(ImapOfSeveralRangesListsAndInputRanges) {
  auto pool = this->make(2);
  EXPECT_THAT(values_of(pool.imap([](int a, std::string b) { return b + std::to_string(a); }, std::views::iota(1),
                                  std::vector<std::string>{"x", "y"})),
              ElementsAre("x1", "y2"));
  std::istringstream numbers("1 2 3 4 5");
  EXPECT_THAT(values_of(pool.imap({.chunksize = 2}, twice, std::ranges::istream_view<int>(numbers))),
              ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(values_of(pool.imap(twice, std::vector<int>())), ElementsAre());
}

TEST_OF_EACH_POOL(ImapGoesOnBehindAFailedItem) {
  auto pool = this->make(2);
  const auto fails_at_3 = [](int i) { return i == 3 ? throw std::runtime_error("three") : i; };
  int failed = 0, succeeded = 0;
  for (absl::StatusOr<int> each : pool.imap({.chunksize = 2}, fails_at_3, std::views::iota(0, 10))) {
    ++(each.ok() ? succeeded : failed);
    if (!each.ok()) {
      EXPECT_EQ(task_error(each.status()).value().what, "three");
    }
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(succeeded, 9);
}

TEST_OF_EACH_POOL(ImapOfAVoidFunctionGivesAStatusForEachItem) {
  auto pool = this->make(2);
  int count = 0;
  for (const absl::Status& each : pool.imap_unordered([](int) {}, std::views::iota(0, 10))) count += each.ok();
  EXPECT_EQ(count, 10);
}

TEST_OF_EACH_POOL(ImapOfMoveOnlyResults) {
  auto pool = this->make(2);
  int sum = 0;
  for (absl::StatusOr<std::unique_ptr<int>> each :
       pool.imap([](int i) { return std::make_unique<int>(i); }, std::views::iota(0, 10))) {
    sum += **each;
  }
  EXPECT_EQ(sum, 45);
}

TEST_OF_EACH_POOL(ImapReadsNothingBeforeItIsAsked) {
  auto pool = this->make(2);
  int read = 0;
  auto stream = pool.imap(twice, std::views::iota(0) | std::views::transform([&](int i) { return ++read, i; }));
  EXPECT_EQ(read, 0);
}

TEST_OF_EACH_POOL(ImapReadsOnlySoFarAheadOfWhatWasTaken) {
  auto pool = this->make(2);
  for (const auto& [ordered, chunksize] : {std::pair(true, std::size_t{1}), {true, 10}, {false, 1}, {false, 10}}) {
    std::size_t read = 0;
    const auto endless = std::views::iota(0) | std::views::transform([&](int i) { return ++read, i; });
    const MapOptions options{.chunksize = chunksize};
    auto stream = ordered ? pool.imap(options, twice, endless) : pool.imap_unordered(options, twice, endless);
    std::size_t taken = 0;
    for (const absl::StatusOr<int>& each : stream) {
      ASSERT_TRUE(each.ok());
      ++taken;
      const std::size_t chunks_begun = (taken + chunksize - 1) / chunksize;
      EXPECT_LE(read, (chunks_begun + kAhead * pool.workers()) * chunksize) << "at item " << taken;
      if (taken == 100) break;
    }
  }
}

// What comes next may not be there yet: nothing is read that is not sent.
TEST_OF_EACH_POOL(ImapReadsNoItemMoreThanItSends) {
  auto pool = this->make(2);
  std::size_t read = 0;
  auto endless = std::views::iota(0) | std::views::filter([&](int) { return ++read, true; });
  auto stream = pool.imap(twice, endless);
  EXPECT_EQ(stream.next_for(kForever).value().value(), 0);
  EXPECT_EQ(read, kAhead * pool.workers() + 1) << "under way, and the one that was taken";
}

TEST_OF_EACH_POOL(ImapDroppedEarlyLeavesAPoolThatServes) {
  auto pool = this->make(2);
  for (int round = 0; round < 20; ++round) {
    auto stream =
        pool.imap_unordered([](int i) { return std::string(10'000, static_cast<char>(i)); }, std::views::iota(0));
    int taken = 0;
    for ([[maybe_unused]] const auto& each : stream) {
      if (taken++ == round) break;
    }
  }
  EXPECT_EQ(pool.apply(twice, 1).value(), 2);
}

TEST_OF_EACH_POOL(ImapKeepsARangeThatItIsGivenAndRefersToOneThatItIsLent) {
  auto pool = this->make(2);
  auto kept = pool.imap(twice, std::vector<int>{1, 2, 3});
  EXPECT_THAT(values_of(std::move(kept)), ElementsAre(2, 4, 6));
  std::vector<int> lent{1, 2, 3};
  auto stream = pool.imap(twice, lent);
  lent[2] = 30;
  EXPECT_THAT(values_of(std::move(stream)), ElementsAre(2, 4, 60));
}

TEST_OF_EACH_POOL(ImapWithFewerPlacesThanItWouldKeepUnderWay) {
  auto small = this->make(2, 3);
  EXPECT_THAT(values_of(small.imap(twice, std::views::iota(0, 200))), ElementsAreArray(even_numbers(200)));
  EXPECT_THAT(values_of(small.imap_unordered(twice, std::views::iota(0, 200))),
              UnorderedElementsAreArray(even_numbers(200)));
}

TEST_OF_EACH_POOL(ImapsNextForSaysNothingWhenTheTimeIsUp) {
  auto pool = this->make(2);
  auto stream = pool.imap([](int i) { return marks->pass(0), i; }, std::views::iota(0, 2));
  EXPECT_FALSE(stream.next_for(20ms).has_value());
  EXPECT_FALSE(stream.next_until(std::chrono::steady_clock::now() + 5ms).has_value());
  EXPECT_FALSE(stream.done());
  EXPECT_FALSE(stream.next_for(0ms).has_value());
  marks->open(0);
  EXPECT_EQ(stream.next_for(kForever).value().value(), 0);
  EXPECT_EQ(stream.next_for(kForever).value().value(), 1);
  EXPECT_FALSE(stream.next_for(kForever).has_value());
  EXPECT_TRUE(stream.done());
  EXPECT_FALSE(stream.next_for(kForever).has_value()) << "it stays at its end";
}

TEST_OF_EACH_POOL(ImapOfAClosedPoolFails) {
  auto pool = this->make(2);
  pool.close();
  std::size_t count = 0;
  for (absl::StatusOr<int> each : pool.imap(twice, std::views::iota(0, 10))) {
    EXPECT_EQ(each.status().code(), absl::StatusCode::kFailedPrecondition);
    ++count;
  }
  EXPECT_EQ(count, 10u);
}

TEST_OF_EACH_POOL(ImapOutlivesItsPool) {
  std::optional<P> own = this->make(1);
  auto stream = own->imap(twice, std::views::iota(0, 3));
  EXPECT_EQ(stream.next_for(kForever).value().value(), 0);
  own.reset();
  EXPECT_EQ(stream.next_for(kForever).value().value(), 2);
}

TEST_OF_EACH_POOL(ImapUnderWayFailsWhatAClosedPoolTakesNoMore) {
  auto pool = this->make(1);
  auto stream = pool.imap([](int x) { return x; }, std::views::iota(0, 10));
  EXPECT_EQ(stream.next_for(kForever)->value(), 0);
  pool.close();
  int failed = 0, all = 0;
  for (const auto& result : stream) ++all, failed += absl::IsFailedPrecondition(result.status());
  EXPECT_EQ(all, 9);
  EXPECT_GE(failed, 5);
}

}  // namespace
}  // namespace warren::test
