#include <warren/ipc/spsc_queue.h>  // where its users find it

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>
#include <warren/layout/spsc_records.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::Blocked;
using test::Child;
using test::Reach;
using test::unique_name;
using ::testing::HasSubstr;

using Bytes = SpscRecords::Bytes;
constexpr std::size_t kPage = 4096;

SpscRecords ring_of(std::size_t bytes = kPage) { return SpscRecords::create(bytes).value(); }

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
// Tells its number and its size.
std::string record(std::size_t number, std::size_t size) {
  std::string text(size, 0);
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (number + i) % 23);
  return text;
}
std::string popped(SpscRecords& ring) {
  const auto found = ring.try_pop();
  return found ? text_of(*found) : "nothing";
}
layout::SpscRingHeader& header_of(const SpscRecords& ring) {
  return *reinterpret_cast<layout::SpscRingHeader*>(Reach::attachment(ring).object());
}
std::uint64_t& unit_at(const SpscRecords& ring, std::uint64_t index) {
  return reinterpret_cast<std::uint64_t*>(&header_of(ring) + 1)[index % header_of(ring).capacity];
}

// --- creation --------------------------------------------------------------------------------------------------------

TEST(SpscRecords, ItsSizeIsRoundedUpToAPowerOfTwoAndAPage) {
  for (const auto& [asked, got] : {std::pair{1u, 4096u}, {4096u, 4096u}, {4097u, 8192u}, {100000u, 131072u}}) {
    auto ring = ring_of(asked);
    EXPECT_EQ(ring.capacity_bytes(), got);
    EXPECT_EQ(ring.max_record_bytes(), got / 2 - 8);
    EXPECT_EQ(ring.approx_bytes(), 0u);
  }
}

TEST(SpscRecords, SizesThatCannotBeAreInvalid) {
  for (const std::size_t bytes : {std::size_t{0}, (std::size_t{8} << 30) + 1, SIZE_MAX}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SpscRecords::create(bytes).status())) << bytes;
    EXPECT_TRUE(absl::IsInvalidArgument(SpscRecords::create(unique_name(), bytes).status())) << bytes;
    EXPECT_TRUE(absl::IsInvalidArgument(SpscRecords::open_or_create(unique_name(), bytes).status())) << bytes;
  }
}

TEST(SpscRecords, NamesGoByTheSegmentsRules) {
  const std::string name = unique_name();
  EXPECT_TRUE(absl::IsNotFound(SpscRecords::open(name).status()));
  {
    auto created = SpscRecords::open_or_create(name, kPage).value();
    auto opened = SpscRecords::open_or_create(name, 1 << 20).value();
    EXPECT_EQ(opened.capacity_bytes(), kPage) << "whoever comes first decides";
    EXPECT_TRUE(absl::IsAlreadyExists(SpscRecords::create(name, kPage).status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(SpscQueue<std::uint64_t>::open(name).status()));
    ASSERT_TRUE(created.push(bytes_of("by name")));
    EXPECT_EQ(popped(opened), "by name");
  }
  EXPECT_TRUE(absl::IsNotFound(SpscRecords::open(name).status()));
  { auto kept = SpscRecords::create(name, kPage, {.lifetime = Lifetime::kUntilUnlinked}).value(); }
  EXPECT_TRUE(SpscRecords::open(name).ok());
  EXPECT_TRUE(SpscRecords::unlink(name).ok());
}

// --- records ---------------------------------------------------------------------------------------------------------

TEST(SpscRecords, CarriesRecordsOfEveryLengthInOrder) {
  auto ring = ring_of();
  for (std::size_t size = 0; size <= ring.max_record_bytes(); ++size) {  // and so from every place of the ring
    ASSERT_TRUE(ring.try_push(bytes_of(record(size, size)))) << size;
    ASSERT_EQ(popped(ring), record(size, size));
  }
  EXPECT_EQ(ring.approx_bytes(), 0u);
  EXPECT_EQ(ring.try_pop(), std::nullopt);
}

static_assert(!std::is_convertible_v<std::nullptr_t, RecordView> && !std::is_convertible_v<int, RecordView>);

TEST(SpscRecords, APartOfABufferIsARecord) {
  auto ring = ring_of();
  char buffer[] = {'a', 'b', 'c', 'd'};
  const std::array<std::byte, 3> bytes{std::byte{'x'}, std::byte{'y'}, std::byte{'z'}};
  const char constant[] = {'n', 'o'};  // without a 0
  const char* const text = "by pointer";
  EXPECT_TRUE(ring.push({buffer, 2}));
  EXPECT_TRUE(ring.push({bytes.data(), 1}));
  EXPECT_TRUE(ring.push(constant));
  EXPECT_TRUE(ring.push(text));
  for (const char* expected : {"ab", "x", "no", "by pointer"}) EXPECT_EQ(ring.pop<std::string>(), expected);
}

TEST(SpscRecords, WhatPeopleHaveAtHandIsARecord) {
  auto ring = ring_of();
  const std::string text = "a text";
  const std::vector<unsigned char> raw{1, 2, 3};
  const std::array<char, 2> pair{'a', 'b'};
  std::vector<std::byte> bytes(3, std::byte{7});
  EXPECT_TRUE(ring.push(text));
  EXPECT_TRUE(ring.push("a literal"));
  EXPECT_TRUE(ring.push(std::string_view("a view")));
  EXPECT_TRUE(ring.push(std::string("one that goes")));
  EXPECT_TRUE(ring.try_push(raw));
  EXPECT_TRUE(ring.try_push_for(pair, 0s));
  EXPECT_TRUE(ring.try_push_until(bytes, steady_clock::now()));
  EXPECT_TRUE(ring.push(std::span(bytes).first(1)));
  EXPECT_TRUE(ring.check("a literal").ok());
  EXPECT_EQ(ring.pop<std::string>(), text);
  EXPECT_EQ(ring.try_pop<std::string>(), "a literal");
  EXPECT_EQ(ring.try_pop_for<std::string>(0s), "a view");
  EXPECT_EQ(SpscRecords::text(*ring.borrow()), "one that goes");
  EXPECT_EQ(ring.try_pop_until<std::vector<unsigned char>>(steady_clock::now()), raw);
  EXPECT_EQ(ring.pop<std::string>(), "ab");
  EXPECT_EQ(ring.pop(), bytes);
  EXPECT_EQ(ring.pop(), SpscRecords::Record(1, std::byte{7}));
  EXPECT_EQ(ring.try_pop<std::string>(), std::nullopt);
}

TEST(SpscRecords, AnyMixOfLengthsComesOutWhole) {
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    std::mt19937 random(seed);
    auto ring = ring_of();
    std::vector<std::size_t> sizes;
    std::size_t in = 0, out = 0;
    while (out < 20'000) {
      const std::size_t size = random() % (random() % 4 == 0 ? ring.max_record_bytes() + 1 : 60);
      if (ring.try_push(bytes_of(record(in, size)))) sizes.push_back(size), ++in;
      if (random() % 2 == 0 || in - out > 20) {
        if (out == in) continue;
        ASSERT_EQ(popped(ring), record(out, sizes[out]));
        ++out;
      }
    }
  }
}

TEST(SpscRecords, TheLongestRecordGoesIntoAnEmptyRingFromEveryPlace) {
  auto ring = ring_of();
  const std::string longest = record(1, ring.max_record_bytes());
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(ring.try_push(bytes_of("")));
    ASSERT_EQ(popped(ring), "");
    ASSERT_TRUE(ring.try_push(bytes_of(longest)));
    ASSERT_EQ(popped(ring), longest);
  }
}

TEST(SpscRecords, ARecordTooLongIsRefusedAtOnceAlsoWhileFull) {
  auto ring = ring_of();
  const std::string too_long(ring.max_record_bytes() + 1, 'x');
  EXPECT_FALSE(ring.push(bytes_of(too_long)));
  EXPECT_TRUE(absl::IsInvalidArgument(ring.check(bytes_of(too_long))));
  EXPECT_THAT(ring.check(bytes_of(too_long)).message(), HasSubstr("at most 2040"));
  while (ring.try_push(bytes_of("x"))) {
  }
  EXPECT_FALSE(ring.push(bytes_of(too_long)));
  EXPECT_FALSE(ring.loan(too_long.size()));
  EXPECT_TRUE(absl::IsResourceExhausted(ring.check(bytes_of("x"))));
}

TEST(SpscRecords, ApproxBytesCountsHeadsAndWhatIsSkipped) {
  auto ring = ring_of();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ring.try_push(bytes_of(std::string(992, 'x'))));
  EXPECT_EQ(ring.approx_bytes(), 4000u);
  for (int i = 0; i < 3; ++i) (void)ring.try_pop();
  ASSERT_TRUE(ring.try_push(bytes_of(std::string(992, 'y'))));
  EXPECT_EQ(ring.approx_bytes(), 1000u + 96u + 1000u);
  EXPECT_EQ(popped(ring), std::string(992, 'x'));
  EXPECT_EQ(popped(ring), std::string(992, 'y'));
  EXPECT_EQ(ring.approx_bytes(), 0u);
}

TEST(SpscRecords, BatchesArePublishedByOneStore) {
  auto ring = ring_of();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 100; ++i) texts.push_back(record(i, i * 3));
  std::vector<Bytes> records;
  for (const std::string& text : texts) records.push_back(bytes_of(text));
  const std::size_t first = ring.try_push_n(records);
  EXPECT_GT(first, 10u);
  EXPECT_LT(first, 100u);
  for (std::size_t i = 0; i < first; ++i) ASSERT_EQ(popped(ring), texts[i]);
  EXPECT_EQ(ring.try_push_n(std::span(records).subspan(first, 2)), 2u);
  EXPECT_EQ(popped(ring), texts[first]);
  EXPECT_EQ(popped(ring), texts[first + 1]);
}

TEST(SpscRecords, PushNBlocksUntilAllAreIn) {
  auto ring = ring_of();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 300; ++i) texts.push_back(record(i, i * 5));
  texts.push_back(std::string(5000, 'x'));
  std::vector<Bytes> records;
  for (const std::string& text : texts) records.push_back(bytes_of(text));
  std::thread producer([&] { EXPECT_EQ(ring.push_n(records), 300u) << "the last one never fits"; });
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(text_of(ring.pop().value()), texts[i]);
  producer.join();
  EXPECT_EQ(ring.try_push_n({}), 0u);
}

// --- waiting ---------------------------------------------------------------------------------------------------------

TEST(SpscRecordsBlocking, EachSideWaitsForTheOther) {
  auto ring = ring_of();
  {
    Blocked waiting([&] { EXPECT_EQ(text_of(ring.pop().value()), "at last"); });
    ASSERT_TRUE(ring.push(bytes_of("at last")));
  }
  const std::string half(2000, 'h');
  ASSERT_TRUE(ring.push(bytes_of(half)));
  ASSERT_TRUE(ring.push(bytes_of(half)));
  EXPECT_FALSE(ring.try_push(bytes_of(half)));
  Child consumer([&] { return ring.pop() ? 0 : 1; });
  EXPECT_TRUE(ring.push(bytes_of(half)));
  EXPECT_TRUE(consumer.join().well());
}

TEST(SpscRecordsBlocking, TimedCallsWaitAtLeastThatLong) {
  auto ring = ring_of();
  auto begin = steady_clock::now();
  EXPECT_EQ(ring.try_pop_for(20ms), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  while (ring.try_push(bytes_of("x"))) {
  }
  begin = steady_clock::now();
  EXPECT_FALSE(ring.try_push_for(bytes_of("x"), 20ms));
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  begin = steady_clock::now();
  EXPECT_FALSE(ring.try_push_until(bytes_of("x"), Deadline::after(20ms)));
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  EXPECT_TRUE(ring.try_pop_until(Deadline::after(1h)));
  EXPECT_TRUE(ring.try_push_for(bytes_of("x"), 1h));
}

// --- the end ---------------------------------------------------------------------------------------------------------

TEST(SpscRecordsClose, RefusesPushesAndDrainsPops) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.push(bytes_of("last")));
  ring.close();
  EXPECT_TRUE(ring.closed());
  EXPECT_FALSE(ring.drained());
  EXPECT_FALSE(ring.push(bytes_of("late")));
  EXPECT_FALSE(ring.loan(4));
  EXPECT_TRUE(absl::IsOutOfRange(ring.check(bytes_of("late"))));
  EXPECT_TRUE(ring.check_consumer().ok());
  EXPECT_EQ(text_of(ring.pop().value()), "last");
  EXPECT_EQ(ring.pop(), std::nullopt);
  EXPECT_FALSE(ring.borrow());
  EXPECT_TRUE(ring.drained());
}

TEST(SpscRecordsClose, EndsBothWaits) {
  auto ring = ring_of();
  {
    Blocked waiting([&] { EXPECT_EQ(ring.pop(), std::nullopt); });
    ring.close();
  }
  auto full = ring_of();
  while (full.try_push(bytes_of("x"))) {
  }
  Child closes([&] {
    std::this_thread::sleep_for(20ms);
    full.close();
    return 0;
  });
  EXPECT_FALSE(full.push(bytes_of("x")));
}

// --- in place --------------------------------------------------------------------------------------------------------

TEST(SpscRecordsInPlace, ALoanIsWrittenAndABorrowReadWhereItLies) {
  auto ring = ring_of();
  for (int lap = 0; lap < 50; ++lap) {
    auto loan = ring.loan(300);
    ASSERT_TRUE(loan);
    ASSERT_EQ((*loan).size(), 300u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*loan).data()) % 8, 0u);
    std::ranges::fill(*loan, std::byte{7});
    const std::byte* const written = (*loan).data();
    EXPECT_EQ(ring.try_pop(), std::nullopt) << "nobody has seen it";
    ASSERT_TRUE(ring.push(std::move(loan)));
    EXPECT_FALSE(loan);  // NOLINT: that a pushed one is empty is its contract
    const auto borrow = ring.borrow();
    ASSERT_TRUE(borrow);
    EXPECT_EQ((*borrow).data(), written) << "it was copied";
    EXPECT_EQ((*borrow).size(), 300u);
    EXPECT_EQ((*borrow)[299], std::byte{7});
  }
  EXPECT_EQ(ring.approx_bytes(), 0u) << "the end of a borrow takes it";
  auto empty = ring.loan(0);
  ASSERT_TRUE(empty);
  ASSERT_TRUE(ring.push(std::move(empty)));
  const auto borrow = ring.try_borrow();
  ASSERT_TRUE(borrow);
  EXPECT_TRUE((*borrow).empty());
}

TEST(SpscRecordsInPlace, ALoanThatIsNotPushedWasNever) {
  auto ring = ring_of();
  { auto loan = ring.loan(100); }
  EXPECT_EQ(ring.approx_bytes(), 0u);
  ASSERT_TRUE(ring.push(bytes_of("x")));
  EXPECT_EQ(popped(ring), "x");
}

TEST(SpscRecordsInPlace, WhileOneStandsThatSideDoesNothingElse) {
  auto ring = ring_of();
  auto loan = ring.loan(10);
  EXPECT_FALSE(ring.push(bytes_of("x")));
  EXPECT_FALSE(ring.try_loan(10));
  EXPECT_TRUE(absl::IsFailedPrecondition(ring.check(bytes_of("x"))));
  ASSERT_TRUE(ring.push(std::move(loan)));
  ASSERT_TRUE(ring.push(bytes_of("x")));
  {
    const auto borrow = ring.borrow();
    EXPECT_EQ(ring.pop(), std::nullopt);
    EXPECT_FALSE(ring.borrow());
    EXPECT_TRUE(absl::IsFailedPrecondition(ring.check_consumer()));
    EXPECT_TRUE(ring.push(bytes_of("y"))) << "the other side goes on";
  }
  EXPECT_TRUE(ring.check_consumer().ok());
  EXPECT_EQ(popped(ring), "x");
  EXPECT_EQ(popped(ring), "y");
}

TEST(SpscRecordsInPlace, ALoanIsKeptByAPushThatIsRefused) {
  auto ring = ring_of(), other = ring_of();
  auto loan = ring.loan(10);
  EXPECT_FALSE(other.push(std::move(loan)));
  EXPECT_TRUE(loan);  // NOLINT: that it keeps what it holds is its contract
  std::thread([&] { EXPECT_FALSE(ring.push(std::move(loan))) << "not the owner"; }).join();
  EXPECT_TRUE(loan);  // NOLINT
  auto copy = ring;
  ring.close();
  EXPECT_FALSE(copy.push(std::move(loan)));
  EXPECT_TRUE(loan);  // NOLINT
  auto queue = Queue<std::vector<std::byte>>::create({.capacity = 2}).value();
  EXPECT_FALSE(queue.push(std::move(loan)));
  auto of_queue = queue.loan(10);
  EXPECT_FALSE(ring_of().push(std::move(of_queue)));
  EXPECT_TRUE(queue.push(std::move(of_queue)));
}

TEST(SpscRecordsInPlace, WhatAnotherThreadEndsIsReadAgain) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.push(bytes_of("again")));
  auto borrow = ring.borrow();
  std::thread([moved = std::move(borrow)]() mutable { Borrow<SpscRecords::Record> end = std::move(moved); }).join();
  EXPECT_EQ(popped(ring), "again");
}

TEST(SpscRecordsInPlace, OutlivesTheHandle) {
  Borrow<SpscRecords::Record> borrow = [] {
    auto ring = ring_of();
    (void)ring.push(bytes_of("text"));
    return ring.borrow();
  }();
  EXPECT_EQ(text_of(*borrow), "text");
}

TEST(SpscRecordsInPlace, AForkedChildHasNoneOfItsParents) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.push(bytes_of("parent's")));
  auto borrow = ring.borrow();
  auto loan = ring.loan(8);
  EXPECT_TRUE(Child([&] { return !borrow && !loan && !ring.push(std::move(loan)) ? 0 : 1; }).join().well());
  EXPECT_TRUE(borrow);
  EXPECT_EQ(text_of(*borrow), "parent's");
}

// --- sides -----------------------------------------------------------------------------------------------------------

TEST(SpscRecordsSides, ASecondLivingThreadIsRefusedAndToldWhoOwnsTheSide) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.claim_producer().ok());
  ASSERT_TRUE(ring.claim_consumer().ok());
  std::thread([&] {
    EXPECT_FALSE(ring.push(bytes_of("x")));
    EXPECT_FALSE(ring.loan(3));
    EXPECT_EQ(ring.pop(), std::nullopt);
    EXPECT_FALSE(ring.borrow());
    EXPECT_TRUE(absl::IsAlreadyExists(ring.check(bytes_of("x"))));
    EXPECT_TRUE(absl::IsAlreadyExists(ring.check_consumer()));
    EXPECT_THAT(ring.claim_consumer().message(), HasSubstr("belongs to thread"));
  }).join();
}

TEST(SpscRecordsSides, ADeadProducersHalfRecordWasNever) {
  auto ring = ring_of();
  Child producer([&] {
    (void)ring.push(bytes_of("first"));
    auto loan = ring.loan(100);
    std::ranges::fill(*loan, std::byte{1});
    ::kill(::getpid(), SIGKILL);
    return 1;
  });
  (void)producer.join();
  ASSERT_TRUE(ring.push(bytes_of("second")));
  EXPECT_EQ(popped(ring), "first");
  EXPECT_EQ(popped(ring), "second");
  EXPECT_EQ(popped(ring), "nothing");
}

TEST(SpscRecordsSides, ADeadConsumersBorrowIsItsSuccessors) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.push(bytes_of("borrowed")));
  Child consumer([&] {
    auto borrow = ring.borrow();
    ::kill(::getpid(), SIGKILL);
    return 1;
  });
  (void)consumer.join();
  EXPECT_EQ(popped(ring), "borrowed");
  EXPECT_EQ(popped(ring), "nothing");
}

TEST(SpscRecordsSides, AThreadThatEndedWithALoanLeavesItsSide) {
  auto ring = ring_of();
  Loan<SpscRecords::Record> loan = ring_of().try_loan(0);
  std::thread([&] { loan = ring.loan(10); }).join();
  ASSERT_TRUE(ring.push(bytes_of("successor's")));
  EXPECT_FALSE(ring.push(std::move(loan)));
  EXPECT_EQ(popped(ring), "successor's");
}

// A handle that came as a value is the same side's.
TEST(SpscRecordsSides, HandlesOfOneProcessShareThem) {
  auto ring = ring_of();
  auto queue = Queue<SpscRecords>::create({.capacity = 1}).value();
  ASSERT_TRUE(queue.push(ring));
  auto came = queue.pop().value();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(ring.try_push(bytes_of("one")));
    ASSERT_TRUE(came.try_push(bytes_of("two")));
    ASSERT_EQ(popped(came), "one");
    ASSERT_EQ(popped(ring), "two");
  }
}

TEST(SpscRecordsTransfer, BetweenTwoProcessesIsWholeAndInOrder) {
  for (const bool in_place : {false, true}) {
    auto ring = ring_of();
    Child producer([&] {
      for (std::size_t i = 0; i < 20'000; ++i) {
        const std::string text = record(i, i * 7 % 900);
        if (!in_place) {
          if (!ring.push(bytes_of(text))) return 1;
          continue;
        }
        auto loan = ring.loan(text.size());
        std::ranges::copy(bytes_of(text), (*loan).begin());
        if (!ring.push(std::move(loan))) return 2;
      }
      ring.close();
      return 0;
    });
    std::size_t count = 0;
    const auto look = [&](Bytes found) {
      ASSERT_EQ(text_of(found), record(count, count * 7 % 900));
      ++count;
    };
    if (in_place) {
      while (const auto borrow = ring.borrow()) look(*borrow);
    } else {
      while (const auto found = ring.pop()) look(*found);
    }
    EXPECT_EQ(count, 20'000u);
    EXPECT_TRUE(ring.drained());
    EXPECT_TRUE(producer.join().well());
  }
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

TEST(SpscRecordsHostile, WhatNoProducerWritesClosesTheRing) {
  const std::uint64_t skips = layout::RecordHead{.length = layout::RecordHead::kSkips}.word();
  const auto head = [](std::uint32_t length) { return layout::RecordHead{.length = length}.word(); };
  for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{5}, ~std::uint64_t{0}, std::uint64_t{1} << 32,
                                   head(2048), head(6), head(200), head(0xffff'fff0), skips}) {
    auto ring = ring_of();
    ASSERT_TRUE(ring.push(bytes_of("good")));
    ASSERT_TRUE(ring.push(bytes_of("bad!")));
    ASSERT_TRUE(ring.push(bytes_of("unreachable!")));
    unit_at(ring, 2) = word;
    EXPECT_EQ(popped(ring), "good") << std::hex << word;
    if (word == head(6)) {  // of a length that could be: wrong, but whole
      EXPECT_EQ(ring.try_pop()->size(), 6u);
      continue;
    }
    EXPECT_EQ(ring.pop(), std::nullopt) << std::hex << word;
    EXPECT_TRUE(absl::IsDataLoss(ring.check_consumer()));
    EXPECT_TRUE(absl::IsDataLoss(ring.check(bytes_of("x"))));
    EXPECT_TRUE(ring.closed());
    EXPECT_TRUE(ring.drained());
    EXPECT_FALSE(ring.push(bytes_of("x")));
    EXPECT_FALSE(ring.try_borrow());
    EXPECT_EQ(ring.pop(), std::nullopt);
  }
}

TEST(SpscRecordsHostile, ASkipThatLeadsNowhereClosesTheRing) {
  const std::uint64_t skips = layout::RecordHead{.length = layout::RecordHead::kSkips}.word();
  auto ring = ring_of();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.push(bytes_of(std::string(992, 'x'))));
  for (int i = 0; i < 3; ++i) (void)ring.try_pop();
  ASSERT_TRUE(ring.push(bytes_of(std::string(1000, 'y'))));
  ASSERT_TRUE(ring.push(bytes_of(std::string(1000, 'z'))));  // over the end
  (void)ring.try_pop();
  unit_at(ring, 0) = skips;
  EXPECT_FALSE(ring.try_borrow());
  EXPECT_TRUE(absl::IsDataLoss(ring.check_consumer()));

  auto first = ring_of();
  ASSERT_TRUE(first.push(bytes_of("x")));
  unit_at(first, 0) = skips;  // at the ring's begin: round and round
  EXPECT_EQ(first.pop(), std::nullopt);
  EXPECT_TRUE(absl::IsDataLoss(first.check_consumer()));
}

TEST(SpscRecordsHostile, AFalseGeometryIsRefused) {
  const std::string name = unique_name();
  auto ring = SpscRecords::create(name, kPage).value();
  const auto refuses = [&](auto& field, auto wrong) {
    const auto right = std::exchange(field, wrong);
    EXPECT_TRUE(absl::IsDataLoss(SpscRecords::open(name).status())) << wrong;
    field = right;
  };
  for (const std::uint64_t wrong : {0ul, 1ul, 256ul, 511ul, 1024ul, ~0ul}) refuses(header_of(ring).capacity, wrong);
  for (const std::uint32_t wrong : {0u, 1u, 16u}) refuses(header_of(ring).slot_bytes, wrong);
  EXPECT_TRUE(SpscRecords::open(name).ok());
}

TEST(SpscRecordsHostile, IndicesThatCannotBeAreDataLossWhenASideIsClaimed) {
  auto ring = ring_of();
  header_of(ring).tail = 1000;
  EXPECT_TRUE(absl::IsDataLoss(ring.claim_producer()));
  EXPECT_TRUE(absl::IsDataLoss(ring.claim_consumer()));
  EXPECT_FALSE(ring.push(bytes_of("x")));
  EXPECT_EQ(ring.pop(), std::nullopt);
  EXPECT_FALSE(ring.borrow());
}

TEST(SpscRecordsHostile, IndicesThatCannotBeAreToldToWhoWouldTakeASideOver) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.check_consumer().ok());
  header_of(ring).tail = 1000;
  EXPECT_TRUE(absl::IsDataLoss(ring.check_consumer()));
  EXPECT_TRUE(absl::IsDataLoss(ring.check(bytes_of("x"))));
}

// None of these hangs: where a peer's indices cannot be, the end of the ring is the end of its pops.
TEST(SpscRecordsHostile, ATailThatCannotBeClosesTheRing) {
  for (const bool cached : {false, true}) {
    auto ring = ring_of();
    ASSERT_TRUE(ring.push(bytes_of("first")));
    ASSERT_TRUE(ring.push(bytes_of("next")));
    EXPECT_EQ(popped(ring), "first");
    if (!cached) {
      EXPECT_EQ(popped(ring), "next");
    }
    header_of(ring).tail = header_of(ring).head + header_of(ring).capacity + 1;
    if (cached) unit_at(ring, 2) = 0;  // the head of what the consumer knows is there
    EXPECT_EQ(ring.pop(), std::nullopt);
    EXPECT_TRUE(absl::IsDataLoss(ring.check_consumer()));
    EXPECT_TRUE(ring.closed());
    EXPECT_TRUE(ring.drained());
    EXPECT_EQ(ring.pop(), std::nullopt);
    EXPECT_FALSE(ring.borrow());
    EXPECT_FALSE(ring.push(bytes_of("x")));
  }
}

TEST(SpscRecordsHostile, AHeadThatAPeerOverwroteDoesNotKeepAClosedRingFromItsEnd) {
  auto ring = ring_of();
  ASSERT_TRUE(ring.push(bytes_of("only")));
  EXPECT_EQ(popped(ring), "only");
  header_of(ring).head = header_of(ring).tail - 1;
  ring.close();
  EXPECT_EQ(ring.pop(), std::nullopt);
  EXPECT_TRUE(ring.drained());
}

TEST(SpscRecordsHostile, IndicesMayWrap) {
  auto ring = ring_of();
  header_of(ring).tail = header_of(ring).head = ~std::uint64_t{0} - 100;
  for (std::size_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(ring.try_push(bytes_of(record(i, i))));
    ASSERT_EQ(popped(ring), record(i, i));
  }
}

TEST(SpscRecordsHostile, AnyWordsInTheRingMakeItFailAndNotTheReader) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    auto ring = ring_of();
    for (std::size_t i = 0; i < 20; ++i) (void)ring.try_push(bytes_of(record(i, i * 9)));
    for (int i = 0; i < 6; ++i) {
      unit_at(ring, random() % 64) =
          random() % 2 == 0 ? random()
                            : layout::RecordHead{.length = static_cast<std::uint32_t>(random() % 3000)}.word();
    }
    if (round % 3 == 0) header_of(ring).tail = header_of(ring).tail + random() % 600;
    for (int i = 0; i < 30; ++i) {
      const auto found = ring.try_pop();
      EXPECT_LE(found ? found->size() : 0, ring.max_record_bytes());
      const auto borrow = ring.try_borrow();
      EXPECT_LE(borrow ? (*borrow).size() : 0, ring.max_record_bytes());
      (void)ring.try_push(bytes_of("x"));
    }
  }
}

}  // namespace
}  // namespace warren
