// Many: what pending futures, long maps and endless streams take of memory, and what they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/layout/pool.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>

#include "support/each_pool.h"
#include "support/kill_sweep.h"
#include "support/pool_view.h"

namespace warren::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsMeasured = false;  // sanitizers keep what was freed, and shadow the rest
#else
constexpr bool kMemoryIsMeasured = true;
#endif

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

// Of this process: RssAnon is its own, RssShmem what it shares with the pool, VmHWM the most of both since
// forget_peak().
std::size_t memory(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kibibytes = 0;
    if (word == what + ":" && status >> kibibytes) return kibibytes * 1024;
  }
  throw std::runtime_error("no " + what + " in /proc/self/status");
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

struct Memory {
  std::size_t own = memory("RssAnon"), shared = memory("RssShmem");
};

void expect_at_most(const char* what, std::size_t before, std::size_t now, std::size_t bytes, std::size_t each = 1) {
  const std::size_t more = now > before ? now - before : 0;
  std::cout << what << ": " << more / each << " bytes\n";
  if (kMemoryIsMeasured) {
    EXPECT_LE(more, bytes * each) << what;
  }
}

template <class P>
void expect_empty(const P&) {
  if constexpr (std::same_as<P, Pool>) {
    const PoolView view = PoolView::of_this_process();
    EXPECT_TRUE(eventually([&] { return view.slots_in_use() == 0 && view.owned_blocks() == 0; }, kPromptly))
        << view.slots_in_use() << " slots, " << view.owned_blocks() << " blocks";
  }
}

const std::size_t kPending = whole_product() ? 1'000'000 : 100'000;
const std::size_t kItems = whole_product() ? 10'000'000 : 1'000'000;

TEST_OF_EACH_POOL(PendingFuturesTakeBoundedMemoryAndAreAllGot) {
  auto pool = this->make(2, kPending + 2);
  const Future<void> held[] = {block(pool), pool.submit([] { marks->pass(0); })};
  std::vector<Future<std::size_t>> futures;
  futures.reserve(kPending);
  const Memory before;
  for (std::size_t i = 0; i < kPending; ++i) futures.push_back(pool.submit([](std::size_t x) { return x; }, i));
  const Memory now;
  // Its slot, its hint, and a little of what stands beside.
  expect_at_most("shared, for each pending task", before.shared, now.shared, sizeof(layout::TaskSlot) + 32, kPending);
  expect_at_most("of the application's own, for each future", before.own, now.own, 1024, kPending);
  marks->open(0);
  std::vector<bool> seen(kPending);
  for (auto& each : as_completed(futures)) seen[std::move(each).get().value()] = true;
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(seen, true)), kPending);
  for (const auto& each : held) each.wait();
}

// One worker, so that as many are pending in each round.
TEST_OF_EACH_POOL(AbandonedFuturesLeaveNothing) {
  auto pool = this->make(1, kPending + 1);
  const Memory before;
  std::optional<Memory> first;
  for (std::uint32_t round = 1; round <= 3; ++round) {
    new (marks) Marks();
    Future<void> held = block(pool);
    for (std::size_t i = 0; i + 1 < kPending / 2; ++i) pool.submit([] { ++marks->count; });
    marks->open(0);
    ASSERT_TRUE(eventually([] { return marks->count == kPending / 2; }, kPromptly));
    EXPECT_TRUE(std::move(held).get().ok());
    EXPECT_TRUE(pool.submit([] {}).get().ok());
    if (!first) first = Memory();
  }
  const Memory now;
  // What was given back is used again after the rest of the table.
  expect_at_most("shared, in three rounds", before.shared, now.shared, sizeof(layout::TaskSlot) + 32, kPending);
  expect_at_most("of the application's own, in two more rounds", first->own, now.own, 8 * kMebibyte);
  expect_empty(pool);
}

TEST_OF_EACH_POOL(AMapOfAMillionItemsTakesBoundedMemory) {
  auto pool = this->make(2);
  EXPECT_EQ(pool.apply([] { return 1; }).value(), 1);
  const std::size_t before = memory("VmRSS");
  forget_peak();
  const auto results = pool.map([](std::size_t x) { return x + 1; }, std::views::iota(std::size_t{0}, kItems));
  expect_at_most("for each item, with its result", before, memory("VmHWM"), 96, kItems);
  ASSERT_EQ(results.value().size(), kItems);
  EXPECT_TRUE(std::ranges::equal(*results, std::views::iota(std::size_t{1}, kItems + 1)));
  expect_empty(pool);
}

TEST_OF_EACH_POOL(AnEndlessStreamTakesBoundedMemory) {
  auto pool = this->make(2);
  std::size_t read = 0, taken = 0, ahead = 0;
  std::optional<Memory> first;
  constexpr std::size_t kChunk = 50;
  {
    auto endless = std::views::iota(std::size_t{0}) | std::views::transform([&](std::size_t x) { return ++read, x; });
    auto stream = pool.imap(
        {.chunksize = kChunk}, [](std::size_t x) { return x; }, endless);
    for (const auto& each : stream) {
      ASSERT_EQ(each.value(), taken);
      ++taken;
      ahead = std::max(ahead, read - taken);
      if (taken == kItems / 50) first = Memory();
      if (taken == kItems / 5) break;
    }
  }
  EXPECT_LE(ahead, (4 * pool.workers() + 1) * kChunk);
  const Memory now;
  expect_at_most("shared, while most of it was taken", first->shared, now.shared, kMebibyte);
  expect_at_most("of the application's own, while most of it was taken", first->own, now.own, kMebibyte);
  EXPECT_TRUE(pool.apply([] {}).ok());
  expect_empty(pool);
}

}  // namespace
}  // namespace warren::test
