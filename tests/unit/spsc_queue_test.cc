#include <warren/ipc/spsc_queue.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/layout/spsc_ring.h>

#include <array>
#include <chrono>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::Blocked;
using test::SegmentFile;
using test::unique_name;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SpscQueue<int> queue_of(std::size_t capacity) { return SpscQueue<int>::create({.capacity = capacity}).value(); }

constexpr std::size_t in_object(std::size_t offset) { return layout::kObjectOffset + offset; }

// --- creation --------------------------------------------------------------------------------------------------------

TEST(SpscQueue, CapacityIsRoundedUpToAPowerOfTwo) {
  EXPECT_EQ(SpscQueue<int>::create()->capacity(), 1024u);
  for (const auto& [asked, got] : {std::pair{1u, 1u}, {2u, 2u}, {3u, 4u}, {5u, 8u}, {1000u, 1024u}}) {
    EXPECT_EQ(queue_of(asked).capacity(), got);
  }
}

TEST(SpscQueue, CapacitiesThatCannotBeAreInvalid) {
  for (const std::size_t capacity : {std::size_t{0}, SIZE_MAX, SIZE_MAX / 4}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SpscQueue<int>::create({.capacity = capacity}).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(SpscQueue<int>::create(unique_name(), {.capacity = capacity}).status()));
    EXPECT_TRUE(
        absl::IsInvalidArgument(SpscQueue<int>::open_or_create(unique_name(), {.capacity = capacity}).status()));
  }
}

TEST(SpscQueue, NamesGoByTheSegmentsRules) {
  const std::string name = unique_name();
  EXPECT_TRUE(absl::IsNotFound(SpscQueue<int>::open(name).status()));
  {
    auto created = SpscQueue<int>::open_or_create(name, {.capacity = 4}).value();
    auto opened = SpscQueue<int>::open_or_create(name, {.capacity = 99}).value();
    EXPECT_EQ(opened.capacity(), 4u) << "whoever comes first decides";
    EXPECT_TRUE(absl::IsAlreadyExists(SpscQueue<int>::create(name).status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(SpscQueue<long>::open(name).status()));
    EXPECT_TRUE(created.try_push(1));
    EXPECT_EQ(opened.try_pop(), 1);
    EXPECT_EQ(SpscQueue<int>::unlink(name), absl::OkStatus());
    EXPECT_TRUE(created.try_push(1));
  }
  EXPECT_FALSE(test::name_exists(name));
}

// --- order and capacity ----------------------------------------------------------------------------------------------

class SpscCapacity : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Of, SpscCapacity, ::testing::Values(1, 2, 4, 8, 64, 1024));

TEST_P(SpscCapacity, IsExactAndFirstInIsFirstOut) {
  auto queue = queue_of(GetParam());
  int in = 0, out = 0;
  for (int lap = 0; lap < 5; ++lap) {
    for (std::size_t i = 0; i < GetParam(); ++i) {
      EXPECT_EQ(queue.approx_size(), i);
      ASSERT_TRUE(queue.try_push(in++));
    }
    EXPECT_FALSE(queue.try_push(-1));
    ASSERT_EQ(queue.try_pop(), out++);
    ASSERT_TRUE(queue.try_push(in++));
    EXPECT_FALSE(queue.try_push(-1));
    for (std::size_t i = 0; i < GetParam(); ++i) ASSERT_EQ(queue.try_pop(), out++);
    EXPECT_EQ(queue.try_pop(), std::nullopt);
  }
}

// --- payloads --------------------------------------------------------------------------------------------------------

template <std::size_t N>
struct Blob {
  std::array<unsigned char, N> bytes;
};

template <std::size_t N>
void carries_whole() {
  const auto blob = [](unsigned seed) {
    Blob<N> made;
    for (std::size_t i = 0; i < N; ++i) made.bytes[i] = static_cast<unsigned char>(seed * 31 + i * 7);
    return made;
  };
  auto queue = SpscQueue<Blob<N>>::create({.capacity = 4}).value();
  for (unsigned i = 0; i < 20; ++i) {
    ASSERT_TRUE(queue.try_push(blob(i)));
    ASSERT_TRUE(queue.push(blob(i + 1)));
    ASSERT_EQ(queue.try_pop()->bytes, blob(i).bytes) << N;
    std::array<Blob<N>, 2> out;
    ASSERT_EQ(queue.pop_n(out), 1u);
    ASSERT_EQ(out[0].bytes, blob(i + 1).bytes) << N;
  }
}

TEST(SpscQueue, CarriesAnySize) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { (carries_whole<I + 1>(), ...); }(std::make_index_sequence<20>());
  carries_whole<63>();
  carries_whole<64>();
  carries_whole<65>();
  carries_whole<255>();
  carries_whole<999>();
  carries_whole<1000>();
}

struct NoDefault {
  constexpr explicit NoDefault(int v) : value(v) {}
  int value;
};
struct alignas(64) Wide {
  double values[8];
};

TEST(SpscQueue, CarriesWhatHasNoDefaultConstructorAndWideAlignment) {
  auto plain = SpscQueue<NoDefault>::create({.capacity = 2}).value();
  EXPECT_TRUE(plain.push(NoDefault(1)));
  EXPECT_EQ(plain.pop()->value, 1);
  auto wide = SpscQueue<Wide>::create({.capacity = 2}).value();
  const std::span<Wide> room = wide.prepare(2);
  ASSERT_EQ(room.size(), 2u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(room.data()) % 64, 0u);
}

// --- batches ---------------------------------------------------------------------------------------------------------

TEST(SpscBatch, TakesWhatFitsAndGivesWhatIsThereAcrossTheWrap) {
  auto queue = queue_of(4);
  std::array<int, 8> out{};
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  EXPECT_EQ(queue.try_pop_n(std::span(out).first(2)), 2u);
  EXPECT_EQ(queue.try_push_n(std::array{4, 5, 6, 7}), 3u);
  EXPECT_EQ(queue.try_push_n(std::array{8}), 0u);
  EXPECT_EQ(queue.try_pop_n(out), 4u);
  EXPECT_THAT(out, ElementsAre(3, 4, 5, 6, 0, 0, 0, 0));
  EXPECT_EQ(queue.try_pop_n(out), 0u);
}

TEST(SpscBatch, EmptyBatchesDoNothingAndReturn) {
  auto queue = queue_of(2);
  const std::span<int> none;
  EXPECT_EQ(queue.try_push_n(none), 0u);
  EXPECT_EQ(queue.push_n(none), 0u);
  EXPECT_EQ(queue.try_pop_n(none), 0u);
  EXPECT_EQ(queue.pop_n(none), 0u);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_EQ(queue.try_pop_n(none), 0u);
  EXPECT_EQ(queue.pop_n(none), 0u);
}

TEST(SpscBatch, PushNBlocksUntilAllAreIn) {
  auto queue = queue_of(4);
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  std::thread producer([&] { EXPECT_EQ(queue.push_n(items), 1000u); });
  std::array<int, 3> out{};
  int expected = 0;
  while (expected < 1000) {
    const std::size_t count = queue.pop_n(out);
    ASSERT_GT(count, 0u);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected++);
  }
  producer.join();
}

TEST(SpscBatch, PushNReturnsFewerWhenClosed) {
  auto queue = queue_of(2);
  Blocked producer([&] { EXPECT_EQ(queue.push_n(std::array{1, 2, 3, 4}), 2u); });
  queue.close();
  producer.join();
  std::array<int, 4> out{};
  EXPECT_EQ(queue.pop_n(out), 2u);
  EXPECT_EQ(queue.pop_n(out), 0u);
}

// --- in place --------------------------------------------------------------------------------------------------------

TEST(SpscInPlace, PreparedIsSeenOnceItIsCommitted) {
  auto queue = queue_of(8);
  const std::span<int> room = queue.prepare(3);
  ASSERT_EQ(room.size(), 3u);
  std::iota(room.begin(), room.end(), 1);
  EXPECT_EQ(queue.approx_size(), 0u);
  EXPECT_TRUE(queue.peek().empty());
  queue.commit(2);
  EXPECT_THAT(queue.peek(), ElementsAre(1, 2));
  EXPECT_EQ(queue.prepare(1)[0], 3) << "what was not committed lies there still";
  queue.consume(1);
  EXPECT_THAT(queue.peek(), ElementsAre(2));
  queue.consume(1);
  EXPECT_TRUE(queue.peek().empty());
}

TEST(SpscInPlace, RunsBreakAtTheWrapAndAtFull) {
  auto queue = queue_of(4);
  EXPECT_EQ(queue.prepare(99).size(), 4u);
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  EXPECT_EQ(queue.prepare(99).size(), 1u);
  queue.consume(3);
  EXPECT_EQ(queue.prepare(99).size(), 1u) << "up to the wrap";
  queue.prepare(1)[0] = 4;
  queue.commit(1);
  EXPECT_EQ(queue.prepare(99).size(), 3u);
  EXPECT_EQ(queue.try_push_n(std::array{5, 6}), 2u);
  EXPECT_THAT(queue.peek(), ElementsAre(4)) << "up to the wrap";
  queue.consume(1);
  EXPECT_THAT(queue.peek(), ElementsAre(5, 6));
}

TEST(SpscInPlace, MoreThanCouldBeShownDoesNothing) {
  auto queue = queue_of(4);
  queue.commit(5);
  queue.commit(SIZE_MAX);
  EXPECT_EQ(queue.approx_size(), 0u);
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  queue.consume(4);
  EXPECT_EQ(queue.approx_size(), 3u);
  queue.consume(3);
  EXPECT_EQ(queue.prepare(4).size(), 1u);
  queue.commit(2);  // there is room for it, but it wraps: prepare() did not show it
  EXPECT_EQ(queue.approx_size(), 0u);
  queue.commit(0);
  queue.consume(0);
  EXPECT_EQ(queue.approx_size(), 0u);
}

TEST(SpscInPlace, NothingIsPreparedNorCommittedOnceClosed) {
  auto queue = queue_of(4);
  queue.prepare(1)[0] = 1;
  queue.commit(1);
  queue.prepare(1)[0] = 2;
  queue.close();
  queue.commit(1);
  EXPECT_TRUE(queue.prepare(1).empty());
  EXPECT_THAT(queue.peek(), ElementsAre(1));
  queue.consume(1);
  EXPECT_TRUE(queue.drained());
}

TEST(SpscInPlace, CommitAndConsumeWakeTheOtherSide) {
  auto queue = queue_of(1);
  Blocked consumer([&] {
    EXPECT_EQ(queue.pop(), 1);
    EXPECT_EQ(queue.pop(), 2);
  });
  queue.prepare(1)[0] = 1;
  queue.commit(1);
  EXPECT_TRUE(queue.push(2));
}

// --- blocking and time -----------------------------------------------------------------------------------------------

TEST(SpscBlocking, EachSideWaitsForTheOther) {
  auto queue = queue_of(1);
  {
    Blocked consumer([&] { EXPECT_EQ(queue.pop(), 7); });
    EXPECT_FALSE(consumer.returned());
    EXPECT_TRUE(queue.push(7));
  }
  EXPECT_TRUE(queue.push(8));
  Blocked consumer_of_two([&] {
    EXPECT_EQ(queue.pop(), 8);
    EXPECT_EQ(queue.pop(), 9);
    EXPECT_EQ(queue.try_pop_for(1h), 10);
  });
  EXPECT_TRUE(queue.push(9));
  EXPECT_TRUE(queue.try_push_until(10, steady_clock::now() + 1h));
}

TEST(SpscBlocking, TimedCallsWaitAtLeastThatLong) {
  auto queue = queue_of(1);
  auto begin = steady_clock::now();
  EXPECT_EQ(queue.try_pop_for(30ms), std::nullopt);
  EXPECT_EQ(queue.try_pop_until(begin + 40ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 40ms);
  EXPECT_TRUE(queue.push(1));
  begin = steady_clock::now();
  EXPECT_FALSE(queue.try_push_for(2, 30ms));
  EXPECT_FALSE(queue.try_push_until(2, begin + 40ms));
  EXPECT_GE(steady_clock::now() - begin, 40ms);
}

TEST(SpscBlocking, ZeroNegativeAndNanMeanNow) {
  auto queue = queue_of(1);
  const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(queue.try_pop_for(0s), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(-1s), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(nan), std::nullopt);
  EXPECT_EQ(queue.try_pop_until(steady_clock::time_point::min()), std::nullopt);
  EXPECT_TRUE(queue.try_push_for(1, nan));
  EXPECT_FALSE(queue.try_push_for(2, nan));
  EXPECT_FALSE(queue.try_push_for(2, std::chrono::hours::min()));
  EXPECT_FALSE(queue.try_push_until(2, steady_clock::time_point::min()));
  EXPECT_EQ(queue.try_pop_for(-5s), 1);
}

TEST(SpscBlocking, TheLargestTimeoutsAreForEver) {
  auto queue = queue_of(1);
  Blocked consumer([&] {
    EXPECT_EQ(queue.try_pop_for(kForever), 1);
    EXPECT_EQ(queue.try_pop_for(std::chrono::hours::max()), 2);
    EXPECT_EQ(queue.try_pop_until(steady_clock::time_point::max()), 3);
  });
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(queue.try_push_for(i, std::chrono::seconds::max()));
}

// --- close and drain -------------------------------------------------------------------------------------------------

TEST(SpscClose, RefusesPushesAndDrainsPops) {
  auto queue = queue_of(4);
  EXPECT_EQ(queue.push_n(std::array{1, 2}), 2u);
  EXPECT_FALSE(queue.closed());
  queue.close();
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.push(3));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_FALSE(queue.try_push_for(3, 1h));
  EXPECT_EQ(queue.try_push_n(std::array{3}), 0u);
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(1h), std::nullopt);
}

TEST(SpscClose, EndsBothWaits) {
  auto empty = queue_of(1);
  auto full = queue_of(1);
  EXPECT_TRUE(full.claim_consumer().ok());
  {
    Blocked consumer([&] { EXPECT_EQ(empty.pop(), std::nullopt); });
    Blocked producer([&] {
      EXPECT_TRUE(full.push(1));
      EXPECT_FALSE(full.push(2));
    });
    empty.close();
    full.close();
  }
  EXPECT_EQ(full.pop(), 1);
  EXPECT_TRUE(full.drained());
}

// A third thread closes while the producer is at it: what it was told went in is popped, and drained() stays.
TEST(SpscClose, ByAThirdPartyInTheMidstOfCommitsLosesNothing) {
  for (int round = 0; round < 300; ++round) {
    auto queue = queue_of(4);
    int pushed = 0, popped = 0;
    std::thread producer([&] {
      while (queue.push(pushed)) ++pushed;
    });
    std::thread closer([&] { queue.close(); });
    while (!queue.drained()) {
      if (const auto item = queue.try_pop()) {
        ASSERT_EQ(*item, popped);
        ++popped;
      }
    }
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(queue.drained());
      EXPECT_EQ(queue.try_pop(), std::nullopt);
    }
    closer.join();
    producer.join();
    EXPECT_EQ(popped, pushed);
    EXPECT_TRUE(queue.drained());
  }
}

TEST(SpscClose, ACommitUnderWayIsWaitedForWhileItsProducerLives) {
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  ASSERT_TRUE(queue.try_push(1));
  ASSERT_EQ(queue.try_pop(), 1);
  queue.close();
  const std::size_t committing = in_object(offsetof(layout::SpscRingHeader, committing));
  SegmentFile(name).write(committing, std::uint64_t{2});  // as if it stood between its look at `closed` and its tail
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.try_pop_for(5ms), std::nullopt);
  SegmentFile(name).write(committing, std::uint64_t{1});
  EXPECT_TRUE(queue.drained());
  SegmentFile(name).write(committing, std::uint64_t{2});  // as if it had begun another one, which will be refused
  EXPECT_TRUE(queue.drained());
}

// --- indices ---------------------------------------------------------------------------------------------------------

TEST(SpscIndices, WrapAtTheirEnd) {
  const std::string name = unique_name();
  auto first = SpscQueue<int>::create(name, {.capacity = 4}).value();
  const std::uint64_t near = UINT64_MAX - 5;
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, tail)), near);
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, head)), near);
  auto queue = SpscQueue<int>::open(name).value();
  for (int i = 0; i < 50; i += 3) {
    ASSERT_EQ(queue.try_push_n(std::array{i, i + 1, i + 2}), 3u);
    for (int n = 0; n < 3; ++n) ASSERT_EQ(queue.try_pop(), i + n);
  }
  queue.close();
  EXPECT_TRUE(queue.drained());
}

TEST(SpscIndices, ThatCannotBeAreDataLossWhenASideIsClaimed) {
  const std::string name = unique_name();
  auto first = SpscQueue<int>::create(name, {.capacity = 4}).value();
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, tail)), std::uint64_t{5});
  auto queue = SpscQueue<int>::open(name).value();
  EXPECT_TRUE(absl::IsDataLoss(queue.claim_producer()));
  EXPECT_TRUE(absl::IsDataLoss(queue.claim_consumer()));
  EXPECT_FALSE(queue.try_push(1));
  EXPECT_FALSE(queue.push(1));
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_TRUE(queue.prepare(1).empty());
  EXPECT_TRUE(queue.peek().empty());
}

// What cannot be is nothing while it may still change, and does not keep a closed queue from its end.
TEST(SpscIndices, ThatCannotBeDoNotHoldUpTheEnd) {
  for (const std::uint64_t ahead : {std::uint64_t{5}, std::uint64_t{1} << 40, UINT64_MAX}) {
    const std::string name = unique_name();
    auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
    ASSERT_TRUE(queue.try_push(1));
    ASSERT_EQ(queue.try_pop(), 1);
    SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, tail)), 1 + ahead);
    EXPECT_EQ(queue.try_pop_for(1ms), std::nullopt);
    queue.close();
    EXPECT_EQ(queue.pop(), std::nullopt);
    EXPECT_TRUE(queue.drained());
  }
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  ASSERT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  for (int i = 1; i <= 3; ++i) ASSERT_EQ(queue.try_pop(), i);
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, head)), std::uint64_t{0});  // taken long ago
  queue.close();
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_TRUE(queue.drained());
}

TEST(SpscIndices, ThatCannotBeAreToldToWhoWouldTakeASideOver) {
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, tail)), std::uint64_t{5});
  EXPECT_TRUE(absl::IsDataLoss(queue.check(1)));
}

// Room is asked for once and again: the second answer must not come from what the first one was refused for.
TEST(SpscIndices, AHeadThatCannotBeStaysRefused) {
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  ASSERT_EQ(queue.try_push_n(std::array{1, 2, 3, 4}), 4u);
  for (const std::uint64_t head : {std::uint64_t{5}, std::uint64_t{1} << 40, UINT64_MAX}) {
    SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, head)), head);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(queue.try_push(5)) << head;
      EXPECT_TRUE(queue.prepare(4).empty()) << head;
      EXPECT_EQ(queue.try_push_n(std::array{5, 6}), 0u) << head;
    }
  }
  SegmentFile(name).write(in_object(offsetof(layout::SpscRingHeader, head)), std::uint64_t{1});
  EXPECT_TRUE(queue.try_push(5));
  EXPECT_FALSE(queue.try_push(6));
}

// --- rests at the edge -----------------------------------------------------------------------------------------------

TEST(SpscPace, RestsWhileThatBringsTwoItemsForEachPause) {
  detail::Pace pace;
  detail::Spinner spinner;
  const auto rests = [&] {
    pace.rest(spinner);
    return spinner.take_pauses();
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rests(), 0u);
    pace.found(1);  // one answer for each question
  }
  for (const std::uint32_t pauses : {0u, 1u, 2u, 4u, 8u, 16u, 32u, 32u}) {
    EXPECT_EQ(rests(), pauses);
    pace.found(2 * pauses + 2);
  }
  pace.found(2 * 32 + 1);
  EXPECT_EQ(rests(), 0u);
}

// --- why a push is refused -------------------------------------------------------------------------------------------

TEST(SpscCheck, SaysWhyAPushIsRefused) {
  auto queue = SpscQueue<int>::create({.capacity = 2}).value();
  EXPECT_EQ(queue.check(1), absl::OkStatus());
  ASSERT_TRUE(queue.try_push(1));
  EXPECT_EQ(queue.check(1), absl::OkStatus());
  ASSERT_TRUE(queue.try_push(2));
  EXPECT_TRUE(absl::IsResourceExhausted(queue.check(3)));
  EXPECT_THAT(queue.check(3).message(), HasSubstr("full"));
  std::thread([&] {
    EXPECT_FALSE(queue.try_push(3));
    EXPECT_TRUE(absl::IsAlreadyExists(queue.check(3)));
    EXPECT_THAT(queue.check(3).message(), HasSubstr("producer"));
  }).join();
  queue.close();
  EXPECT_TRUE(absl::IsOutOfRange(queue.check(3)));
}

TEST(SpscCheck, ClaimsNothing) {
  const auto queue = SpscQueue<int>::create({.capacity = 2}).value();
  EXPECT_EQ(queue.check(1), absl::OkStatus());
  std::thread([copy = queue]() mutable { EXPECT_EQ(copy.claim_producer(), absl::OkStatus()); }).join();
}

}  // namespace
}  // namespace warren
