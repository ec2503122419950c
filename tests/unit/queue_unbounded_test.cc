// Queue without a capacity: it grows until memory ends, and uses again what consumers have left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <warren/ipc/queue.h>

#include <array>
#include <random>

#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Reach;
using ::testing::HasSubstr;

struct Wide {
  std::array<std::uint64_t, 30> words{};
};

template <class T = int>
Queue<T> unbounded(std::uint64_t chunk_bytes = 512 << 10) {
  detail::elastic_tuning().chunk_bytes = chunk_bytes;
  auto queue = Queue<T>::create().value();
  detail::elastic_tuning().chunk_bytes = 512 << 10;
  return queue;
}

template <class Q>
layout::MpmcRingHeader& header_of(Q& queue) {
  return *reinterpret_cast<layout::MpmcRingHeader*>(Reach::attachment(queue).object());
}

TEST(UnboundedQueue, HoldsAMillionItemsAndGivesThemInOrder) {
  auto queue = unbounded();
  constexpr int kItems = 1'000'000;
  for (int i = 0; i < kItems; ++i) ASSERT_TRUE(queue.try_push(i));
  EXPECT_EQ(queue.approx_size(), kItems);
  EXPECT_GT(queue.capacity(), 10u * kItems);
  EXPECT_TRUE(queue.check(1).ok());
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(queue.try_pop(), i);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(UnboundedQueue, AnyChunkSizeGivesTheSameOrder) {
  for (const std::uint64_t bytes : {1ul, 100ul, 500ul, 5000ul, 100000ul}) {
    auto queue = unbounded<Wide>(bytes);
    std::uint64_t in = 0, out = 0;
    for (const int depth : {1, 3, 10, 100, 2, 1000, 1}) {
      for (int i = 0; i < depth; ++i, ++in) {
        Wide item;
        item.words.fill(in);
        ASSERT_TRUE(queue.try_push(item));
      }
      while (const auto item = queue.try_pop()) {
        ASSERT_EQ(item->words.front(), out);
        ASSERT_EQ(item->words.back(), out++);
      }
    }
    EXPECT_EQ(in, out);
  }
}

TEST(UnboundedQueue, WhatConsumersLeftIsUsedAgain) {
  auto queue = unbounded(4096);
  for (int i = 0; i < 1'000'000; ++i) {
    ASSERT_TRUE(queue.try_push(i));
    if (i < 100) continue;
    ASSERT_EQ(queue.try_pop(), i - 100);
  }
  EXPECT_LE(header_of(queue).chunks_committed, 3u);
}

TEST(UnboundedQueue, BatchesCrossChunks) {
  auto queue = unbounded(256);
  std::array<int, 1000> items;
  for (int lap = 0; lap < 20; ++lap) {
    for (int i = 0; i < 1000; ++i) items[static_cast<std::size_t>(i)] = lap * 1000 + i;
    ASSERT_EQ(queue.try_push_n(items), items.size());
    std::array<int, 1000> out{};
    ASSERT_EQ(queue.try_pop_n(out), out.size());
    ASSERT_EQ(items, out);
  }
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(UnboundedQueue, IsClosedAndDrainedAsAnyOther) {
  auto queue = unbounded(64);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.push(i));
  queue.close();
  EXPECT_FALSE(queue.push(1));
  EXPECT_FALSE(queue.drained());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(queue.pop(), i);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_TRUE(queue.drained());
}

TEST(UnboundedQueue, IsReachedByName) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name).value();
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(queue.push(i));
  EXPECT_EQ(Child([&] {
              auto opened = Queue<int>::open(name).value();
              for (int i = 0; i < 100'000; ++i) {
                if (opened.try_pop() != i) return 1;
              }
              return opened.push(-1) ? 0 : 2;
            })
                .join()
                .code,
            0);
  EXPECT_EQ(queue.try_pop(), -1);
}

TEST(UnboundedQueue, RefusesWhenMemoryEndsAndGoesOnWhenThereIsSome) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(8 << 20, [] {
    auto queue = Queue<int>::create("grows").value();
    int in = 0, out = 0;
    while (queue.try_push(in)) ++in;
    EXPECT_GT(in, 100'000);
    EXPECT_FALSE(queue.push(in)) << "it would wait for ever";
    const absl::Status why = queue.check(in);
    EXPECT_TRUE(absl::IsResourceExhausted(why)) << why;
    EXPECT_THAT(std::string(why.message()), HasSubstr("no memory"));
    for (; out < 100'000; ++out) ASSERT_EQ(queue.try_pop(), out);
    EXPECT_TRUE(queue.check(in).ok()) << "chunks were left";
    ASSERT_TRUE(queue.push(in++));
    while (const auto item = queue.try_pop()) ASSERT_EQ(*item, out++);
    EXPECT_EQ(in, out);
  }));
}

TEST(UnboundedQueue, TakesAPartOfALimitedAddressSpace) {
  WARREN_LIMITS_ADDRESS_SPACE();
  EXPECT_EQ(Child([] {
              const rlimit limit{.rlim_cur = std::uint64_t{2} << 30, .rlim_max = std::uint64_t{2} << 30};
              if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
              auto queue = Queue<int>::create();
              if (!queue.ok()) return 2;
              for (int i = 0; i < 1'000'000; ++i) {
                if (!queue->try_push(i)) return 3;
              }
              return 0;
            })
                .join()
                .code,
            0);
}

TEST(UnboundedQueue, FullWhereItsAddressSpaceEnds) {
  detail::elastic_tuning().most_chunks = 256;
  auto queue = unbounded(64);
  detail::elastic_tuning().most_chunks = layout::kMaxChunks;
  int in = 0;
  while (queue.try_push(in)) ++in;
  EXPECT_EQ(static_cast<std::size_t>(in), queue.capacity());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.check(in)));
  for (int out = 0; out < in; ++out) ASSERT_EQ(queue.try_pop(), out);
}

// Runs are named by their last 44 bits, and positions end at 2^51.
TEST(UnboundedQueue, PositionsNearTheirEndWork) {
  for (const bool end_of_runs : {false, true}) {
    auto queue = unbounded(64);
    layout::MpmcRingHeader& header = header_of(queue);
    header.tail = header.head =
        end_of_runs ? (layout::ChunkEntry::kRunMask + 1) * header.chunk_slots - 50 : layout::kMaxPosition - 1000;
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(queue.try_push(i)) << i;
    EXPECT_EQ(queue.approx_size(), 200u);
    for (int i = 0; i < 200; ++i) ASSERT_EQ(queue.try_pop(), i);
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    queue.close();
    EXPECT_TRUE(queue.drained());
  }
}

// The entry of a run names a chunk that there is none of: the item is lost, and nothing else is written to.
TEST(UnboundedQueue, AnEntryOfNoChunkLosesItsItemsAlone) {
  auto queue = unbounded(64);
  layout::MpmcRingHeader& header = header_of(queue);
  auto* const entries = reinterpret_cast<std::atomic<std::uint64_t>*>(&header + 1);
  entries[0] = layout::ChunkEntry{.run = 0, .chunk = layout::ChunkEntry::kChunkMask - 1}.word();
  (void)queue.try_push(7);
  (void)queue.try_pop();
  (void)queue.try_push_n(std::vector<int>(100, 8));
  while (queue.try_pop()) {
  }
}

// A peer's words: the directory, the owners, the header's counts.
TEST(UnboundedQueue, FalseWordsMakeItFailAndNotTheReader) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    auto queue = unbounded(256);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.try_push(i));
    layout::MpmcRingHeader& header = header_of(queue);
    auto* const words = reinterpret_cast<std::atomic<std::uint64_t>*>(&header + 1);
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t index = random() % 40 + (random() % 2) * header.chunk_count;
      words[index] = random() % 3 == 0 ? random() : random() % 64;
    }
    if (round % 5 == 0) header.chunks_committed = random();
    if (round % 7 == 0) header.head = header.head + random() % 50;
    for (int i = 0; i < 200; ++i) {
      (void)queue.try_push(i);
      (void)queue.try_pop();
    }
  }
}

TEST(UnboundedQueue, AFalseGeometryIsRefused) {
  const std::string name = test::unique_name();
  auto queue = Queue<int>::create(name).value();
  layout::MpmcRingHeader& header = header_of(queue);
  const auto refuses = [&](auto& field, std::uint64_t wrong) {
    const std::uint64_t right = std::exchange(field, wrong);
    EXPECT_TRUE(absl::IsDataLoss(Queue<int>::open(name).status())) << wrong;
    field = right;
  };
  for (const std::uint64_t wrong : {0ul, 1ul, 3ul, 1ul << 17, ~0ul}) refuses(header.chunk_count, wrong);
  for (const std::uint64_t wrong : {0ul, 3ul, 1ul << 21, ~0ul}) refuses(header.chunk_slots, wrong);
  refuses(header.slot_count, 4);
  refuses(header.capacity, 1);
  EXPECT_TRUE(Queue<int>::open(name).ok());
}

}  // namespace
}  // namespace warren
