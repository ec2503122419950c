// Leases with threads only, so that ThreadSanitizer sees every access to a cell: taken, acknowledged, given back and
// taken again, beside pops, while others look for what the dead left.
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/queue_blocks.h"
#include "support/reach.h"

namespace warren {
namespace {

constexpr std::size_t kItems = 20'000;
constexpr std::size_t kThreads = 2;

// Tells what it must be.
struct Plain {
  std::array<std::uint64_t, 4> words;
};
Plain make(std::size_t item, const Plain*) { return {{item, item * 3, item * 5, item * 7}}; }
std::size_t item_of(const Plain& plain) {
  EXPECT_EQ(plain.words, make(plain.words[0], &plain).words);
  return plain.words[0];
}
std::string make(std::size_t item, const std::string*) {
  return std::to_string(item) + ":" + std::string(item % 5 * 60, static_cast<char>('a' + item % 23));
}
std::size_t item_of(const std::string& text) {
  const std::size_t item = std::stoul(text.substr(0, text.find(':')));
  EXPECT_EQ(text, make(item, &text));
  return item;
}

template <class T>
class LeaseThreads : public testing::Test {};
using Payloads = testing::Types<Plain, std::string>;
TYPED_TEST_SUITE(LeaseThreads, Payloads);

template <class T>
void run(Queue<T> queue) {
  std::vector<std::atomic<int>> done(kItems);
  std::vector<std::jthread> threads;
  std::atomic<std::size_t> left{kThreads};
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t item = i; item < kItems; item += kThreads) {
        EXPECT_TRUE(queue.push(make(item, static_cast<const T*>(nullptr))));
      }
      if (--left == 0) queue.close();
    });
    threads.emplace_back([&] {
      while (auto lease = queue.lease()) {
        const std::size_t item = item_of(*lease);
        if (lease.attempt() <= item % 3) continue;  // goes back
        lease.ack();
        ++done[item];
      }
    });
    threads.emplace_back([&, i] {
      std::array<T, 3> out;
      while (const std::size_t count = i == 0 ? queue.pop_n(out) : queue.pop_n(std::span(out).first(1))) {
        for (std::size_t n = 0; n < count; ++n) ++done[item_of(out[n])];
      }
    });
  }
  threads.emplace_back([&] {
    while (!queue.drained()) {
      (void)test::Reach::attachment(queue).sweep();
      if constexpr (!detail::kInSlot<T>) (void)test::QueueBlocks(queue).owned_after_recovery();
      { auto two = std::array{queue.try_lease(), queue.try_lease()}; }
      std::this_thread::yield();
    }
  });
  threads.clear();
  EXPECT_TRUE(queue.drained());
  for (std::size_t item = 0; item < kItems; ++item) EXPECT_EQ(done[item], 1) << item;
  if constexpr (!detail::kInSlot<T>) {
    EXPECT_EQ(test::QueueBlocks(queue).owned_after_recovery(), 0u);
  }
}

TYPED_TEST(LeaseThreads, EveryItemIsDoneWithOnce) { run(Queue<TypeParam>::create({.capacity = 8}).value()); }

TEST(LeaseThreadsUnbounded, EveryItemIsDoneWithOnce) { run(Queue<Plain>::create().value()); }

}  // namespace
}  // namespace warren
