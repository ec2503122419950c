// Value: every size, arithmetic, updates, misuse, deaths, handles by fork and by name, hostile bytes.
#include <warren/ipc/value.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::Shared;
using test::unique_name;
using ::testing::HasSubstr;

enum class Colour : std::uint16_t { kRed = 1, kGreen = 2 };
struct Padded {
  char tag;
  std::int32_t number;
  friend bool operator==(const Padded&, const Padded&) = default;
};
struct Three {
  std::array<char, 3> text;
  friend bool operator==(const Three&, const Three&) = default;
};
struct Nine {
  std::array<char, 9> text;
  friend bool operator==(const Nine&, const Nine&) = default;
};
struct Account {
  long balance = 0, transfers = 0;
  friend bool operator==(const Account&, const Account&) = default;
};
struct alignas(128) Aligned {
  std::array<int, 40> numbers;
  friend bool operator==(const Aligned&, const Aligned&) = default;
};
struct NoDefault {
  explicit constexpr NoDefault(int n) : number(n) {}
  int number;
  friend bool operator==(const NoDefault&, const NoDefault&) = default;
};

// Two values of each type that differ.
template <class T>
std::pair<T, T> two() {
  if constexpr (std::is_same_v<T, Colour>) {
    return {Colour::kRed, Colour::kGreen};
  } else if constexpr (std::is_same_v<T, Padded>) {
    return {{.tag = 'a', .number = 1}, {.tag = 'a', .number = 2}};
  } else if constexpr (std::is_same_v<T, Three>) {
    return {{{'a', 'b', 'c'}}, {{'a', 'b', 'd'}}};
  } else if constexpr (std::is_same_v<T, Nine>) {
    return {{{'a', 'b', 'c'}}, {{'a', 'b', 'c', 0, 0, 0, 0, 0, 'x'}}};
  } else if constexpr (std::is_same_v<T, Account>) {
    return {{.balance = 1, .transfers = 2}, {.balance = 1, .transfers = 3}};
  } else if constexpr (std::is_same_v<T, Aligned>) {
    Aligned second{};
    second.numbers[39] = 7;
    return {Aligned{}, second};
  } else if constexpr (std::is_same_v<T, NoDefault>) {
    return {NoDefault(1), NoDefault(2)};
  } else {
    return {static_cast<T>(1), static_cast<T>(0)};
  }
}

template <class T>
class AnyValue : public ::testing::Test {};
using Types = ::testing::Types<bool, char, std::int8_t, std::uint16_t, int, unsigned long, float, double, Colour,
                               Padded, Three, Nine, Account, Aligned, NoDefault, long double>;
TYPED_TEST_SUITE(AnyValue, Types);

TYPED_TEST(AnyValue, HoldsWhatWasStored) {
  const auto [first, second] = two<TypeParam>();
  auto value = Value<TypeParam>::create(first).value();
  EXPECT_TRUE(value.load() == first);
  value.store(second);
  EXPECT_TRUE(value.load() == second);
  EXPECT_TRUE(value.exchange(first) == second);
  EXPECT_TRUE(value.load() == first);
  EXPECT_TRUE(value.update([&, two = second](TypeParam& x) { x = two; }) == second);
  EXPECT_TRUE(value.load() == second);
}

TYPED_TEST(AnyValue, ComparesBeforeItExchanges) {
  const auto [first, second] = two<TypeParam>();
  auto value = Value<TypeParam>::create(first).value();
  if constexpr (Value<TypeParam>::is_always_lock_free) {
    TypeParam expected = second;
    EXPECT_FALSE(value.compare_exchange(expected, second));
    EXPECT_TRUE(expected == first) << "what is there";
    EXPECT_TRUE(value.compare_exchange(expected, second));
    EXPECT_TRUE(value.load() == second);
  }
}

TYPED_TEST(AnyValue, ChildrenAndThoseWhoOpenSeeIt) {
  const std::string name = unique_name();
  const auto [first, second] = two<TypeParam>();
  auto value = Value<TypeParam>::create(name, first).value();
  EXPECT_TRUE(Child([&, wanted = second] { value.store(wanted); }).join().well());
  auto opened = Value<TypeParam>::open("/" + name).value();
  EXPECT_TRUE(opened.load() == second);
  opened.store(first);
  EXPECT_TRUE(value.load() == first);
  EXPECT_TRUE(Value<TypeParam>::open_or_create(name, second)->load() == first) << "what is there";
}

// --- arithmetic ------------------------------------------------------------------------------------------------------

TEST(ValueTest, CountsAsStdAtomicDoes) {
  auto value = Value<int>::create(10).value();
  EXPECT_EQ(value.fetch_add(5), 10);
  EXPECT_EQ(value.fetch_sub(1), 15);
  EXPECT_EQ(value += 2, 16);
  EXPECT_EQ(value -= 6, 10);
  EXPECT_EQ(++value, 11);
  EXPECT_EQ(value++, 11);
  EXPECT_EQ(--value, 11);
  EXPECT_EQ(value--, 11);
  EXPECT_EQ(value.fetch_or(5), 10);
  EXPECT_EQ(value.fetch_and(6), 15);
  EXPECT_EQ(value.fetch_xor(3), 6);
  EXPECT_EQ(value.load(), 5);
  EXPECT_EQ(value |= 8, 13);
  EXPECT_EQ(value &= 12, 12);
  EXPECT_EQ(value ^= 4, 8);
}

template <class T>
class Wraps : public ::testing::Test {};
using Integers = ::testing::Types<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                                  std::int64_t, std::uint64_t>;
TYPED_TEST_SUITE(Wraps, Integers);

TYPED_TEST(Wraps, AroundAtBothEnds) {
  using Limits = std::numeric_limits<TypeParam>;
  auto value = Value<TypeParam>::create(Limits::max()).value();
  EXPECT_EQ(++value, Limits::min());
  EXPECT_EQ(value.fetch_sub(1), Limits::min());
  EXPECT_EQ(value.load(), Limits::max());
  EXPECT_EQ(value += Limits::max(), static_cast<TypeParam>(-2));
}

TEST(ValueTest, AddsFractions) {
  auto number = Value<double>::create(0.5).value();
  EXPECT_EQ(number.fetch_add(0.25), 0.5);
  EXPECT_EQ(number += 0.25, 1.0);
  EXPECT_EQ(number -= 2, -1.0);
  auto wide = Value<long double>::create(1).value();
  EXPECT_EQ(wide.fetch_add(2), 1);
  EXPECT_EQ(wide -= 5, -2);
}

// As std::atomic: two zeros differ, and a NaN is itself.
TEST(ValueTest, FractionsAreComparedByTheirBytes) {
  auto number = Value<double>::create(-0.0).value();
  double expected = 0.0;
  EXPECT_FALSE(number.compare_exchange(expected, 1));
  EXPECT_TRUE(std::signbit(expected));
  number.store(std::numeric_limits<double>::quiet_NaN());
  expected = number.load();
  EXPECT_TRUE(number.compare_exchange(expected, 1));
}

// A Padded whose padding holds `filling`.
Padded with_padding(unsigned char filling, char tag, std::int32_t number) {
  Padded padded;
  std::memset(static_cast<void*>(&padded), filling, sizeof padded);
  std::memcpy(reinterpret_cast<char*>(&padded) + offsetof(Padded, tag), &tag, sizeof tag);
  std::memcpy(reinterpret_cast<char*>(&padded) + offsetof(Padded, number), &number, sizeof number);
  return padded;
}

TEST(ValueTest, PaddingIsNotCompared) {
  auto value = Value<Padded>::create(with_padding(0x55, 'a', 1)).value();
  Padded expected = with_padding(0xaa, 'a', 1);
  EXPECT_TRUE(value.compare_exchange(expected, with_padding(0x33, 'b', 2)));
  EXPECT_EQ(value.load(), (Padded{.tag = 'b', .number = 2}));
}

// --- many at once ----------------------------------------------------------------------------------------------------

TEST(ValueTest, NoAdditionIsLost) {
  constexpr int kProcesses = 3, kThreads = 2, kEach = 5'000;
  auto counter = Value<int>::create().value();
  auto fraction = Value<float>::create().value();
  auto account = Value<Account>::create().value();
  auto pair = Value<Padded>::create().value();
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          for (int n = 0; n < kEach; ++n) {
            ++counter;
            fraction += 1;
            account.update([](Account& x) { ++x.balance, ++x.transfers; });
            pair.update([](Padded& x) { ++x.number; });
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  constexpr int kAll = kProcesses * kThreads * kEach;
  EXPECT_EQ(counter.load(), kAll);
  EXPECT_EQ(fraction.load(), static_cast<float>(kAll));
  EXPECT_EQ(account.load(), (Account{.balance = kAll, .transfers = kAll}));
  EXPECT_EQ(pair.load().number, kAll);
}

// Larger than what anybody copies between two publications: readers must take their turn, and never see a torn one.
TEST(ValueTest, ReadersOfALargeOneGetAheadInAStormOfWriters) {
  using Large = std::array<std::uint64_t, 4096>;
  auto value = Value<Large>::create().value();
  Shared<std::atomic<bool>> enough;
  std::vector<Child> writers;
  for (int i = 0; i < 2; ++i) {
    writers.emplace_back([&] {
      while (!*enough) value.update([](Large& x) { x.fill(x[0] + 1); });
    });
  }
  std::uint64_t last = 0;
  for (int i = 0; i < 200; ++i) {
    const Large seen = value.load();
    for (const std::uint64_t number : seen) ASSERT_EQ(number, seen[0]) << "torn";
    ASSERT_GE(seen[0], last) << "older than what was seen before";
    last = seen[0];
  }
  *enough = true;
  for (Child& writer : writers) EXPECT_TRUE(writer.join().well());
}

struct Reach : Handle {
  static detail::Attachment& attachment(const Handle& handle) { return *(handle.*(&Reach::attachment_)); }
};

// What a load does after many looks in vain.
TEST(ValueTest, AReaderTakesItsTurnAmongWritersUnlessTheyStandStill) {
  auto value = Value<Account>::create({.balance = 1}).value();
  auto& header = *reinterpret_cast<layout::ValueHeader*>(Reach::attachment(value).object());
  const auto load_in_turn = [&] {
    Account seen;
    detail::TwoCopies<sizeof(Account)>(Reach::attachment(value), header).load(&seen, 0);
    return seen.balance;
  };
  EXPECT_EQ(load_in_turn(), 1);
  EXPECT_FALSE(layout::MutexState::from(header.writer.state).held);
  Gate inside, go_on;
  Child writer([&] {
    value.update([&](Account& x) {
      inside.open();
      go_on.wait();
      x.balance = 2;
    });
  });
  inside.wait();
  EXPECT_EQ(load_in_turn(), 1) << "a writer has the lock, and publishes nothing";
  go_on.open();
  EXPECT_TRUE(writer.join().well());
  EXPECT_EQ(load_in_turn(), 2);
}

// --- update ----------------------------------------------------------------------------------------------------------

TYPED_TEST(AnyValue, WhatFThrowsChangesNothing) {
  const auto [first, second] = two<TypeParam>();
  auto value = Value<TypeParam>::create(first).value();
  EXPECT_THROW(value.update([two = second](TypeParam& x) {
    x = two;
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_TRUE(value.load() == first);
  EXPECT_TRUE(value.update([two = second](TypeParam& x) { x = two; }) == second) << "and locks nobody out";
}

TEST(ValueTest, FMayUseOtherValuesAndReadThisOne) {
  auto a = Value<Account>::create({.balance = 1}).value();
  auto b = Value<Account>::create({.balance = 2}).value();
  auto c = Value<int>::create(3).value();
  a.update([&](Account& x) {
    b.update([&](Account& y) { x.balance += y.balance + c.load() + a.load().balance; });
    ++c;
    c.update([](int& z) { ++z; });
  });
  EXPECT_EQ(a.load().balance, 7);
  EXPECT_EQ(c.load(), 5);
}

TEST(ValueTest, FIsCalledOnceWhereTheValueIsLarge) {
  auto value = Value<Account>::create().value();
  Gate inside, go_on;
  Child other([&] {
    inside.wait();
    go_on.open();
    value.store({.balance = 100});
  });
  int calls = 0;
  value.update([&](Account& x) {
    ++calls;
    inside.open();
    go_on.wait();
    x.balance = 1;
  });
  EXPECT_TRUE(other.join().well());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(value.load().balance, 100) << "stored after";
}

TEST(ValueTest, FIsCalledAnewWhereASmallOneChanged) {
  auto value = Value<int>::create(1).value();
  int calls = 0;
  EXPECT_EQ(value.update([&](int& x) {
    if (++calls == 1) (void)Child([&] { value.store(10); }).join();
    ++x;
  }),
            11);
  EXPECT_EQ(calls, 2);
}

// A peer's false word: it names this thread, which does not have the lock.
TEST(ValueTest, ALockThatSaysFalselyThatThisThreadHasItStopsNobody) {
  auto value = Value<Account>::create({.balance = 1}).value();
  auto& header = *reinterpret_cast<layout::ValueHeader*>(Reach::attachment(value).object());
  const detail::Seat& seat = Reach::attachment(value).seat();
  const layout::MutexState mine{.lane = seat.lane_index,
                                .generation = seat.generation,
                                .thread = static_cast<std::uint32_t>(detail::thread_token()),
                                .held = true};
  for (const bool inconsistent : {false, true}) {
    auto word = mine;
    word.inconsistent = inconsistent;
    header.writer.state = word.word();
    EXPECT_TRUE(Child([&] { EXPECT_EQ(value.load().balance, 1); }).join().well());
    value.store({.balance = 2});
    EXPECT_EQ(value.load().balance, 2);
    EXPECT_FALSE(layout::MutexState::from(header.writer.state).held) << "it is given back";
    header.writer.state = word.word();
    value.update([](Account& x) { x.balance = 1; });
    EXPECT_TRUE(Child([&] { value.update([](Account& x) { ++x.balance; }); }).join().well());
    EXPECT_EQ(value.exchange({.balance = 1}).balance, 2);
  }
}

using ValueDeathTest = ::testing::Test;

TEST(ValueDeathTest, FThatChangesTheSameValueStopsTheProgram) {
  auto small = Value<int>::create().value();
  auto large = Value<Account>::create().value();
  constexpr const char* kMessage = "changes that same Value; change its argument instead";
  EXPECT_DEATH(small.update([&](int&) { small.store(1); }), kMessage);
  EXPECT_DEATH(small.update([&](int&) { ++small; }), kMessage);
  EXPECT_DEATH(small.update([&](int&) { small.update([](int& x) { ++x; }); }), kMessage);
  EXPECT_DEATH(small.update([&](int&) { large.update([&](Account&) { small.store(1); }); }), kMessage);
  // A lock that this thread holds is told by its lane, which the child of a fork does not have.
  EXPECT_DEATH(
      {
        auto inner = Value<Account>::create().value();
        inner.update([&](Account&) { inner.store({}); });
      },
      kMessage);
}

// --- deaths ----------------------------------------------------------------------------------------------------------

TEST(ValueTest, AWriterKilledInTheMidstOfAnUpdateLeavesTheOldValue) {
  auto value = Value<Account>::create({.balance = 1, .transfers = 1}).value();
  for (long i = 0; i < 3; ++i) {
    Gate inside;
    Child writer([&] {
      value.update([&](Account& x) {
        x.balance = -1;
        inside.open();
        for (;;) ::pause();
      });
    });
    inside.wait();
    EXPECT_EQ(value.load(), (Account{.balance = 1 + i, .transfers = 1 + i})) << "and readers do not wait for it";
    (void)writer.kill();
    value.update([](Account& x) { ++x.balance, ++x.transfers; });
    EXPECT_EQ(value.load(), (Account{.balance = 2 + i, .transfers = 2 + i}));
  }
}

TEST(ValueTest, AStoppedWriterIsNotDead) {
  auto value = Value<Account>::create().value();
  Gate inside, go_on;
  Child writer([&] {
    value.update([&](Account& x) {
      inside.open();
      go_on.wait();
      ++x.balance;
    });
  });
  inside.wait();
  writer.stop();
  Child other([&] { value.update([](Account& x) { ++x.balance; }); });
  test::await_futex_sleep(other.pid());
  EXPECT_EQ(value.load().balance, 0) << "readers go on";
  writer.go_on();
  go_on.open();
  EXPECT_TRUE(writer.join().well());
  EXPECT_TRUE(other.join().well());
  EXPECT_EQ(value.load().balance, 2);
}

TEST(ValueTest, AThreadThatIsGoneLeavesNoLock) {
  auto value = Value<Account>::create().value();
  for (int i = 0; i < 200; ++i) std::thread([&] { value.update([](Account& x) { ++x.balance; }); }).join();
  EXPECT_EQ(value.load().balance, 200);
}

// --- the users' lock -------------------------------------------------------------------------------------------------

TEST(ValueTest, EveryOperationMayBeCalledUnderItsMutex) {
  auto a = Value<Account>::create().value(), b = Value<Account>::create().value();
  auto c = Value<int>::create().value();
  const std::scoped_lock all(a.mutex(), b.mutex(), c.mutex());
  a.store({.balance = 1});
  b.update([&](Account& x) { x.balance = a.load().balance + 1; });
  c.store(static_cast<int>(b.exchange({}).balance));
  EXPECT_EQ(c.load(), 2);
  EXPECT_FALSE(Child([&] { return a.mutex().try_lock() ? 1 : 0; }).join().code) << "and it is one for all processes";
}

TEST(ValueTest, TheMutexTellsOfADeath) {
  auto value = Value<Account>::create().value();
  (void)Child([&] { value.mutex().lock(); }).join();
  {
    const std::scoped_lock guard(value.mutex());
    EXPECT_TRUE(value.mutex().owner_died());
    EXPECT_TRUE(absl::IsAborted(value.mutex().owner_death()));
    EXPECT_TRUE(value.mutex().consistent());
  }
  const std::scoped_lock guard(value.mutex());
  EXPECT_FALSE(value.mutex().owner_died());
}

TEST(ValueTest, SleepersAtTheMutexGetItFromTheDead) {
  auto value = Value<int>::create().value();
  Gate held;
  Child owner([&] {
    value.mutex().lock();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  Child sleeper([&]() -> int {
    const std::scoped_lock guard(value.mutex());
    return value.mutex().owner_died() ? 0 : 1;
  });
  test::await_futex_sleep(sleeper.pid());
  (void)owner.kill();
  EXPECT_TRUE(sleeper.join().well());
}

// --- handles and names -----------------------------------------------------------------------------------------------

TEST(ValueTest, CopiesOfAHandleAreTheSameValue) {
  auto value = Value<Account>::create().value();
  auto other = Value<Account>::create().value();
  Value<Account> copy = value;
  copy.store({.balance = 1});
  EXPECT_EQ(value.load().balance, 1);
  copy = other;
  copy.store({.balance = 2});
  EXPECT_EQ(value.load().balance, 1) << "assignment lets the handle reach another object";
  EXPECT_EQ(other.load().balance, 2);
  copy.mutex().lock();
  EXPECT_TRUE(other.mutex().unlock());
}

TEST(ValueTest, ATextIsAName) {
  const std::string name = unique_name();
  auto flag = Value<bool>::create(name.c_str(), true).value();
  EXPECT_TRUE(Value<bool>::open(name)->load());
  EXPECT_TRUE(absl::IsAlreadyExists(Value<bool>::create(name).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Value<bool>::create("").status()));
  EXPECT_TRUE(Value<bool>::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Value<bool>::open(name).status()));
}

TEST(ValueTest, BracesAreAValueAndNoName) {
  EXPECT_EQ((Value<Account>::create({0, 0})->load()), Account{});
  struct Point {
    char* none() const { return nullptr; }
    int x, y;
  };
  EXPECT_EQ(Value<Point>::create({0, 0})->load().y, 0);
}

TEST(ValueTest, AnotherTypeOfThatNameIsRefused) {
  const std::string name = unique_name();
  const auto value = Value<int>::create(name, 1).value();
  const absl::Status status = Value<float>::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a value of int (4 bytes), not a value of float (4 bytes)"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Value<unsigned>::open_or_create(name).status()));
}

TEST(ValueTest, ANameMayOutliveItsProcesses) {
  const std::string name = unique_name();
  (void)Value<int>::create(name, 7, {.lifetime = Lifetime::kUntilUnlinked}).value();
  EXPECT_EQ(Value<int>::open(name)->load(), 7);
  EXPECT_TRUE(Value<int>::unlink(name).ok());
  (void)Value<int>::create(name, 7).value();
  EXPECT_TRUE(absl::IsNotFound(Value<int>::open(name).status()));
}

// --- peers' bytes ----------------------------------------------------------------------------------------------------

constexpr std::size_t kHeader = layout::kObjectOffset;

TEST(ValueTest, AHeaderThatCannotBeIsRefused) {
  const std::string name = unique_name();
  const auto value = Value<Account>::create(name).value();
  const test::SegmentFile file(name);
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{128}, ~std::uint64_t{0}}) {
    file.write(kHeader + offsetof(layout::ValueHeader, copy_bytes), bytes);
    EXPECT_TRUE(absl::IsDataLoss(Value<Account>::open(name).status())) << bytes;
  }
  file.write(kHeader + offsetof(layout::ValueHeader, copy_bytes), std::uint64_t{64});
  EXPECT_TRUE(Value<Account>::open(name).ok());
  file.write(offsetof(layout::SegmentHeader, size), std::uint64_t{sizeof(layout::ValueHeader) + 127});
  EXPECT_TRUE(absl::IsDataLoss(Value<Account>::open(name).status())) << "its size";
}

TEST(ValueTest, NoWordOfAPeerLeadsAstray) {
  const std::string name = unique_name();
  auto value = Value<Account>::create(name, {.balance = 3}).value();
  const test::SegmentFile file(name);
  for (const std::uint64_t sequence : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{0}}) {
    file.write(kHeader + offsetof(layout::ValueHeader, word), sequence);
    (void)value.load();
    value.store({.balance = 5});
    EXPECT_EQ(value.load().balance, 5);
  }
  const layout::MutexState forged{.lane = 60'000, .generation = 7, .thread = 1, .held = true, .inconsistent = true};
  file.write(kHeader + offsetof(layout::ValueHeader, writer), forged.word());
  value.store({.balance = 6});
  EXPECT_EQ(value.load().balance, 6);
}

TEST(ValueTest, WhatAPeerLeavesInPaddingHindersNobody) {
  const std::string name = unique_name();
  auto value = Value<Three>::create(name, {{'a', 'b', 'c'}}).value();
  auto flag = Value<bool>::create(name + "b").value();
  constexpr std::size_t kWord = kHeader + offsetof(layout::ValueHeader, word);
  test::SegmentFile(name).write(kWord, std::uint64_t{0xffff'ffff'0000'0000} | 0xff'63'62'61);
  Three expected{{'a', 'b', 'c'}};
  EXPECT_EQ(value.load(), expected);
  EXPECT_TRUE(value.compare_exchange(expected, {{'x'}}));
  EXPECT_EQ(value.update([](Three& x) { x.text[1] = 'y'; }), (Three{{'x', 'y'}}));
  test::SegmentFile(name + "b").write(kWord, std::uint64_t{0x5a});
  EXPECT_TRUE(flag.load());
}

}  // namespace
}  // namespace warren
