// Queue between processes: accounting, handles by fork and by name, one processor, deaths.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/queue.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::Shared;

// Says who made it, and whether it is whole.
template <std::size_t Words>
struct Stamped {
  std::uint32_t producer;
  std::uint32_t number;
  std::array<std::uint64_t, Words> body;

  static Stamped make(std::uint32_t producer, std::uint32_t number) {
    Stamped made{.producer = producer, .number = number, .body = {}};
    for (std::size_t i = 0; i < Words; ++i) made.body[i] = word(producer, number, i);
    return made;
  }
  [[nodiscard]] bool whole() const {
    for (std::size_t i = 0; i < Words; ++i) {
      if (body[i] != word(producer, number, i)) return false;
    }
    return true;
  }
  static std::uint64_t word(std::uint64_t producer, std::uint64_t number, std::uint64_t i) {
    return (producer << 40 | number << 8 | i) * 0x9e37'79b9'7f4a'7c15;
  }
};

constexpr std::uint32_t kMost = 200'000;
struct Tally {
  std::array<std::atomic<std::uint8_t>, kMost> times{};  // each item was popped
};

struct Crowd {
  std::uint32_t producers, consumers, items;  // items of each producer
  std::size_t capacity;
};
void PrintTo(const Crowd& crowd, std::ostream* out) {
  *out << crowd.producers << " to " << crowd.consumers << ", capacity " << crowd.capacity;
}

class QueueCrowd : public ::testing::TestWithParam<Crowd> {
 protected:
  template <std::size_t Words, class Push, class Pop>
  void run(Push push, Pop pop) {
    using Item = Stamped<Words>;
    const Crowd crowd = GetParam();
    if (crowd.capacity == 0) detail::elastic_tuning().chunk_bytes = 256;  // chunks come and go all the time
    auto queue = Queue<Item>::create({.capacity = crowd.capacity}).value();
    detail::elastic_tuning().chunk_bytes = 512 << 10;
    Shared<Tally> tally;
    std::vector<Child> producers, consumers;
    for (std::uint32_t p = 0; p < crowd.producers; ++p) producers.emplace_back([&, p] { push(queue, p, crowd.items); });
    for (std::uint32_t c = 0; c < crowd.consumers; ++c) {
      consumers.emplace_back([&] {
        std::vector<std::int64_t> last(crowd.producers, -1);
        pop(queue, [&](const Item& item) {
          ASSERT_TRUE(item.whole());
          ASSERT_LT(last.at(item.producer), item.number) << "out of the order of its producer";
          last[item.producer] = item.number;
          tally->times[item.producer * crowd.items + item.number].fetch_add(1);
        });
      });
    }
    for (Child& child : producers) EXPECT_TRUE(child.join().well());
    queue.close();
    for (Child& child : consumers) EXPECT_TRUE(child.join().well());
    for (std::uint32_t i = 0; i < crowd.producers * crowd.items; ++i) {
      ASSERT_EQ(tally->times[i], 1) << "item " << i;
    }
    const QueueStats stats = queue.stats();
    EXPECT_EQ(stats.pushed, std::uint64_t{crowd.producers} * crowd.items);
    EXPECT_EQ(stats.popped, stats.pushed);
    EXPECT_EQ(stats.buried, 0u);
    EXPECT_TRUE(queue.drained());
  }
};
INSTANTIATE_TEST_SUITE_P(Of, QueueCrowd,
                         ::testing::Values(Crowd{1, 1, 20'000, 1}, Crowd{1, 1, 50'000, 64}, Crowd{2, 2, 20'000, 3},
                                           Crowd{4, 4, 10'000, 16}, Crowd{8, 2, 5'000, 5}, Crowd{2, 8, 20'000, 1000},
                                           Crowd{1, 1, 50'000, 0}, Crowd{4, 4, 10'000, 0}, Crowd{8, 2, 5'000, 0}));

TEST_P(QueueCrowd, EachItemOnceWholeAndInItsProducersOrder) {
  run<2>(
      [](auto& queue, std::uint32_t producer, std::uint32_t items) {
        for (std::uint32_t n = 0; n < items; ++n) ASSERT_TRUE(queue.push(Stamped<2>::make(producer, n)));
      },
      [](auto& queue, auto&& got) {
        while (auto item = queue.pop()) got(*item);
      });
}

TEST_P(QueueCrowd, LikewiseInBatchesOfLargeItems) {
  run<30>(
      [](auto& queue, std::uint32_t producer, std::uint32_t items) {
        std::vector<Stamped<30>> batch;
        for (std::uint32_t n = 0; n < items;) {
          batch.clear();
          for (std::uint32_t i = 0; i < 1 + n % 7 && n < items; ++i, ++n)
            batch.push_back(Stamped<30>::make(producer, n));
          ASSERT_EQ(queue.push_n(batch), batch.size());
        }
      },
      [](auto& queue, auto&& got) {
        std::array<Stamped<30>, 9> out;
        while (const std::size_t count = queue.pop_n(out)) {
          for (std::size_t i = 0; i < count; ++i) got(out[i]);
        }
      });
}

// A process with nothing but try_*: it polls.
TEST_P(QueueCrowd, LikewiseByPolling) {
  run<1>(
      [](auto& queue, std::uint32_t producer, std::uint32_t items) {
        for (std::uint32_t n = 0; n < items; ++n) {
          while (!queue.try_push(Stamped<1>::make(producer, n))) ::sched_yield();
        }
      },
      [](auto& queue, auto&& got) {
        for (;;) {
          if (auto item = queue.try_pop()) {
            got(*item);
          } else if (queue.drained()) {
            return;
          } else {
            ::sched_yield();
          }
        }
      });
}

// --- one processor ---------------------------------------------------------------------------------------------------

TEST(QueueOneProcessor, EverybodyGetsOn) {
  Child crowd([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    auto queue = Queue<int>::create({.capacity = 3}).value();
    std::vector<Child> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back([&] {
        for (int n = 0; n < 3000; ++n) ASSERT_TRUE(queue.push(n));
      });
    }
    int count = 0;
    while (count < 9000 && queue.pop()) ++count;
    EXPECT_EQ(count, 9000);
    for (Child& child : children) EXPECT_TRUE(child.join().well());
  });
  EXPECT_TRUE(crowd.join().well());
}

// --- handles ---------------------------------------------------------------------------------------------------------

TEST(QueueHandles, PassByForkDownTheGenerations) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.try_push(0));
  Child child([&] {
    EXPECT_EQ(queue.pop(), 0);
    Child grandchild([&] { EXPECT_TRUE(queue.push(1)); });
    EXPECT_TRUE(grandchild.join().well());
    EXPECT_TRUE(queue.push(2));
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(QueueHandles, PassByName) {
  const std::string name = test::unique_name();
  Gate start;
  Child other([&] {  // forked before the queue was made
    start.wait();
    auto queue = Queue<int>::open(name).value();
    while (auto item = queue.pop()) EXPECT_TRUE(*item == 1 || *item == 2);
  });
  auto queue = Queue<int>::create(name, {.capacity = 1}).value();
  start.open();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(queue.push(1 + i % 2));
  queue.close();
  EXPECT_TRUE(other.join().well());
  EXPECT_TRUE(queue.drained());
}

TEST(QueueHandles, ACopyDroppedInTheChildLeavesTheParentsAlone) {
  std::optional<Queue<int>> queue(Queue<int>::create({.capacity = 4}).value());
  ASSERT_TRUE(queue->try_push(1));
  Child child([&] {
    EXPECT_EQ(queue->try_pop(), 1);
    EXPECT_TRUE(queue->try_push(2));
    queue.reset();
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(queue->try_pop(), 2);
  EXPECT_TRUE(queue->try_push(3));
}

// A fork while other threads push: the child's seat is its own, and what the threads were in the midst of stays theirs.
TEST(QueueHandles, ForksInTheMidstOfPushesHarmNobody) {
  auto queue = Queue<int>::create({.capacity = 8}).value();
  std::atomic<bool> end{false};
  std::atomic<std::uint64_t> pushed{0}, popped{0};
  std::thread producer([&] {
    while (!end) {
      if (queue.try_push(1)) ++pushed;
    }
  });
  std::thread consumer([&] {
    while (!queue.drained()) {
      if (queue.try_pop()) ++popped;
    }
  });
  for (int i = 0; i < 50; ++i) {
    Child child([&] { ASSERT_TRUE(queue.push(2)); });
    EXPECT_TRUE(child.join().well());
    ++pushed;
  }
  end = true;
  producer.join();
  queue.close();
  consumer.join();
  EXPECT_EQ(popped, pushed);
  EXPECT_EQ(queue.stats().buried, 0u);
}

// --- deaths (at every point of every call: tests/crash) --------------------------------------------------------------

TEST(QueueDeath, AKilledConsumerLeavesTheRest) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  Child consumer([&] {
    for (;;) (void)queue.pop();
  });
  test::await_futex_sleep(consumer.pid());
  consumer.kill();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.try_push(i));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(queue.pop(), i);
}

TEST(QueueDeath, AKilledProducerThatWaitedTakesNoPlace) {
  auto queue = Queue<int>::create({.capacity = 1}).value();
  EXPECT_TRUE(queue.push(1));
  Child producer([&] { (void)queue.push(2); });
  test::await_futex_sleep(producer.pid());
  producer.kill();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_TRUE(queue.push(3));
  EXPECT_EQ(queue.pop(), 3);
}

TEST(QueueDeath, ProducersKilledAtRandomLoseNothingThatWasCommitted) {
  auto queue = Queue<std::uint64_t>::create({.capacity = 16}).value();
  Shared<std::atomic<std::uint64_t>> committed{0u};
  std::uint64_t popped = 0;
  constexpr int kKills = 60;
  for (int i = 0; i < kKills; ++i) {
    Gate running;
    Child producer([&] {
      running.open();
      while (queue.push(1)) committed->fetch_add(1);
    });
    running.wait();
    for (int n = 0; n < 100; ++n) popped += queue.pop().value();
    producer.kill();
  }
  queue.close();
  while (auto item = queue.pop()) popped += *item;
  // Between the commit and the count a kill leaves one uncounted.
  EXPECT_GE(popped, committed->load());
  EXPECT_LE(popped, committed->load() + kKills);
  const QueueStats stats = queue.stats();
  EXPECT_EQ(stats.popped, stats.pushed);
  EXPECT_EQ(stats.pushed - stats.buried, popped);
}

// A dead claim in a queue of one: who waits for room gets it as soon as the claim is buried, by whoever looks.
TEST(QueueDeath, ABuriedClaimFreesItsPlaceForAWaitingProducer) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 1}).value();
  // The claim of a producer that died: the tail moved, and no lane announces it.
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<int>()})
          .value();
  reinterpret_cast<layout::MpmcRingHeader*>(raw->object())->tail.fetch_add(1);
  Gate pushing;
  std::atomic<pid_t> tid{0};
  std::thread producer([&] {
    tid = ::gettid();
    EXPECT_TRUE(queue.push(5));
  });
  while (tid == 0) ::sched_yield();
  test::await_futex_sleep(::getpid(), tid);
  EXPECT_EQ(queue.pop(), 5);
  producer.join();
  EXPECT_EQ(queue.stats().buried, 1u);
}

// Each costs its own stall: the first ones do not make the later ones dearer.
TEST(QueueDeath, ManyDeadClaimsInARowAreBuriedOneAfterTheOther) {
  constexpr std::uint64_t kDead = 500;
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 2 * kDead}).value();
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<int>()})
          .value();
  reinterpret_cast<layout::MpmcRingHeader*>(raw->object())->tail.fetch_add(kDead);
  ASSERT_TRUE(queue.try_push(7));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(queue.pop(), 7);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "a millisecond for each, and not 20";
  EXPECT_EQ(queue.stats().buried, kDead);
}

TEST(QueueDeath, ClosedWithADeadClaimDrains) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  EXPECT_TRUE(queue.push(1));
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<int>()})
          .value();
  reinterpret_cast<layout::MpmcRingHeader*>(raw->object())->tail.fetch_add(1);
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(queue.stats().buried, 1u);
}

TEST(QueueDeath, AStoppedProducerIsWaitedFor) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  Gate announced;
  const std::string name = test::unique_name();
  auto named = Queue<int>::create(name, {.capacity = 4}).value();
  // Stands between its claim and its commit.
  Child producer([&] {
    auto raw =
        detail::Attachment::open(name, {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<int>()})
            .value();
    raw->seat().lane->announcement = 1;
    reinterpret_cast<layout::MpmcRingHeader*>(raw->object())->tail.fetch_add(1);
    announced.open();
    Gate().wait();
  });
  announced.wait();
  producer.stop();
  EXPECT_TRUE(named.try_push(2));
  EXPECT_EQ(named.try_pop_for(50ms), std::nullopt);
  EXPECT_EQ(named.stats().buried, 0u);
  producer.kill();
  EXPECT_EQ(named.pop(), 2);
  EXPECT_EQ(named.stats().buried, 1u);
}

}  // namespace
}  // namespace warren
