// The rings and the wait word with threads only, so that ThreadSanitizer sees every access. Plain memory beside the
// rings shows what their orders promise: whoever is handed an item sees what was written before it was pushed. The
// negative controls (weakened.cmake) run these tests on rings with one order or store weakened, and must be caught.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

using Item = std::uint32_t;
constexpr Item kItems = 30'000;

// Runs each function in threads of its own, all let go at once.
class Crew {
 public:
  void add(std::size_t count, const std::function<void(std::size_t)>& work) {
    for (std::size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, work, i] {
        while (!go_.load(std::memory_order_acquire)) ::sched_yield();
        work(i);
      });
    }
  }
  void run() {
    go_.store(true, std::memory_order_release);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  ~Crew() {
    if (!threads_.empty()) run();
  }

 private:
  std::atomic<bool> go_{false};
  std::vector<std::thread> threads_;
};

// Plain memory for every item: written by who pushes it, read and crossed out by who pops it.
class Ledger {
 public:
  explicit Ledger(Item items) : value_(items, 0), popped_(items, 0) {}
  void write(Item item) { value_[item] = stamp(item); }
  void read(Item item) {
    if (value_[item] != stamp(item)) wrong_.fetch_add(1, std::memory_order_relaxed);
    ++popped_[item];  // by two at once would be a race, and twice is counted below
  }
  void expect_each_once() const {
    EXPECT_EQ(wrong_.load(), 0u) << "items before what was written for them";
    std::size_t lost = 0, doubled = 0;
    for (const std::uint8_t times : popped_) {
      lost += times == 0 ? 1u : 0u;
      doubled += times > 1 ? 1u : 0u;
    }
    EXPECT_EQ(lost, 0u) << "items lost";
    EXPECT_EQ(doubled, 0u) << "items doubled";
  }

 private:
  static std::uint64_t stamp(Item item) { return (item + 1) * 0x9e37'79b9'7f4a'7c15; }
  std::vector<std::uint64_t> value_;
  std::vector<std::uint8_t> popped_;
  std::atomic<std::size_t> wrong_{0};
};

struct Shape {
  std::size_t producers, consumers, capacity;
};
std::string name_of(const Shape& shape) {
  return std::to_string(shape.producers) + "to" + std::to_string(shape.consumers) + "by" +
         std::to_string(shape.capacity);
}
void PrintTo(const Shape& shape, std::ostream* out) { *out << name_of(shape); }

class MpmcThreads : public ::testing::TestWithParam<Shape> {
 protected:
  static constexpr Item each(std::size_t producers) { return kItems / static_cast<Item>(producers); }
  Queue<Item> queue_ = Queue<Item>::create({.capacity = GetParam().capacity}).value();
  Ledger ledger_{kItems};
};
INSTANTIATE_TEST_SUITE_P(Of, MpmcThreads,
                         ::testing::Values(Shape{1, 1, 1}, Shape{2, 2, 3}, Shape{3, 3, 64}, Shape{6, 2, 8},
                                           Shape{2, 6, 5}),
                         [](const auto& shape) { return name_of(shape.param); });

TEST_P(MpmcThreads, AnItemComesAfterWhatWasWrittenForIt) {
  const auto [producers, consumers, capacity] = GetParam();
  Crew consuming, producing;
  consuming.add(consumers, [&](std::size_t) {
    while (const auto item = queue_.pop()) ledger_.read(*item);
  });
  producing.add(producers, [&, count = each(producers)](std::size_t p) {
    for (Item n = 0; n < count; ++n) {
      const Item item = static_cast<Item>(p) * count + n;
      ledger_.write(item);
      ASSERT_TRUE(queue_.push(item));
    }
  });
  std::thread consumers_thread([&] { consuming.run(); });
  producing.run();
  for (Item item = each(producers) * static_cast<Item>(producers); item < kItems; ++item) {
    ledger_.write(item);
    ASSERT_TRUE(queue_.push(item));
  }
  queue_.close();
  consumers_thread.join();
  ledger_.expect_each_once();
  EXPECT_EQ(queue_.stats().buried, 0u);
}

TEST_P(MpmcThreads, SoDoesARunOfItems) {
  const auto [producers, consumers, capacity] = GetParam();
  Crew consuming, producing;
  consuming.add(consumers, [&](std::size_t) {
    std::array<Item, 7> out;
    while (const std::size_t count = queue_.pop_n(out)) {
      for (std::size_t i = 0; i < count; ++i) ledger_.read(out[i]);
    }
  });
  producing.add(producers, [&, count = each(producers)](std::size_t p) {
    std::vector<Item> batch;
    for (Item n = 0; n < count; n += static_cast<Item>(batch.size())) {
      batch.clear();
      for (Item i = 0; i < 1 + n % 5 && n + i < count; ++i) batch.push_back(static_cast<Item>(p) * count + n + i);
      for (const Item item : batch) ledger_.write(item);
      ASSERT_EQ(queue_.push_n(batch), batch.size());
    }
  });
  std::thread consumers_thread([&] { consuming.run(); });
  producing.run();
  for (Item item = each(producers) * static_cast<Item>(producers); item < kItems; ++item) {
    ledger_.write(item);
    ASSERT_TRUE(queue_.push(item));
  }
  queue_.close();
  consumers_thread.join();
  ledger_.expect_each_once();
}

// Consumers ask after the life of every claim that they find standing, at once: the living keep theirs.
TEST_P(MpmcThreads, SuspectedClaimsOfTheLivingStand) {
  const auto [producers, consumers, capacity] = GetParam();
  constexpr Item kFew = 24'000;
  Ledger ledger(kFew);
  const std::int64_t stall = detail::wait_tuning().stall_ns.exchange(0);
  const std::uint64_t short_look = detail::wait_tuning().short_look_ticks.exchange(0);
  std::atomic<std::size_t> producing_still{producers};
  Crew crew;
  crew.add(producers, [&, count = kFew / static_cast<Item>(producers)](std::size_t p) {
    for (Item n = 0; n < count; ++n) {
      const Item item = static_cast<Item>(p) * count + n;
      ledger.write(item);
      while (!queue_.try_push(item)) ::sched_yield();
    }
    if (producing_still.fetch_sub(1) == 1) queue_.close();
  });
  crew.add(consumers, [&](std::size_t) {
    int looks = 0;
    while (!queue_.drained()) {
      if (const auto item = queue_.try_pop()) {
        ledger.read(*item);
      } else if (++looks % 8 == 0) {  // the second look already finds a claim old enough
        ::sched_yield();
      }
    }
  });
  crew.run();
  ledger.expect_each_once();
  EXPECT_EQ(queue_.stats().buried, 0u) << "claims of the living buried";
  detail::wait_tuning().stall_ns.store(stall);
  detail::wait_tuning().short_look_ticks.store(short_look);
}

// Capacity 1: the next push succeeds after the pop, and sees what was written before that.
TEST(MpmcThread, RoomComesAfterWhatWasWrittenBeforeThePop) {
  auto queue = Queue<Item>::create({.capacity = 1}).value();
  std::vector<std::uint8_t> written(kItems, 0);
  std::size_t missing = 0;
  std::thread consumer([&] {
    for (Item n = 0; n < kItems; ++n) {
      written[n] = 1;
      (void)queue.pop();
    }
  });
  for (Item n = 0; n < kItems; ++n) {
    ASSERT_TRUE(queue.push(n));
    if (n > 0 && written[n - 1] != 1) ++missing;
  }
  consumer.join();
  EXPECT_EQ(missing, 0u);
}

TEST(MpmcThread, ClosedComesAfterWhatWasWrittenBeforeTheClose) {
  for (int round = 0; round < 500; ++round) {
    auto queue = Queue<Item>::create({.capacity = 1}).value();
    int written = 0;
    std::thread closer([&] {
      written = 1;
      queue.close();
    });
    while (!queue.closed()) ::sched_yield();
    EXPECT_EQ(written, 1);
    closer.join();
  }
}

TEST(MpmcThread, ThreadsThatComeAndGoHandTheirLanesOn) {
  auto queue = Queue<Item>::create({.capacity = 16}).value();
  constexpr Item kThreads = 400, kEach = 20;
  Ledger ledger(kThreads * kEach);
  std::thread consumer([&] {
    while (const auto item = queue.pop()) ledger.read(*item);
  });
  Crew crew;
  crew.add(4, [&](std::size_t c) {
    for (Item t = static_cast<Item>(c); t < kThreads; t += 4) {
      std::thread([&] {
        for (Item n = 0; n < kEach; ++n) {
          ledger.write(t * kEach + n);
          ASSERT_TRUE(queue.push(t * kEach + n));
        }
      }).join();
    }
  });
  crew.run();
  queue.close();
  consumer.join();
  ledger.expect_each_once();
}

// All lanes are taken: the threads share the one that their process holds in reserve.
TEST(MpmcThread, ThreadsWithoutLanesTakeTurnsInOneSeat) {
  const std::string name = test::unique_name();
  auto queue = Queue<Item>::create(name, {.capacity = 16}).value();
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<Item>()})
          .value();
  auto& header = *reinterpret_cast<layout::SegmentHeader*>(raw->object() - layout::kObjectOffset);
  header.lanes_committed = header.lanes_high = layout::kMaxLanes;
  const detail::ProcessIdentity& self = detail::this_process();
  const layout::LaneIdentity taken{.pid = static_cast<std::uint32_t>(self.pid),
                                   .start_low = self.start_low(),
                                   .phase = layout::LaneIdentity::Phase::kLive};
  for (std::uint32_t i = 0; i < layout::kMaxLanes; ++i) {
    std::uint64_t free = layout::LaneIdentity{}.word();
    raw->lane(i).identity.compare_exchange_strong(free, taken.word());
  }
  Ledger ledger(8'000);
  Crew crew;
  std::atomic<int> producing{4};
  crew.add(4, [&](std::size_t p) {
    for (Item n = 0; n < 2'000; ++n) {
      const Item item = static_cast<Item>(p) * 2'000 + n;
      ledger.write(item);
      ASSERT_TRUE(queue.push(item));
    }
    if (--producing == 0) queue.close();
  });
  crew.add(3, [&](std::size_t) {
    while (const auto item = queue.pop()) ledger.read(*item);
  });
  crew.run();
  ledger.expect_each_once();
}

// --- one producer, one consumer --------------------------------------------------------------------------------------

struct Large {
  Item item;
  std::array<std::uint64_t, 6> body;
};

class SpscThreads : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Of, SpscThreads, ::testing::Values(1, 2, 64));

TEST_P(SpscThreads, AnItemIsReadAfterItIsWrittenAndBeforeItIsOverwritten) {
  auto queue = SpscQueue<Large>::create({.capacity = GetParam()}).value();
  Ledger ledger(kItems);
  std::thread producer([&] {
    for (Item n = 0; n < kItems; ++n) {
      ledger.write(n);
      ASSERT_TRUE(queue.push({.item = n, .body = {n, n, n, n, n, n}}));
    }
    queue.close();
  });
  Item expected = 0;
  while (const auto item = queue.pop()) {
    ASSERT_EQ(item->item, expected++);
    ASSERT_EQ(item->body[5], item->item);
    ledger.read(item->item);
  }
  producer.join();
  ledger.expect_each_once();
}

TEST_P(SpscThreads, SoItIsInPlaceAndInRuns) {
  auto queue = SpscQueue<Item>::create({.capacity = GetParam()}).value();
  Ledger ledger(kItems);
  std::thread producer([&] {
    for (Item n = 0; n < kItems;) {
      const std::span<Item> room = queue.prepare(3);
      std::size_t count = 0;
      for (; count < room.size() && n < kItems; ++count, ++n) {
        ledger.write(n);
        room[count] = n;
      }
      queue.commit(count);
      if (count == 0) ::sched_yield();
    }
    queue.close();
  });
  while (!queue.drained()) {
    const std::span<const Item> there = queue.peek();
    for (const Item item : there) ledger.read(item);
    queue.consume(there.size());
    if (there.empty()) ::sched_yield();
  }
  producer.join();
  ledger.expect_each_once();
}

TEST(SpscThread, SidesGoFromThreadToThread) {
  auto queue = SpscQueue<Item>::create({.capacity = 8}).value();
  constexpr Item kThreads = 200, kEach = 50;
  Ledger ledger(kThreads * kEach);
  std::thread producers([&] {
    for (Item t = 0; t < kThreads; ++t) {
      std::thread([&] {
        for (Item n = t * kEach; n < (t + 1) * kEach; ++n) {
          ledger.write(n);
          ASSERT_TRUE(queue.push(n));
        }
      }).join();
    }
    queue.close();
  });
  for (bool end = false; !end;) {
    std::thread([&] {
      for (int n = 0; n < 70; ++n) {
        const auto item = queue.pop();
        if (!item) {
          end = true;
          return;
        }
        ledger.read(*item);
      }
    }).join();
  }
  producers.join();
  ledger.expect_each_once();
}

TEST(SpscThread, ClosedByAThirdInTheMidstOfCommits) {
  for (int round = 0; round < 200; ++round) {
    auto queue = SpscQueue<Item>::create({.capacity = 2}).value();
    Ledger ledger(1 << 16);
    Item pushed = 0;
    std::thread producer([&] {
      for (;; ++pushed) {
        ledger.write(pushed % (1 << 16));
        if (!queue.push(pushed % (1 << 16))) return;
      }
    });
    Item popped = 0;
    std::thread consumer([&] {
      while (queue.pop()) ++popped;
    });
    for (int i = 0; i < round % 10; ++i) ::sched_yield();
    queue.close();
    producer.join();
    consumer.join();
    ASSERT_EQ(popped, pushed);
  }
}

// --- the wait word ---------------------------------------------------------------------------------------------------

class WaitThreads : public ::testing::TestWithParam<layout::WaitMode> {
 protected:
  // Slices that never come: a lost wake hangs, and the test's timeout tells.
  template <class Test>
  void await(std::atomic<std::uint32_t>& word, detail::Spinner& spinner, Test test) {
    (void)detail::await(
        word, GetParam(), spinner, Deadline::never(), test, [] { return std::chrono::hours(1); }, [] {});
  }
  void SetUp() override { ASSERT_TRUE(detail::join_membarrier()); }
};
INSTANTIATE_TEST_SUITE_P(Modes, WaitThreads,
                         ::testing::Values(layout::WaitMode::kMembarrier, layout::WaitMode::kFenced),
                         [](const auto& mode) {
                           return mode.param == layout::WaitMode::kMembarrier ? "Membarrier" : "Fenced";
                         });

TEST_P(WaitThreads, TurnsAreNeverMissed) {
  constexpr std::uint32_t kTurns = 20'000;
  std::atomic<std::uint32_t> word{0xffff'ff00}, turn{0};  // the sequence wraps on the way
  std::uint64_t plain = 0;
  const auto play = [&](std::uint32_t mine) {
    detail::Spinner spinner;
    for (std::uint32_t n = mine; n < kTurns; n += 3) {
      await(word, spinner, [&] {
        return turn.load(std::memory_order_acquire) == n ? detail::Progress::kDone : detail::Progress::kBlocked;
      });
      ++plain;
      turn.store(n + 1, std::memory_order_release);
      detail::notify(word, GetParam(), detail::kWakeAll);
    }
  };
  std::thread a(play, 1), b(play, 2);
  play(0);
  a.join();
  b.join();
  EXPECT_EQ(plain, kTurns);
}

TEST_P(WaitThreads, OneWakePerItemIsEnough) {
  constexpr int kEach = 4'000;
  std::atomic<std::uint32_t> word{0};
  std::atomic<int> items{0};
  Crew crew;
  crew.add(3, [&](std::size_t) {
    detail::Spinner spinner;
    for (int n = 0; n < kEach; ++n) {
      await(word, spinner, [&] {
        int seen = items.load(std::memory_order_acquire);
        while (seen > 0 && !items.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) {
        }
        return seen > 0 ? detail::Progress::kDone : detail::Progress::kBlocked;
      });
    }
  });
  crew.add(2, [&](std::size_t p) {
    for (int n = 0; n < kEach * 3 / 2; ++n) {
      items.fetch_add(1, std::memory_order_release);
      detail::notify(word, GetParam(), 1);
      if (n % (3 + static_cast<int>(p)) == 0) ::sched_yield();
    }
  });
  crew.run();
  EXPECT_EQ(items.load(), 0);
}

}  // namespace
}  // namespace warren
