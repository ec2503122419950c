// Queues of parcels with threads only, so that ThreadSanitizer sees every access to a block: encoded, loaned, borrowed,
// handed from thread to thread, while others look for what the dead left.
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/queue_blocks.h"

namespace warren {
namespace {

constexpr std::size_t kItems = 6'000;
constexpr std::size_t kThreads = 2;

// Tells what its text must be.
std::string text_of(std::size_t item) {
  return std::to_string(item) + ":" + std::string(item % 7 * 300, static_cast<char>('a' + item % 23));
}
std::size_t item_of(std::string_view text) {
  const std::size_t item = std::stoul(std::string(text.substr(0, text.find(':'))));
  EXPECT_EQ(text, text_of(item));
  return item;
}

struct Way {
  const char* name;
  std::size_t capacity;
  void (*push)(Queue<std::string>&, const std::string&);
  bool (*pop)(Queue<std::string>&, const std::function<void(std::string_view)>&);
  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

void push_copied(Queue<std::string>& queue, const std::string& text) { EXPECT_TRUE(queue.push(text)); }
void push_loaned(Queue<std::string>& queue, const std::string& text) {
  auto loan = queue.loan(text.size());
  std::ranges::copy(text, (*loan).begin());
  EXPECT_TRUE(queue.push(std::move(loan)));
}
bool pop_copied(Queue<std::string>& queue, const std::function<void(std::string_view)>& look) {
  const auto text = queue.pop();
  if (text) look(*text);
  return text.has_value();
}
bool pop_borrowed(Queue<std::string>& queue, const std::function<void(std::string_view)>& look) {
  const auto text = queue.borrow();
  if (text) look({(*text).data(), (*text).size()});
  return static_cast<bool>(text);
}
bool pop_batch(Queue<std::string>& queue, const std::function<void(std::string_view)>& look) {
  std::array<std::string, 3> texts;
  const std::size_t count = queue.pop_n(texts);
  for (std::size_t i = 0; i < count; ++i) look(texts[i]);
  return count != 0;
}

class ParcelThreads : public testing::TestWithParam<Way> {};

TEST_P(ParcelThreads, EveryItemComesOnceAndWhole) {
  detail::elastic_tuning().chunk_bytes = 2048;  // a chunk has 16 slots
  auto queue = Queue<std::string>::create({.capacity = GetParam().capacity}).value();
  const test::QueueBlocks blocks(queue);
  std::vector<std::atomic<int>> seen(kItems);
  std::atomic<bool> over{false};
  std::vector<std::thread> producers, consumers;
  for (std::size_t t = 0; t < kThreads; ++t) {
    producers.emplace_back([&, t] {
      for (std::size_t i = t; i < kItems; i += kThreads) GetParam().push(queue, text_of(i));
    });
    consumers.emplace_back([&] {
      while (GetParam().pop(queue, [&](std::string_view text) { seen[item_of(text)].fetch_add(1); })) {
      }
    });
  }
  std::thread reclaimer([&] {
    while (!over.load()) (void)blocks.owned_after_recovery();
  });
  for (std::thread& producer : producers) producer.join();
  queue.close();
  for (std::thread& consumer : consumers) consumer.join();
  over = true;
  reclaimer.join();
  for (std::size_t i = 0; i < kItems; ++i) EXPECT_EQ(seen[i].load(), 1) << i;
  EXPECT_EQ(blocks.owned(), 0u);
  EXPECT_EQ(queue.stats().undecodable, 0u);
}

INSTANTIATE_TEST_SUITE_P(, ParcelThreads,
                         testing::Values(Way{"copied", 8, push_copied, pop_copied},
                                         Way{"lent", 8, push_loaned, pop_borrowed},
                                         Way{"batches", 8, push_copied, pop_batch},
                                         Way{"copied_unbounded", 0, push_copied, pop_copied},
                                         Way{"lent_unbounded", 0, push_loaned, pop_borrowed}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace warren
