// Queue without a capacity, of what is no small plain value: ring and blocks both grow until memory ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <warren/ipc/queue.h>

#include <array>
#include <chrono>
#include <csignal>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/queue_blocks.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::QueueBlocks;
using test::Reach;
using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Big {
  std::array<std::uint64_t, 100> words{};
};

// Tells its number; every fifth one does not fit into a slot.
std::string text_of(std::size_t number) {
  return std::to_string(number) + ":" + std::string(number % 5 == 0 ? 300 : number % 50, 'x');
}

Queue<std::string> texts(std::uint64_t chunk_bytes = 512 << 10) {
  detail::elastic_tuning().chunk_bytes = chunk_bytes;
  auto queue = Queue<std::string>::create().value();
  detail::elastic_tuning().chunk_bytes = 512 << 10;
  return queue;
}

// What the queue's file holds of the machine's memory.
template <class T>
std::size_t held(const Queue<T>& queue) {
  struct stat file {};
  EXPECT_EQ(::fstat(Reach::attachment(queue).descriptor(), &file), 0);
  return static_cast<std::size_t>(file.st_blocks) * 512;
}

TEST(UnboundedQueueOfAnything, IsWhatOneGetsWhoSaysNothing) {
  auto queue = Queue<std::string>::create().value();
  EXPECT_GT(queue.capacity(), std::size_t{1} << 12);
  EXPECT_LT(held(queue), 2 * kMiB);
  ASSERT_TRUE(queue.push("small"));
  ASSERT_TRUE(queue.push(std::string(5 * kMiB, 'l')));
  EXPECT_EQ(queue.pop(), "small");
  EXPECT_EQ(queue.pop(), std::string(5 * kMiB, 'l'));
  EXPECT_TRUE(queue.check("x").ok());
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
}

TEST(UnboundedQueueOfAnything, HoldsAHundredThousandAndGivesThemInOrder) {
  auto queue = texts();
  constexpr std::size_t kItems = 100'000;
  for (std::size_t i = 0; i < kItems; ++i) ASSERT_TRUE(queue.try_push(text_of(i)));
  EXPECT_EQ(queue.approx_size(), kItems);
  for (std::size_t i = 0; i < kItems; ++i) ASSERT_EQ(queue.try_pop(), text_of(i));
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
}

TEST(UnboundedQueueOfAnything, AnyChunkSizeGivesTheSameOrder) {
  for (const std::uint64_t bytes : {1ul, 300ul, 5000ul, 100000ul}) {
    auto queue = texts(bytes);
    std::size_t in = 0, out = 0;
    for (const std::size_t depth : {1u, 3u, 10u, 100u, 2u, 1000u, 1u}) {
      for (std::size_t i = 0; i < depth; ++i) ASSERT_TRUE(queue.try_push(text_of(in++)));
      while (const auto item = queue.try_pop()) ASSERT_EQ(*item, text_of(out++));
    }
    EXPECT_EQ(in, out);
    EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
  }
}

TEST(UnboundedQueueOfAnything, LargePlainValues) {
  auto queue = Queue<Big>::create().value();
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    Big item;
    item.words.fill(i);
    ASSERT_TRUE(queue.try_push(item));
  }
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const auto item = queue.try_pop();
    ASSERT_TRUE(item);
    ASSERT_EQ(item->words.front(), i);
    ASSERT_EQ(item->words.back(), i);
  }
}

TEST(UnboundedQueueOfAnything, BatchesCrossChunks) {
  auto queue = texts(1);
  for (std::size_t lap = 0; lap < 10; ++lap) {
    std::vector<std::string> items(100), out(100);
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = text_of(lap * 100 + i);
    ASSERT_EQ(queue.try_push_n(items), items.size());
    ASSERT_EQ(queue.try_pop_n(out), out.size());
    ASSERT_EQ(items, out);
  }
}

// --- its end ---------------------------------------------------------------------------------------------------------

TEST(UnboundedQueueOfAnything, IsClosedAndDrainedAsAnyOther) {
  auto queue = texts(1);
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(queue.push(text_of(i)));
  queue.close();
  EXPECT_FALSE(queue.push("late"));
  EXPECT_TRUE(absl::IsOutOfRange(queue.check("late")));
  EXPECT_FALSE(queue.drained());
  for (std::size_t i = 0; i < 100; ++i) ASSERT_EQ(queue.pop(), text_of(i));
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_TRUE(queue.drained());
}

TEST(UnboundedQueueOfAnything, MaxItemBytesHolds) {
  auto queue = Queue<std::string>::create({.max_item_bytes = 1000}).value();
  EXPECT_TRUE(queue.push(std::string(1000, 'x')));
  EXPECT_FALSE(queue.push(std::string(1001, 'x')));
  EXPECT_TRUE(absl::IsInvalidArgument(queue.check(std::string(1001, 'x'))));
  EXPECT_THAT(queue.check(std::string(1001, 'x')).message(), HasSubstr("max_item_bytes"));
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<Big>::create({.max_item_bytes = 100}).status()));
}

// --- memory ----------------------------------------------------------------------------------------------------------

TEST(UnboundedQueueOfAnything, LargeItemsGiveTheirMemoryBackWhenTheyAreTaken) {
  auto queue = texts();
  for (const std::size_t bytes : {64u << 10, 100u << 10, 512u << 10, 3u << 20}) {
    const std::string text(bytes, 't');
    const std::size_t count = 128 * kMiB / bytes;
    const std::size_t before = held(queue);
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(queue.try_push(text));
    EXPECT_GE(held(queue), before + 120 * kMiB) << bytes;
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(queue.try_pop(), text);
    EXPECT_LE(held(queue), before + 18 * kMiB) << bytes << ": each size keeps 16 MiB of them";
  }
}

TEST(UnboundedQueueOfAnything, WhatConsumersLeftIsUsedAgain) {
  auto queue = texts(4096);
  const auto go = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      ASSERT_TRUE(queue.try_push(text_of(i)));
      if (i < 100) continue;
      ASSERT_EQ(queue.try_pop(), text_of(i - 100));
    }
  };
  go(0, 10'000);
  const std::size_t before = held(queue);
  go(10'000, 60'000);
  EXPECT_EQ(held(queue), before);
}

TEST(UnboundedQueueOfAnything, RefusesWhenMemoryEndsAndGoesOnWhenThereIsSome) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(24 << 20, [] {
    for (const std::size_t bytes : {std::size_t{20}, std::size_t{3000}, kMiB}) {
      auto queue = Queue<std::string>::create("grows").value();
      const std::string text(bytes, 'x');
      std::size_t in = 0;
      while (queue.try_push(text)) ++in;
      EXPECT_GE(in * std::max<std::size_t>(bytes, 128), std::size_t{9} << 20) << bytes;
      EXPECT_FALSE(queue.push(text)) << "it would wait for ever";
      const absl::Status why = queue.check(text);
      EXPECT_TRUE(absl::IsResourceExhausted(why)) << why;
      EXPECT_THAT(std::string(why.message()), HasSubstr("no memory")) << bytes;
      EXPECT_FALSE(bytes > 1000 && queue.try_loan(bytes));
      std::size_t out = 0;
      for (; out < in / 2; ++out) ASSERT_EQ(queue.try_pop(), text);
      EXPECT_TRUE(queue.check(text).ok()) << queue.check(text);
      ASSERT_TRUE(queue.push(text));
      for (++in; out < in; ++out) ASSERT_EQ(queue.try_pop(), text);
      EXPECT_EQ(queue.try_pop(), std::nullopt);
      EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
    }
  }));
}

// As if the machine had so little left.
TEST(UnboundedQueueOfAnything, LeavesSomeToTheMachine) {
  auto queue = texts();
  std::size_t chunk_items = 0, in = 0;
  detail::elastic_tuning().left_for_others = ~std::uint64_t{0};
  while (chunk_items < 1'000'000 && queue.try_push("in the ring")) ++chunk_items;
  const absl::Status ring = queue.check("in the ring");
  const absl::Status block = queue.check(std::string(kMiB, 'x'));
  while (in < 100 && queue.try_push(std::string(kMiB, 'x'))) ++in;
  detail::elastic_tuning().left_for_others = 64 * kMiB;
  EXPECT_LT(chunk_items, 1'000'000u);
  EXPECT_LT(in, 100u);
  EXPECT_TRUE(absl::IsResourceExhausted(ring)) << ring;
  EXPECT_TRUE(absl::IsResourceExhausted(block)) << block;
  EXPECT_TRUE(queue.push("in the ring"));
  EXPECT_TRUE(queue.push(std::string(kMiB, 'x')));
}

TEST(UnboundedQueueOfAnything, TakesAPartOfALimitedAddressSpace) {
  WARREN_LIMITS_ADDRESS_SPACE();
  EXPECT_EQ(Child([] {
              const rlimit limit{.rlim_cur = std::uint64_t{2} << 30, .rlim_max = std::uint64_t{2} << 30};
              if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
              auto queue = Queue<std::string>::create();
              if (!queue.ok()) return 2;
              for (std::size_t i = 0; i < 50'000; ++i) {
                if (!queue->try_push(text_of(i))) return 3;
              }
              const rlimit none{.rlim_cur = std::uint64_t{300} << 20, .rlim_max = std::uint64_t{2} << 30};
              if (::setrlimit(RLIMIT_AS, &none) != 0) return 4;
              for (int i = 0; i < 100; ++i) {
                auto more = Queue<std::string>::create();
                if (more.ok()) return 5;  // this one alone has more than that by now
                if (more.status().message().find("ulimit -v") == std::string::npos) return 6;
              }
              return 0;
            })
                .join()
                .code,
            0);
}

// --- processes, deaths -----------------------------------------------------------------------------------------------

TEST(UnboundedQueueOfAnything, IsReachedByName) {
  const std::string name = test::unique_name();
  auto queue = Queue<std::string>::create(name).value();
  for (std::size_t i = 0; i < 10'000; ++i) ASSERT_TRUE(queue.push(text_of(i)));
  EXPECT_EQ(Child([&] {
              auto opened = Queue<std::string>::open(name).value();
              for (std::size_t i = 0; i < 10'000; ++i) {
                if (opened.try_pop() != text_of(i)) return 1;
              }
              return opened.push(text_of(0)) ? 0 : 2;
            })
                .join()
                .code,
            0);
  EXPECT_EQ(queue.try_pop(), text_of(0));
}

TEST(UnboundedQueueOfAnything, AProducerKilledOnItsWayTakesNothingWithItButItsLast) {
  auto queue = texts(1);
  Child producer([&]() -> int {
    for (std::size_t i = 0;; ++i) (void)queue.push(text_of(i));
  });
  std::size_t out = 0;
  for (; out < 2'000; ++out) ASSERT_EQ(queue.pop(), text_of(out));
  producer.signal(SIGKILL);
  (void)producer.join();
  while (const auto item = queue.try_pop_for(200ms)) ASSERT_EQ(*item, text_of(out++));
  EXPECT_EQ(QueueBlocks(queue).owned_after_recovery(), 0u);
  ASSERT_TRUE(queue.push(text_of(out)));
  EXPECT_EQ(queue.pop(), text_of(out));
}

TEST(UnboundedQueueOfAnything, AConsumerThatWaitsIsWokenAcrossChunks) {
  auto queue = texts(1);
  std::thread consumer([&] {
    std::size_t out = 0;
    while (const auto item = queue.pop()) ASSERT_EQ(*item, text_of(out++));
    EXPECT_EQ(out, 5'000u);
  });
  for (std::size_t i = 0; i < 5'000; ++i) ASSERT_TRUE(queue.push(text_of(i)));
  queue.close();
  consumer.join();
}

TEST(UnboundedQueueOfAnything, LoansAndBorrows) {
  auto queue = texts(1);
  for (const std::size_t size : {0u, 5u, 300u, 3000000u}) {
    for (int i = 0; i < 5; ++i) {
      auto loan = queue.loan(size);
      ASSERT_EQ((*loan).size(), size);
      std::ranges::fill(*loan, 'l');
      ASSERT_TRUE(queue.push(std::move(loan)));
    }
    for (int i = 0; i < 5; ++i) {
      const auto borrow = queue.borrow();
      ASSERT_TRUE(borrow);
      EXPECT_EQ(std::string((*borrow).begin(), (*borrow).end()), std::string(size, 'l'));
    }
  }
  EXPECT_FALSE(queue.try_borrow());
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
  auto loan = queue.loan(10);
  queue.close();
  EXPECT_FALSE(queue.push(std::move(loan)));
  EXPECT_TRUE(loan);  // NOLINT: that it keeps what it holds is its contract
  EXPECT_FALSE(queue.loan(10));
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

TEST(UnboundedQueueOfAnything, AFalseGeometryIsRefused) {
  const std::string name = test::unique_name();
  auto queue = Queue<std::string>::create(name).value();
  layout::MpmcRingHeader& ring = QueueBlocks(queue).ring();
  layout::ParcelHeader& parcels = QueueBlocks(queue).header();
  const auto refuses = [&](auto& field, std::uint64_t wrong) {
    const std::uint64_t right = std::exchange(field, wrong);
    EXPECT_TRUE(absl::IsDataLoss(Queue<std::string>::open(name).status())) << wrong;
    field = right;
  };
  for (const std::uint64_t wrong : {0ul, 1ul, 3ul, 1ul << 17, ~0ul}) refuses(ring.chunk_count, wrong);
  for (const std::uint64_t wrong : {0ul, 3ul, 1ul << 21, ~0ul}) refuses(ring.chunk_slots, wrong);
  for (const std::uint64_t wrong : {1ul, 4ul, ~0ul}) refuses(ring.slot_count, wrong);
  refuses(ring.capacity, 1);
  for (const std::uint64_t wrong : {0ul, 3ul, 8192ul}) refuses(parcels.scale, wrong);
  refuses(parcels.max_item_bytes, ~std::uint64_t{0});
  auto& size =
      reinterpret_cast<layout::SegmentHeader*>(Reach::attachment(queue).object() - layout::kObjectOffset)->size;
  const std::uint64_t right = size.exchange(layout::kParcelFront);  // less than has to be there from the beginning
  EXPECT_TRUE(absl::IsDataLoss(Queue<std::string>::open(name).status()));
  size = right;
  EXPECT_TRUE(Queue<std::string>::open(name).ok());
}

TEST(UnboundedQueueOfAnything, FalseWordsMakeItFailAndNotTheReader) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 100; ++round) {
    auto queue = texts(512);
    for (std::size_t i = 0; i < 60; ++i) ASSERT_TRUE(queue.try_push(text_of(i)));
    layout::MpmcRingHeader& ring = QueueBlocks(queue).ring();
    auto* const words =
        reinterpret_cast<std::atomic<std::uint64_t>*>(reinterpret_cast<std::byte*>(&ring) + layout::kParcelFront);
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t index = random() % 40 + (random() % 2) * ring.chunk_count;
      words[index] = random() % 3 == 0 ? random() : random() % 64;
    }
    if (round % 3 == 0) QueueBlocks(queue).each([&](auto& owner, auto) { owner = random(); });
    if (round % 5 == 0) ring.chunks_committed = random();
    if (round % 7 == 0) ring.head = ring.head + random() % 50;
    for (std::size_t i = 0; i < 100; ++i) {
      (void)queue.try_push(text_of(i));
      (void)queue.try_pop();
    }
    (void)QueueBlocks(queue).owned_after_recovery();
  }
}

}  // namespace
}  // namespace warren
