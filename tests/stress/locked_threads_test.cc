// Priority queue and stack with threads only, so that ThreadSanitizer sees every access; and what comes out, in what
// order, while others push. Plain memory beside them shows that an item comes after what was written before its push.
#include <gtest/gtest.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/stack.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

constexpr std::uint32_t kProducers = 3, kConsumers = 2, kItems = 3000;

struct Item {
  std::uint32_t producer, number;
};
constexpr std::int64_t priority_of(const Item& item) { return item.number % 3; }

bool push(PriorityQueue<Item>& queue, const Item& item) { return queue.push(item, priority_of(item)); }
bool push(Stack<Item>& stack, const Item& item) { return stack.push(item); }

template <class C>
void each_item_comes_once_after_what_was_written(C container) {
  std::vector<std::uint64_t> written(kProducers * kItems, 0);
  std::vector<std::atomic<int>> times(kProducers * kItems);
  std::atomic<int> wrong{0};
  std::vector<std::thread> producers, consumers;
  for (std::uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (std::uint32_t i = 0; i < kItems; ++i) {
        written[p * kItems + i] = p + 7 * i + 1;
        if (!push(container, {.producer = p, .number = i})) ++wrong;
      }
    });
  }
  for (std::uint32_t c = 0; c < kConsumers; ++c) {
    consumers.emplace_back([&] {
      while (const auto item = container.pop()) {
        const std::uint32_t at = item->producer * kItems + item->number;
        if (written[at] != item->producer + 7 * item->number + 1) ++wrong;
        ++times[at];
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  container.close();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(wrong, 0);
  for (const auto& count : times) ASSERT_EQ(count, 1);
  EXPECT_TRUE(container.drained());
}

TEST(LockedThreads, APriorityQueueGivesEachItemOnce) {
  for (const std::size_t capacity : {1u, 4u, 100u})
    each_item_comes_once_after_what_was_written(PriorityQueue<Item>::create({.capacity = capacity}).value());
}

TEST(LockedThreads, SoDoesAStack) {
  for (const std::size_t capacity : {1u, 100u})
    each_item_comes_once_after_what_was_written(Stack<Item>::create({.capacity = capacity}).value());
}

// One consumer, so that it knows what is certainly there: what a producer said it had pushed before the pop began, and
// was not popped yet. Nothing of that may be larger than what comes, nor as large and of the same producer and older.
TEST(LockedThreads, WhatComesIsTheLargestOfWhatIsThere) {
  auto queue = PriorityQueue<Item>::create({.capacity = 64}).value();
  struct alignas(64) Pushed {
    std::atomic<std::uint32_t> count{0};
  };
  std::vector<Pushed> pushed(kProducers);
  std::vector<std::thread> producers;
  for (std::uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (std::uint32_t i = 0; i < kItems; ++i) {
        (void)push(queue, {.producer = p, .number = i});
        pushed[p].count.store(i + 1, std::memory_order_release);
      }
    });
  }
  // By producer and priority, how many have come: those of one priority come in their order.
  std::vector<std::array<std::uint32_t, 3>> come(kProducers);
  std::uint64_t wrong = 0;
  for (std::uint32_t n = 0; n < kProducers * kItems; ++n) {
    std::array<std::uint32_t, kProducers> there{};
    for (std::uint32_t p = 0; p < kProducers; ++p) there[p] = pushed[p].count.load(std::memory_order_acquire);
    const std::optional<Item> item = queue.pop();
    ASSERT_TRUE(item);
    const auto priority = static_cast<std::uint32_t>(priority_of(*item));
    wrong += item->number != 3 * come[item->producer][priority] + priority ? 1u : 0u;
    for (std::uint32_t p = 0; p < kProducers; ++p) {
      for (std::uint32_t larger = priority + 1; larger < 3; ++larger)
        wrong += 3 * come[p][larger] + larger < there[p] ? 1u : 0u;
    }
    ++come[item->producer][priority];
  }
  EXPECT_EQ(wrong, 0u);
  for (std::thread& producer : producers) producer.join();
}

TEST(LockedThreads, ItemsInBlocks) {
  auto queue = PriorityQueue<std::string>::create({.capacity = 8}).value();
  std::atomic<std::size_t> bytes{0};
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < 2; ++p) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < 500; ++i) (void)queue.push(std::string(i, 'x'), static_cast<std::int64_t>(i % 5));
      });
    }
    for (int c = 0; c < 2; ++c) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) bytes += queue.pop()->size();
      });
    }
  }
  EXPECT_EQ(bytes, std::size_t{500} * 499);
}

TEST(LockedThreads, DrainedIsTheEnd) {
  for (int round = 0; round < 50; ++round) {
    auto stack = Stack<int>::create({.capacity = 4}).value();
    std::atomic<int> pushed{0};
    std::jthread producer([&] {
      while (stack.push(1)) ++pushed;
    });
    std::jthread closer([&] { stack.close(); });
    int popped = 0;
    while (!stack.drained()) popped += stack.try_pop() ? 1 : 0;
    producer.join();
    ASSERT_EQ(pushed, popped);
  }
}

}  // namespace
}  // namespace warren
