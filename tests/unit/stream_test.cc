#include <warren/pool/stream.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <set>
#include <sstream>

#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

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

class StreamTest : public WithMarks {
 protected:
  static constexpr std::size_t kAhead = 4;  // chunks under way for each worker
  Pool pool = make_pool(2);
};

// --- laziness --------------------------------------------------------------------------------------------------------

class Prefetch : public StreamTest, public testing::WithParamInterface<std::tuple<bool, std::size_t>> {};

INSTANTIATE_TEST_SUITE_P(, Prefetch, testing::Combine(testing::Bool(), testing::Values(1, 10)));

// --- time, and the end -----------------------------------------------------------------------------------------------

TEST_F(StreamTest, GivesCancelledForWhatATerminatedPoolDidNotFinish) {
  auto stream = pool.imap(
      {.chunksize = 2}, [](int i) { return i == 3 ? marks->pass(0), i : i; }, std::views::iota(0, 6));
  EXPECT_EQ(stream.next_for(kForever).value().value(), 0);
  EXPECT_EQ(stream.next_for(kForever).value().value(), 1);
  pool.terminate();
  int cancelled = 0;
  for (absl::StatusOr<int> each : stream) cancelled += absl::IsCancelled(each.status());
  EXPECT_GE(cancelled, 1);
}

TEST_F(StreamTest, OnesWorkersMayDie) {
  const auto dies_at_5 = [](int i) { return i == 5 ? die(Death::kKilled), i : 2 * i; };
  for (const std::size_t chunksize : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    std::vector<int> values;
    int died = 0;
    for (absl::StatusOr<int> each : pool.imap({.chunksize = chunksize}, dies_at_5, std::views::iota(0, 20))) {
      each.ok() ? values.push_back(*each) : void(died += absl::IsAborted(each.status()));
    }
    EXPECT_EQ(died, 1);
    EXPECT_EQ(values.size(), 19u);
    EXPECT_TRUE(std::ranges::is_sorted(values));
  }
}

}  // namespace
}  // namespace warren::test
