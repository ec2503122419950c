// SpscRecords with threads only, so that ThreadSanitizer sees every access to the ring's bytes: copied, in batches, and
// in place, over the ring's end again and again, and a side that passes from thread to thread.
#include <gtest/gtest.h>
#include <warren/ipc/spsc_records.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace warren {
namespace {

using Bytes = SpscRecords::Bytes;
constexpr std::size_t kItems = 20'000;

// Tells its number, in as many bytes as that wants.
std::vector<std::byte> record(std::size_t number) {
  return std::vector<std::byte>(number * 13 % 700, static_cast<std::byte>(number % 251));
}
void expect_is(std::size_t number, Bytes bytes) {
  ASSERT_EQ(bytes.size(), number * 13 % 700);
  ASSERT_TRUE(std::ranges::all_of(bytes, [&](std::byte byte) { return byte == static_cast<std::byte>(number % 251); }));
}

using Push = void (*)(SpscRecords&);
using Pop = void (*)(SpscRecords&);
struct Way {
  const char* name;
  Push push;
  Pop pop;
  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

void push_copied(SpscRecords& ring) {
  for (std::size_t i = 0; i < kItems; ++i) ASSERT_TRUE(ring.push(record(i)));
}
void push_batches(SpscRecords& ring) {
  for (std::size_t i = 0; i < kItems; i += 5) {
    std::array<std::vector<std::byte>, 5> records;
    std::array<Bytes, 5> views;
    for (std::size_t k = 0; k < 5; ++k) views[k] = records[k] = record(i + k);
    ASSERT_EQ(ring.push_n(views), 5u);
  }
}
void push_loans(SpscRecords& ring) {
  for (std::size_t i = 0; i < kItems; ++i) {
    auto loan = ring.loan(record(i).size());
    ASSERT_TRUE(loan);
    std::ranges::copy(record(i), (*loan).begin());
    ASSERT_TRUE(ring.push(std::move(loan)));
  }
}
void pop_copied(SpscRecords& ring) {
  std::size_t i = 0;
  while (const auto found = ring.pop()) expect_is(i++, *found);
  EXPECT_EQ(i, kItems);
}
void pop_borrowed(SpscRecords& ring) {
  std::size_t i = 0;
  while (const auto found = ring.borrow()) expect_is(i++, *found);
  EXPECT_EQ(i, kItems);
}

class RecordThreads : public testing::TestWithParam<Way> {};

TEST_P(RecordThreads, EveryRecordComesOnceWholeAndInOrder) {
  auto ring = SpscRecords::create(4096).value();
  std::thread producer([&] {
    GetParam().push(ring);
    ring.close();
  });
  std::thread consumer([&] { GetParam().pop(ring); });
  producer.join();
  consumer.join();
  EXPECT_TRUE(ring.drained());
}
INSTANTIATE_TEST_SUITE_P(, RecordThreads,
                         testing::Values(Way{"copied", push_copied, pop_copied},
                                         Way{"batches", push_batches, pop_copied},
                                         Way{"in_place", push_loans, pop_borrowed}),
                         testing::PrintToStringParamName());

TEST(RecordThread, SidesPassFromThreadToThread) {
  auto ring = SpscRecords::create(4096).value();
  constexpr std::size_t kThreads = 200, kEach = 20;
  std::thread producers([&] {
    for (std::size_t t = 0; t < kThreads; ++t) {
      std::thread([&] {
        for (std::size_t i = 0; i < kEach; ++i) ASSERT_TRUE(ring.push(record(t * kEach + i)));
      }).join();
    }
    ring.close();
  });
  for (std::size_t i = 0; i < kThreads * kEach;) {
    std::thread([&] {
      for (std::size_t k = 0; k < 50; ++k) {
        const auto found = ring.pop();
        ASSERT_TRUE(found);
        expect_is(i++, *found);
      }
    }).join();
  }
  producers.join();
}

}  // namespace
}  // namespace warren
