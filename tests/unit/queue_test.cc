#include <warren/ipc/queue.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::Blocked;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Queue<int> queue_of(std::size_t capacity) { return Queue<int>::create({.capacity = capacity}).value(); }

// --- creation --------------------------------------------------------------------------------------------------------

TEST(Queue, ACapacityMustBePossible) {
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<int>::create({.capacity = SIZE_MAX}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<int>::create(test::unique_name(), {.capacity = SIZE_MAX / 16}).status()));
}

TEST(Queue, ANewOneIsEmptyOpenAndNotDrained) {
  auto queue = queue_of(3);
  EXPECT_EQ(queue.capacity(), 3u);
  EXPECT_EQ(queue.approx_size(), 0u);
  EXPECT_FALSE(queue.closed());
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_EQ(queue.stats().pushed, 0u);
}

// --- order and capacity ----------------------------------------------------------------------------------------------

TEST(Queue, FirstInFirstOutOverManyLaps) {
  auto queue = queue_of(5);
  int next_in = 0, next_out = 0;
  for (int lap = 0; lap < 1000; ++lap) {
    for (int i = 0; i < 1 + lap % 5; ++i) ASSERT_TRUE(queue.try_push(next_in++));
    for (int i = 0; i < 1 + lap % 5; ++i) ASSERT_EQ(queue.try_pop(), next_out++);
  }
}

class QueueCapacity : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Of, QueueCapacity, ::testing::Values(1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000));

TEST_P(QueueCapacity, IsExact) {
  const std::size_t capacity = GetParam();
  auto queue = queue_of(capacity);
  EXPECT_EQ(queue.capacity(), capacity);
  for (int lap = 0; lap < 5; ++lap) {
    for (std::size_t i = 0; i < capacity; ++i) {
      EXPECT_EQ(queue.approx_size(), i);
      ASSERT_TRUE(queue.try_push(static_cast<int>(i)));
    }
    EXPECT_FALSE(queue.try_push(-1));
    EXPECT_FALSE(queue.try_push(-1));
    EXPECT_EQ(queue.approx_size(), capacity);
    ASSERT_EQ(queue.try_pop(), 0);
    ASSERT_TRUE(queue.try_push(static_cast<int>(capacity)));
    EXPECT_FALSE(queue.try_push(-1));
    for (std::size_t i = 1; i <= capacity; ++i) ASSERT_EQ(queue.try_pop(), static_cast<int>(i));
    EXPECT_EQ(queue.try_pop(), std::nullopt);
  }
}

TEST(Queue, ARefusedPushGivesItsCapacityBack) {
  auto queue = queue_of(2);
  EXPECT_EQ(queue.try_push_n(std::array{1, 2}), 2u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(queue.try_push(9));
    EXPECT_FALSE(queue.try_push_for(9, 0s));
  }
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), 3);
}

// Else a push that waits would spin for many times its window.
TEST(Queue, APushCountsItsPausesInAFullRing) {
  auto queue = queue_of(64);
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(queue.try_push(i));
  detail::Spinner& spinner = test::Reach::attachment(queue).seat().push_spinner;
  while (spinner.take_pauses() == 0) EXPECT_FALSE(queue.try_push(64));  // of two within a moment the second one pauses
}

// A peer wrote it.
TEST(Queue, AFalseHeadIsBelievedForALapAtMost) {
  auto queue = queue_of(16);
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(test::Reach::attachment(queue).object());
  header.head = layout::kMaxPosition;
  ASSERT_TRUE(queue.try_push(0));
  header.head = 0;
  for (int i = 1; i < 16; ++i) ASSERT_TRUE(queue.try_push(i));
  EXPECT_FALSE(queue.try_push(16));
}

TEST(Queue, ItemsAreCopiedAtThePush) {
  auto queue = queue_of(2);
  int item = 1;
  ASSERT_TRUE(queue.try_push(item));
  item = 2;
  EXPECT_EQ(queue.try_pop(), 1);
}

// --- payloads --------------------------------------------------------------------------------------------------------

template <std::size_t N>
struct Blob {
  std::array<unsigned char, N> bytes;
};

template <std::size_t N>
Blob<N> blob(unsigned seed) {
  Blob<N> made;
  for (std::size_t i = 0; i < N; ++i) made.bytes[i] = static_cast<unsigned char>(seed * 31 + i * 7);
  return made;
}

template <std::size_t N>
void carries_whole() {
  auto queue = Queue<Blob<N>>::create({.capacity = 3}).value();
  for (unsigned i = 0; i < 20; ++i) {
    ASSERT_TRUE(queue.try_push(blob<N>(i)));
    ASSERT_TRUE(queue.push(blob<N>(i + 1)));
    ASSERT_EQ(queue.try_pop()->bytes, blob<N>(i).bytes) << N;
    std::array<Blob<N>, 2> out;
    ASSERT_EQ(queue.try_pop_n(out), 1u);
    ASSERT_EQ(out[0].bytes, blob<N>(i + 1).bytes) << N;
  }
}

TEST(Queue, CarriesAnySize) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { (carries_whole<I + 1>(), ...); }(std::make_index_sequence<40>());
  carries_whole<63>();
  carries_whole<64>();
  carries_whole<65>();
  carries_whole<127>();
  carries_whole<255>();
  carries_whole<256>();
  carries_whole<500>();
  carries_whole<999>();
  carries_whole<1000>();
}

struct NoDefault {
  constexpr explicit NoDefault(int v) : value(v) {}
  int value;
};
static_assert(!std::is_default_constructible_v<NoDefault>);

TEST(Queue, CarriesWhatHasNoDefaultConstructor) {
  auto queue = Queue<NoDefault>::create({.capacity = 3}).value();
  EXPECT_TRUE(queue.push(NoDefault(1)));
  EXPECT_TRUE(queue.push(NoDefault(2)));
  EXPECT_EQ(queue.pop()->value, 1);
  std::array out{NoDefault(0), NoDefault(0)};
  EXPECT_EQ(queue.pop_n(out), 1u);
  EXPECT_EQ(out[0].value, 2);
}

struct Constant {
  const int value;
};

TEST(Queue, CarriesWhatCannotBeAssigned) {
  auto queue = Queue<Constant>::create({.capacity = 3}).value();
  EXPECT_TRUE(queue.push({1}));
  EXPECT_EQ(queue.pop()->value, 1);
}

struct alignas(64) Wide {
  double values[8];
};
enum class Colour : std::uint8_t { kRed = 1, kBlue = 200 };

TEST(Queue, CarriesEnumsDoublesAndWideAlignment) {
  auto colours = Queue<Colour>::create({.capacity = 1}).value();
  EXPECT_TRUE(colours.try_push(Colour::kBlue));
  EXPECT_EQ(colours.try_pop(), Colour::kBlue);
  auto wide = Queue<Wide>::create({.capacity = 3}).value();
  EXPECT_TRUE(wide.try_push({{1, 2, 3, 4, 5, 6, 7, 8}}));
  const std::optional<Wide> item = wide.try_pop();
  EXPECT_EQ(item->values[7], 8.0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*item) % 64, 0u);
}

// --- batches ---------------------------------------------------------------------------------------------------------

TEST(QueueBatch, TryPushNTakesWhatFitsFromTheFront) {
  auto queue = queue_of(5);
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  EXPECT_EQ(queue.try_push_n(std::array{4, 5, 6, 7}), 2u);
  EXPECT_EQ(queue.try_push_n(std::array{8}), 0u);
  std::array<int, 8> out{};
  EXPECT_EQ(queue.try_pop_n(out), 5u);
  EXPECT_THAT(out, ElementsAre(1, 2, 3, 4, 5, 0, 0, 0));
}

TEST(QueueBatch, TryPopNTakesWhatIsThereUpToTheRoom) {
  auto queue = queue_of(5);
  std::array<int, 2> out{};
  EXPECT_EQ(queue.try_pop_n(out), 0u);
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  EXPECT_EQ(queue.try_pop_n(out), 2u);
  EXPECT_THAT(out, ElementsAre(1, 2));
  EXPECT_EQ(queue.try_pop_n(out), 1u);
}

TEST(QueueBatch, EmptyBatchesDoNothingAndReturn) {
  auto queue = queue_of(2);
  const std::span<int> none;
  EXPECT_EQ(queue.try_pop_n(none), 0u);
  EXPECT_EQ(queue.pop_n(none), 0u);
  EXPECT_EQ(queue.try_push_n(none), 0u);
  EXPECT_EQ(queue.push_n(none), 0u);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_EQ(queue.try_pop_n(none), 0u) << "also with an item there";
  EXPECT_EQ(queue.pop_n(none), 0u);
  EXPECT_EQ(queue.approx_size(), 1u);
}

TEST(QueueBatch, PopNOfOneReturnsThoughMoreIsThere) {
  auto queue = queue_of(4);
  std::array<int, 1> out{};
  Blocked popper([&] { EXPECT_EQ(queue.pop_n(out), 1u); });
  EXPECT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  popper.join();
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(queue.approx_size(), 2u);
}

TEST(QueueBatch, PopNTakesOverALap) {
  auto queue = queue_of(5);
  std::array<int, 5> out{};
  int next = 0, expected = 0;
  for (int lap = 0; lap < 100; ++lap) {
    std::array<int, 4> in{};
    std::iota(in.begin(), in.end(), next);
    next += 4;
    ASSERT_EQ(queue.try_push_n(in), 4u);
    ASSERT_EQ(queue.pop_n(out), 4u);
    for (std::size_t i = 0; i < 4; ++i) ASSERT_EQ(out[i], expected++);
  }
}

TEST(QueueBatch, PushNBlocksUntilAllAreIn) {
  auto queue = queue_of(2);
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  std::thread pusher([&] { EXPECT_EQ(queue.push_n(items), 100u); });
  for (int i = 0; i < 100; ++i) ASSERT_EQ(queue.pop(), i);
  pusher.join();
}

TEST(QueueBatch, PushNReturnsFewerWhenClosed) {
  auto queue = queue_of(3);
  Blocked pusher([&] { EXPECT_EQ(queue.push_n(std::array{1, 2, 3, 4, 5}), 3u); });
  queue.close();
  pusher.join();
  std::array<int, 8> out{};
  EXPECT_EQ(queue.pop_n(out), 3u);
  EXPECT_EQ(queue.pop_n(out), 0u) << "closed and drained";
}

// --- blocking and time -----------------------------------------------------------------------------------------------

TEST(QueueBlocking, PopWaitsForAPush) {
  auto queue = queue_of(2);
  Blocked popper([&] { EXPECT_EQ(queue.pop(), 7); });
  EXPECT_FALSE(popper.returned());
  EXPECT_TRUE(queue.push(7));
}

TEST(QueueBlocking, PushWaitsForAPop) {
  auto queue = queue_of(1);
  EXPECT_TRUE(queue.push(1));
  Blocked pusher([&] { EXPECT_TRUE(queue.push(2)); });
  EXPECT_FALSE(pusher.returned());
  EXPECT_EQ(queue.pop(), 1);
  pusher.join();
  EXPECT_EQ(queue.pop(), 2);
}

TEST(QueueBlocking, EachOfSeveralWaitersGetsOneItem) {
  auto queue = queue_of(8);
  std::atomic<int> sum{0};
  {
    Blocked a([&] { sum += queue.pop().value(); }), b([&] { sum += queue.pop().value(); }),
        c([&] { sum += queue.pop().value(); });
    EXPECT_EQ(queue.push_n(std::array{1, 10, 100}), 3u);
  }
  EXPECT_EQ(sum, 111);
  EXPECT_EQ(queue.approx_size(), 0u);
}

TEST(QueueBlocking, TimedCallsWaitAtLeastThatLong) {
  auto queue = queue_of(1);
  auto begin = steady_clock::now();
  EXPECT_EQ(queue.try_pop_for(30ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 30ms);
  begin = steady_clock::now();
  EXPECT_EQ(queue.try_pop_until(begin + 30ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 30ms);
  EXPECT_TRUE(queue.push(1));
  begin = steady_clock::now();
  EXPECT_FALSE(queue.try_push_for(2, 30ms));
  EXPECT_GE(steady_clock::now() - begin, 30ms);
  begin = steady_clock::now();
  EXPECT_FALSE(queue.try_push_until(2, begin + 30ms));
  EXPECT_GE(steady_clock::now() - begin, 30ms);
}

TEST(QueueBlocking, TimedCallsReturnEarlyWithWhatCame) {
  auto queue = queue_of(1);
  Blocked popper([&] { EXPECT_EQ(queue.try_pop_for(1h), 5); });
  EXPECT_TRUE(queue.try_push(5));
  popper.join();
  EXPECT_TRUE(queue.try_push(6));
  Blocked pusher([&] { EXPECT_TRUE(queue.try_push_until(7, steady_clock::now() + 1h)); });
  EXPECT_EQ(queue.try_pop(), 6);
}

TEST(QueueBlocking, ZeroNegativeAndNanMeanNow) {
  auto queue = queue_of(1);
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using Seconds = std::chrono::duration<double>;
  EXPECT_EQ(queue.try_pop_for(0s), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(-1s), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(Seconds(kNan)), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(std::chrono::hours::min()), std::nullopt);
  EXPECT_EQ(queue.try_pop_until(steady_clock::time_point::min()), std::nullopt);
  EXPECT_EQ(queue.try_pop_until(std::chrono::time_point<steady_clock, Seconds>(Seconds(kNan))), std::nullopt);
  EXPECT_TRUE(queue.try_push_for(1, Seconds(kNan))) << "there is room now";
  EXPECT_FALSE(queue.try_push_for(2, 0s));
  EXPECT_FALSE(queue.try_push_for(2, -1ns));
  EXPECT_FALSE(queue.try_push_until(2, steady_clock::time_point::min()));
  EXPECT_EQ(queue.try_pop_for(-5s), 1) << "and what is there is taken";
}

TEST(QueueBlocking, TheLargestTimeoutsAreForEver) {
  auto queue = queue_of(1);
  for (const Timeout timeout : {Timeout(kForever), Timeout(std::chrono::seconds::max()),
                                Timeout(std::chrono::hours::max()), Timeout(std::chrono::duration<double>(1e300))}) {
    Blocked popper([&] { EXPECT_EQ(queue.try_pop_for(timeout), 3); });
    EXPECT_FALSE(popper.returned());
    EXPECT_TRUE(queue.try_push(3));
  }
  Blocked popper([&] { EXPECT_EQ(queue.try_pop_until(steady_clock::time_point::max()), 4); });
  EXPECT_TRUE(queue.try_push(4));
}

// --- close and drain -------------------------------------------------------------------------------------------------

TEST(QueueClose, RefusesPushesAndDrainsPops) {
  auto queue = queue_of(4);
  EXPECT_EQ(queue.push_n(std::array{1, 2}), 2u);
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.push(3));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_FALSE(queue.try_push_for(3, 1h));
  EXPECT_EQ(queue.try_push_n(std::array{3, 4}), 0u);
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_EQ(queue.try_pop_for(1h), std::nullopt);
}

TEST(QueueClose, MayBeRepeated) {
  auto queue = queue_of(1);
  queue.close();
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_TRUE(queue.drained());
}

TEST(QueueClose, EndsAllWaits) {
  auto empty = queue_of(1);
  auto full = queue_of(1);
  EXPECT_TRUE(full.push(1));
  {
    Blocked a([&] { EXPECT_EQ(empty.pop(), std::nullopt); }),
        b([&] { EXPECT_EQ(empty.try_pop_for(1h), std::nullopt); }), c([&] { EXPECT_FALSE(full.push(2)); }),
        d([&] { EXPECT_FALSE(full.try_push_for(2, 1h)); });
    empty.close();
    full.close();
  }
  EXPECT_EQ(full.pop(), 1);
  EXPECT_TRUE(full.drained());
}

TEST(QueueClose, IsSeenThroughEveryHandle) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 2}).value();
  auto other = Queue<int>::open(name).value();
  const Queue<int> copy = queue;
  other.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_TRUE(copy.closed());
  EXPECT_TRUE(copy.drained());
}

// Producers push as long as they can while it is closed; what they pushed is what is popped, and drained() stays.
TEST(QueueClose, DrainedNeverTurnsFalseAgain) {
  for (int round = 0; round < 200; ++round) {
    auto queue = queue_of(4);
    std::atomic<int> pushed{0};
    std::vector<std::thread> producers;
    for (int i = 0; i < 2; ++i) {
      producers.emplace_back([&] {
        while (queue.push(1)) ++pushed;
      });
    }
    int popped = 0;
    std::thread closer([&] { queue.close(); });
    while (!queue.drained()) {
      if (queue.try_pop()) ++popped;
    }
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(queue.drained());
      EXPECT_EQ(queue.try_pop(), std::nullopt);
    }
    closer.join();
    for (std::thread& producer : producers) producer.join();
    EXPECT_TRUE(queue.drained());
    EXPECT_EQ(popped, pushed);
  }
}

// --- reasons and figures ---------------------------------------------------------------------------------------------

TEST(QueueCheck, SaysWhyAPushWouldBeRefused) {
  auto queue = queue_of(1);
  EXPECT_EQ(queue.check(1), absl::OkStatus());
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(absl::IsResourceExhausted(queue.check(1)));
  EXPECT_THAT(queue.check(1).message(), HasSubstr("full"));
  queue.close();
  EXPECT_TRUE(absl::IsOutOfRange(queue.check(1)));
  EXPECT_THAT(queue.check(1).message(), HasSubstr("closed"));
}

TEST(QueueStatsTest, CountPushesAndPops) {
  auto queue = queue_of(4);
  EXPECT_EQ(queue.push_n(std::array{1, 2, 3}), 3u);
  std::array<int, 2> out{};
  EXPECT_EQ(queue.pop_n(out), 2u);
  EXPECT_FALSE(queue.try_push_n(std::array{1, 2, 3, 4}) == 4);
  queue.close();
  const QueueStats stats = queue.stats();
  EXPECT_EQ(stats.pushed, 6u);
  EXPECT_EQ(stats.popped, 2u);
  EXPECT_EQ(stats.buried, 0u);
}

// --- handles ---------------------------------------------------------------------------------------------------------

TEST(QueueHandle, CopiesAreTheSameQueue) {
  auto queue = queue_of(2);
  Queue<int> copy = queue;
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_EQ(copy.try_pop(), 1);
  queue = queue_of(5);
  EXPECT_TRUE(copy.try_push(2));
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_EQ(copy.try_pop(), 2);
}

TEST(QueueHandle, ManyQueuesOfOneThreadKeepApart) {
  std::vector<Queue<int>> queues;
  for (int i = 0; i < 50; ++i) queues.push_back(queue_of(4));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(queues[static_cast<std::size_t>(i)].try_push(round * 100 + i));
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_EQ(queues[static_cast<std::size_t>(i)].try_pop(), round * 100 + i);
  }
}

TEST(QueueHandle, NamesGoByTheSegmentsRules) {
  const std::string name = test::unique_name();
  EXPECT_TRUE(absl::IsNotFound(Queue<int>::open(name).status()));
  {
    auto created = Queue<int>::open_or_create(name, {.capacity = 3}).value();
    auto opened = Queue<int>::open_or_create(name, {.capacity = 99}).value();
    EXPECT_EQ(opened.capacity(), 3u) << "whoever comes first decides";
    EXPECT_TRUE(absl::IsAlreadyExists(Queue<int>::create(name, {.capacity = 3}).status()));
    EXPECT_TRUE(created.try_push(1));
    EXPECT_EQ(opened.try_pop(), 1);
  }
  EXPECT_FALSE(test::name_exists(name)) << "the last one out removed it";
  auto again = Queue<int>::create(name, {.capacity = 3}).value();
  EXPECT_EQ(Queue<int>::unlink(name), absl::OkStatus());
  EXPECT_TRUE(again.try_push(1));
}

TEST(QueueHandle, AProcessMayOpenOneNameTwice) {
  const std::string name = test::unique_name();
  auto a = Queue<int>::create(name, {.capacity = 100}).value();
  auto b = Queue<int>::open(name).value();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(i % 2 == 0 ? a.try_push(i) : b.try_push(i));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(i % 3 == 0 ? a.try_pop() : b.try_pop(), i);
}

}  // namespace
}  // namespace warren
