// What a priority queue and a stack have in common: capacity, waiting, closing, deaths, names, a peer's bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/limits.h"
#include "support/locked_kinds.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::Blocked;
using test::Child;
using test::Gate;
using test::LockedView;
using ::testing::HasSubstr;

template <class Kind>
class LockedSlots : public testing::Test {
 protected:
  template <class T = int>
  using Of = typename Kind::template Of<T>;
  template <class T = int>
  static Of<T> make(std::size_t capacity, std::size_t max_item_bytes = 0) {
    return Of<T>::create(typename Of<T>::Options{.capacity = capacity, .max_item_bytes = max_item_bytes}).value();
  }
  static auto options(std::size_t capacity, Lifetime lifetime = Lifetime::kWhileAttached) {
    return typename Of<>::Options{.capacity = capacity, .lifetime = lifetime};
  }
};
struct PriorityQueues {
  template <class T>
  using Of = test::EvenQueue<T>;
};
struct Stacks {
  template <class T>
  using Of = test::PlainStack<T>;
};
struct KindNames {
  template <class Kind>
  static std::string GetName(int) {
    return Kind::template Of<int>::kFirstInFirstOut ? "PriorityQueue" : "Stack";
  }
};
using Kinds = testing::Types<PriorityQueues, Stacks>;
TYPED_TEST_SUITE(LockedSlots, Kinds, KindNames);

// --- creation, capacity, payloads
// -------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, ACapacityMustBePossible) {
  using Object = typename TestFixture::template Of<>;
  EXPECT_TRUE(absl::IsInvalidArgument(Object::create(this->options(0)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Object::create(this->options(SIZE_MAX)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Object::create(this->options(std::size_t{1} << 32)).status()));
  const auto huge = Object::create(this->options(0xffff'ffff));  // 100 GiB
  EXPECT_TRUE(absl::IsResourceExhausted(huge.status())) << huge.status();
}

TYPED_TEST(LockedSlots, ANewOneIsEmptyOpenAndNotDrained) {
  auto slots = this->make(3);
  EXPECT_EQ(slots.capacity(), 3u);
  EXPECT_EQ(slots.approx_size(), 0u);
  EXPECT_FALSE(slots.closed());
  EXPECT_FALSE(slots.drained());
  EXPECT_EQ(slots.try_pop(), std::nullopt);
  EXPECT_EQ(slots.stats().pushed, 0u);
}

TYPED_TEST(LockedSlots, TheCapacityIsExact) {
  for (const std::size_t capacity : {1u, 2u, 3u, 15u, 16u, 17u, 1000u}) {
    auto slots = this->make(capacity);
    for (int lap = 0; lap < 3; ++lap) {
      for (std::size_t i = 0; i < capacity; ++i) {
        EXPECT_EQ(slots.approx_size(), i);
        ASSERT_TRUE(slots.try_push(static_cast<int>(i)));
      }
      EXPECT_FALSE(slots.try_push(-1));
      EXPECT_FALSE(slots.try_push_for(-1, 0s));
      EXPECT_TRUE(absl::IsResourceExhausted(slots.check(1)));
      std::vector<int> out;
      while (auto item = slots.try_pop()) out.push_back(*item);
      if (!TypeParam::template Of<int>::kFirstInFirstOut) std::reverse(out.begin(), out.end());
      std::vector<int> wanted(capacity);
      std::iota(wanted.begin(), wanted.end(), 0);
      ASSERT_EQ(out, wanted);
    }
    EXPECT_EQ(slots.stats().pushed, 3 * capacity);
    EXPECT_EQ(slots.stats().popped, 3 * capacity);
  }
}

template <std::size_t N>
struct Blob {
  std::array<unsigned char, N> bytes;
};
template <class Test, std::size_t N>
void carries_whole() {
  struct Access : Test {
    using Test::make;
  };
  auto slots = Access::template make<Blob<N>>(2);
  for (unsigned seed = 0; seed < 3; ++seed) {
    Blob<N> item;
    for (std::size_t i = 0; i < N; ++i) item.bytes[i] = static_cast<unsigned char>(seed * 31 + i * 7);
    ASSERT_TRUE(slots.try_push(item));
    ASSERT_EQ(slots.try_pop()->bytes, item.bytes) << N;
  }
}

TYPED_TEST(LockedSlots, CarriesAnySize) {
  carries_whole<TestFixture, 1>();
  carries_whole<TestFixture, 7>();
  carries_whole<TestFixture, 8>();
  carries_whole<TestFixture, 9>();
  carries_whole<TestFixture, 255>();
  carries_whole<TestFixture, 256>();
  carries_whole<TestFixture, 257>();
  carries_whole<TestFixture, 5000>();
}

struct Job {
  int id;
  std::string path;
  std::vector<double> values;
  bool operator==(const Job&) const = default;
};

TYPED_TEST(LockedSlots, CarriesWhatTravels) {
  auto jobs = this->template make<Job>(2);
  for (const std::size_t size : {0u, 10u, 200u, 100'000u}) {
    const Job job{.id = static_cast<int>(size), .path = std::string(size, 'p'), .values = std::vector<double>(size)};
    ASSERT_TRUE(jobs.push(job));
    EXPECT_EQ(jobs.pop(), job);
  }
  auto texts = this->template make<std::string>(1, 1000);
  EXPECT_TRUE(texts.push(std::string(1000, 'x')));
  EXPECT_FALSE(texts.push(std::string(1001, 'x'))) << "refused at once, though it is full";
  EXPECT_TRUE(absl::IsInvalidArgument(texts.check(std::string(1001, 'x'))));
  EXPECT_EQ(texts.pop(), std::string(1000, 'x'));
}

// --- waiting
// ----------------------------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, PopWaitsForAPushAndPushForAPop) {
  auto slots = this->make(1);
  {
    Blocked popper([&] { EXPECT_EQ(slots.pop(), 7); });
    EXPECT_FALSE(popper.returned());
    EXPECT_TRUE(slots.push(7));
  }
  EXPECT_TRUE(slots.push(1));
  Blocked pusher([&] { EXPECT_TRUE(slots.push(2)); });
  EXPECT_EQ(slots.pop(), 1);
  pusher.join();
  EXPECT_EQ(slots.pop(), 2);
}

TYPED_TEST(LockedSlots, EachOfSeveralWaitersGetsOneItem) {
  auto slots = this->make(8);
  std::atomic<int> sum{0};
  {
    Blocked a([&] { sum += slots.pop().value(); }), b([&] { sum += slots.pop().value(); }),
        c([&] { sum += slots.pop().value(); });
    for (const int i : {1, 10, 100}) EXPECT_TRUE(slots.push(i));
  }
  EXPECT_EQ(sum, 111);
}

TYPED_TEST(LockedSlots, TimedCallsWaitAtLeastThatLong) {
  auto slots = this->make(1);
  auto begin = steady_clock::now();
  EXPECT_EQ(slots.try_pop_for(20ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  begin = steady_clock::now();
  EXPECT_EQ(slots.try_pop_until(begin + 20ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  EXPECT_TRUE(slots.push(1));
  begin = steady_clock::now();
  EXPECT_FALSE(slots.try_push_for(2, 20ms));
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  begin = steady_clock::now();
  EXPECT_FALSE(slots.try_push_until(2, begin + 20ms));
  EXPECT_GE(steady_clock::now() - begin, 20ms);
}

TYPED_TEST(LockedSlots, AnyTimeout) {
  auto slots = this->make(1);
  using Seconds = std::chrono::duration<double>;
  EXPECT_EQ(slots.try_pop_for(-1s), std::nullopt);
  EXPECT_EQ(slots.try_pop_for(Seconds(std::numeric_limits<double>::quiet_NaN())), std::nullopt);
  EXPECT_TRUE(slots.try_push_for(1, 0s));
  EXPECT_FALSE(slots.try_push_for(2, -1ns));
  EXPECT_EQ(slots.try_pop_for(std::chrono::hours::min()), 1);
  for (const Timeout timeout : {Timeout(kForever), Timeout(std::chrono::hours::max())}) {
    Blocked popper([&] { EXPECT_EQ(slots.try_pop_for(timeout), 3); });
    EXPECT_FALSE(popper.returned());
    EXPECT_TRUE(slots.try_push(3));
  }
}

// --- closing
// ----------------------------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, ClosedRefusesPushesAndDrainsPops) {
  auto slots = this->make(4);
  EXPECT_TRUE(slots.push(1) && slots.push(2));
  slots.close();
  slots.close();
  EXPECT_TRUE(slots.closed());
  EXPECT_FALSE(slots.push(3));
  EXPECT_FALSE(slots.try_push(3));
  EXPECT_FALSE(slots.try_push_for(3, 1h));
  EXPECT_TRUE(absl::IsOutOfRange(slots.check(3)));
  EXPECT_FALSE(slots.drained());
  EXPECT_TRUE(slots.pop());
  EXPECT_FALSE(slots.drained());
  EXPECT_TRUE(slots.try_pop());
  EXPECT_TRUE(slots.drained());
  EXPECT_EQ(slots.pop(), std::nullopt);
  EXPECT_EQ(slots.try_pop_for(1h), std::nullopt);
}

// Of no memory for one.
TYPED_TEST(LockedSlots, AThreadWithoutALaneIsRefusedAndSeesTheEnd) {
  const auto expect = [](auto slots, const auto& item) {
    detail::Seat& seat = test::Reach::attachment(slots).seat();
    ASSERT_TRUE(slots.push(item));
    layout::Lane* const lane = std::exchange(seat.lane, nullptr);
    EXPECT_FALSE(slots.push(item));
    EXPECT_EQ(slots.try_pop_for(1ms), std::nullopt);
    seat.lane = lane;
    EXPECT_EQ(slots.pop(), item);
    slots.close();
    seat.lane = nullptr;
    EXPECT_EQ(slots.pop(), std::nullopt);
    seat.lane = lane;
  };
  expect(this->make(2), 1);
  expect(this->template make<std::string>(2), std::string(1000, 'x'));
}

TYPED_TEST(LockedSlots, ClosingEndsAllWaits) {
  auto empty = this->make(1);
  auto full = this->make(1);
  EXPECT_TRUE(full.push(1));
  {
    Blocked a([&] { EXPECT_EQ(empty.pop(), std::nullopt); }),
        b([&] { EXPECT_EQ(empty.try_pop_for(1h), std::nullopt); }), c([&] { EXPECT_FALSE(full.push(2)); });
    empty.close();
    full.close();
  }
  EXPECT_EQ(full.pop(), 1);
}

TYPED_TEST(LockedSlots, DrainedNeverTurnsFalseAgain) {
  for (int round = 0; round < 100; ++round) {
    auto slots = this->make(4);
    std::atomic<int> pushed{0};
    std::vector<std::thread> producers;
    for (int i = 0; i < 2; ++i) {
      producers.emplace_back([&] {
        while (slots.push(1)) ++pushed;
      });
    }
    int popped = 0;
    std::thread closer([&] { slots.close(); });
    while (!slots.drained()) {
      if (slots.try_pop()) ++popped;
    }
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(slots.drained() && !slots.try_pop());
    closer.join();
    for (std::thread& producer : producers) producer.join();
    ASSERT_EQ(pushed, popped);
    ASSERT_TRUE(slots.drained());
  }
}

// --- processes
// --------------------------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, PassesByNameAndOutlivesItsProducerIfAsked) {
  using Object = typename TestFixture::template Of<>;
  const std::string name = test::unique_name();
  Child([&] { Object::create(name, this->options(4, Lifetime::kUntilUnlinked)).value().push(5); }).join();
  auto slots = Object::open(name).value();
  EXPECT_EQ(slots.pop(), 5);
  EXPECT_TRUE(absl::IsFailedPrecondition(TypeParam::template Of<double>::open(name).status())) << "of another type";
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>::open(name).status())) << "another kind";
  EXPECT_TRUE(Object::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Object::open(name).status()));
}

TYPED_TEST(LockedSlots, EachItemOnceBetweenProcesses) {
  constexpr int kItems = 3000;
  auto slots = this->template make<std::uint64_t>(7);
  test::Shared<std::array<std::atomic<std::uint8_t>, 2 * kItems>> times;
  std::vector<Child> consumers, producers;
  for (int c = 0; c < 2; ++c) {
    consumers.emplace_back([&] {
      while (auto item = slots.pop()) ++(*times)[*item];
    });
  }
  for (std::uint64_t p = 0; p < 2; ++p) {
    producers.emplace_back([&, p] {
      for (std::uint64_t i = 0; i < kItems; ++i) slots.push(p * kItems + i);
    });
  }
  for (Child& producer : producers) EXPECT_TRUE(producer.join().well());
  slots.close();
  for (Child& consumer : consumers) EXPECT_TRUE(consumer.join().well());
  for (const auto& count : *times) ASSERT_EQ(count, 1);
}

// --- deaths
// -----------------------------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, AKilledHolderHoldsUpNobody) {
  auto slots = this->make(4);
  EXPECT_TRUE(slots.push(1));
  Gate held;
  Child holder([&] {
    (void)LockedView(slots).lock().try_take();
    held.open();
    Gate().wait();
  });
  held.wait();
  EXPECT_EQ(slots.try_pop_for(5ms), std::nullopt);
  holder.kill();
  EXPECT_TRUE(slots.try_push(2));
  EXPECT_EQ(slots.approx_size(), 2u);
  EXPECT_TRUE(slots.pop() && slots.pop());
}

TYPED_TEST(LockedSlots, AStoppedHolderHoldsUpWhatChangesAndNothingElse) {
  auto slots = this->make(4);
  EXPECT_TRUE(slots.push(1));
  Gate held;
  Child holder([&] {
    detail::MutexCore lock = LockedView(slots).lock();
    (void)lock.try_take();
    held.open();
    ::raise(SIGSTOP);
    (void)lock.unlock();
  });
  held.wait();
  EXPECT_EQ(slots.try_pop_for(30ms), std::nullopt);
  EXPECT_FALSE(slots.try_push_for(2, 30ms));
  EXPECT_EQ(slots.approx_size(), 1u);
  EXPECT_FALSE(slots.drained());
  slots.close();
  EXPECT_TRUE(slots.closed());
  Blocked popper([&] { EXPECT_EQ(slots.pop(), 1); });
  EXPECT_FALSE(popper.returned());
  holder.go_on();
  popper.join();
  EXPECT_TRUE(slots.drained());
  EXPECT_TRUE(holder.join().well());
}

TYPED_TEST(LockedSlots, AKilledConsumerThatWaitedTakesNothing) {
  auto slots = this->make(2);
  Child consumer([&] { (void)slots.pop(); });
  test::await_futex_sleep(consumer.pid());
  consumer.kill();
  EXPECT_TRUE(slots.push(1));
  EXPECT_EQ(slots.pop(), 1);
}

TYPED_TEST(LockedSlots, ForksInTheMidstOfPushesHarmNobody) {
  auto slots = this->make(1000);
  std::atomic<bool> over{false};
  std::thread pusher([&] {
    while (!over) (void)(slots.try_push(1) && slots.try_pop());
  });
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Child([&] { EXPECT_TRUE(slots.push(2) && slots.pop()); }).join().well());
  over = true;
  pusher.join();
}

// --- a peer's bytes
// ---------------------------------------------------------------------------------------------------

TYPED_TEST(LockedSlots, CountsNearTheirEndGoOnAndStopThere) {
  auto slots = this->make(2);
  layout::LockedSlotsHeader& header = LockedView(slots).header();
  header.pushed = header.popped = layout::kMaxPosition - 2;
  EXPECT_TRUE(slots.push(1) && slots.push(2));
  EXPECT_TRUE(slots.try_pop() && slots.try_pop());
  EXPECT_FALSE(slots.try_push(3)) << "2^62 pushes ago this was new";
  slots.close();
  EXPECT_TRUE(slots.drained());
}

TYPED_TEST(LockedSlots, TheMostThatWereThereIsCounted) {
  auto slots = this->make(4);
  EXPECT_EQ(slots.stats().high_water, 0u);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(slots.push(i));
    EXPECT_TRUE(slots.try_pop());
    EXPECT_EQ(slots.stats().high_water, 3u);
    while (slots.try_pop()) {
    }
  }
  while (slots.try_push(1)) {
  }
  EXPECT_FALSE(slots.try_pop_for(0ms) == std::nullopt);
  EXPECT_EQ(slots.stats().high_water, 4u) << "it does not fall";
  LockedView(slots).header().high_water = ~std::uint64_t{0};
  EXPECT_EQ(slots.stats().high_water, 4u) << "a peer's word";
}

// A producer that died between its commit and the mark.
TYPED_TEST(LockedSlots, ADeadProducersItemCountsAmongTheMost) {
  auto slots = this->make(4);
  EXPECT_TRUE(slots.push(1) && slots.push(2));
  LockedView(slots).header().high_water = 1;
  Child holder([&] {
    detail::MutexCore lock = LockedView(slots).lock();
    if (lock.try_take() == detail::MutexCore::Take::kTaken) ::raise(SIGKILL);
  });
  (void)holder.join();
  EXPECT_TRUE(slots.pop());
  EXPECT_EQ(slots.stats().high_water, 2u);
}

TYPED_TEST(LockedSlots, FalseCountsAreRepaired) {
  for (const std::uint64_t popped : {std::uint64_t{5}, ~std::uint64_t{0}, std::uint64_t{1} << 62}) {
    auto slots = this->make(2);
    EXPECT_TRUE(slots.push(1));
    LockedView(slots).header().popped = popped;
    EXPECT_LE(slots.approx_size(), 2u);
    (void)slots.try_pop();
    (void)slots.try_pop();
    EXPECT_TRUE(slots.try_push(2) || slots.try_push(2));
    EXPECT_TRUE(slots.try_pop());
  }
}

TYPED_TEST(LockedSlots, AHeaderThatCannotBeIsRefused) {
  using Object = typename TestFixture::template Of<>;
  const std::string name = test::unique_name();
  auto slots = Object::create(name, this->options(4)).value();
  layout::LockedSlotsHeader& header = LockedView(slots).header();
  const auto expect_refused = [&](auto& field, auto value) {
    const auto before = static_cast<decltype(value)>(field);
    field = value;
    Child opener([&] {
      const auto status = Object::open(name).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      EXPECT_THAT(status.message(), HasSubstr("corrupt"));
    });
    EXPECT_TRUE(opener.join().well());
    field = before;
  };
  for (const std::uint64_t capacity : {std::uint64_t{0}, std::uint64_t{5000}, ~std::uint64_t{0}})
    expect_refused(header.capacity, capacity);
  expect_refused(header.slot_bytes, 8u);
  expect_refused(header.payload_bytes, 5u);
  expect_refused(header.pushed, layout::kMaxPosition);
  expect_refused(header.popped, layout::kMaxPosition);
}

// A bool of another byte than 0 and 1 would be undefined behaviour.
TYPED_TEST(LockedSlots, ABoolIsTrueUnlessItsByteIsZero) {
  EXPECT_TRUE(detail::from_words<bool>({2}));
  EXPECT_TRUE(detail::from_words<bool>({1}));
  EXPECT_FALSE(detail::from_words<bool>({0x100}));
}

// Whoever looks always finds the item that is always there.
TYPED_TEST(LockedSlots, WhatIsThereAllAlongIsFoundWhileOthersPushAndPop) {
  auto slots = this->make(4);
  ASSERT_TRUE(slots.push(1));
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (!over) EXPECT_TRUE(slots.try_push(2) && slots.try_pop());
  });
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_TRUE(slots.try_pop()) << i;
    ASSERT_TRUE(slots.try_push(1));
  }
  over = true;
  other.join();
}

// A lock that says that this thread has it already: nothing is changed, and nobody hangs who does not wait.
TYPED_TEST(LockedSlots, ALockThatIsMineAlreadyIsARefusal) {
  auto slots = this->make(2);
  EXPECT_TRUE(slots.push(1));
  detail::MutexCore lock = LockedView(slots).lock();
  ASSERT_EQ(lock.try_take(), detail::MutexCore::Take::kTaken);
  EXPECT_FALSE(slots.push(2));
  EXPECT_EQ(slots.try_pop(), std::nullopt);
  EXPECT_EQ(slots.try_pop_for(1ms), std::nullopt);
  lock.unlock();
  EXPECT_EQ(slots.try_pop(), 1);
}

}  // namespace
}  // namespace warren
