// Broadcast with threads only, so that ThreadSanitizer sees every access. Plain memory beside it shows what its orders
// promise: who sees an item sees what was written before its push, and who finds room comes after whoever made it.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/broadcast.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

constexpr std::uint64_t kRounds = 10'000;

struct Wide {
  std::array<std::uint64_t, 5> words;

  [[nodiscard]] static Wide of(std::uint64_t number) { return {{number, ~number, number * 3, number * 5, number * 7}}; }
  [[nodiscard]] bool whole() const { return words == of(words[0]).words; }
};

TEST(BroadcastThreads, AnItemComesAfterWhatWasWrittenBeforeItsPush) {
  auto broadcast = Broadcast<std::uint64_t>::create({.capacity = 16}).value();
  std::vector<std::uint64_t> written(kRounds + 1, 0);
  std::vector<std::thread> readers;
  std::atomic<std::uint64_t> wrong{0};
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, subscriber = broadcast.subscribe().value()]() mutable {
      while (const auto number = subscriber.pop()) wrong += written[*number] != *number ? 1u : 0u;
    });
  }
  for (std::uint64_t n = 1; n <= kRounds; ++n) {
    written[n] = n;
    ASSERT_TRUE(broadcast.push(n));
    if (n % 64 == 0) ::sched_yield();
  }
  broadcast.close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

// Each place of `desk` is the reader's while it has not popped the item that names it.
TEST(BroadcastThreads, RoomComesAfterWhoMadeIt) {
  constexpr std::uint64_t kCapacity = 4;
  auto broadcast =
      Broadcast<std::uint64_t>::create({.capacity = kCapacity, .slow_reader = SlowReader::kBlocksWriter}).value();
  std::array<std::uint64_t, kCapacity + 1> desk{};
  std::uint64_t wrong = 0;
  std::thread reader([&, subscriber = broadcast.subscribe().value()]() mutable {
    for (std::uint64_t n = 0; n < kRounds;) {
      wrong += n > 0 && desk[(n - 1) % desk.size()] != n - 1 ? 1u : 0u;  // of the item popped last
      if (subscriber.try_pop()) {
        ++n;
      } else {
        ::sched_yield();
      }
    }
  });
  for (std::uint64_t n = 0; n < kRounds; ++n) {
    // The place of n is that of n - 5: the reader has looked at it when it has popped n - 4, which makes room for n.
    while (absl::IsResourceExhausted(broadcast.check(n))) ::sched_yield();
    desk[n % desk.size()] = n;
    ASSERT_TRUE(broadcast.try_push(n));
  }
  reader.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(BroadcastThreads, ReadersThatAreOvertakenReadNothingTorn) {
  auto broadcast = Broadcast<Wide>::create({.capacity = 2}).value();
  constexpr std::uint64_t kWriters = 3;
  std::atomic<std::uint64_t> torn{0}, missed{0};
  std::vector<std::thread> readers, writers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, subscriber = broadcast.subscribe().value()]() mutable {
      std::uint64_t seen = 0;
      while (const auto wide = subscriber.pop()) torn += wide->whole() ? 0u : 1u, ++seen;
      missed += kWriters * kRounds - seen - subscriber.lost();
    });
  }
  for (std::uint64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (std::uint64_t n = 0; n < kRounds; ++n) ASSERT_TRUE(broadcast.push(Wide::of(w << 32 | n)));
    });
  }
  for (std::thread& writer : writers) writer.join();
  broadcast.close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(broadcast.stats().pushed, kWriters * kRounds);
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(missed, 0u);
}

TEST(BroadcastThreads, SoDoesWhoReadsBlocksThatAreUsedAgain) {
  auto broadcast = Broadcast<std::vector<std::uint64_t>>::create({.capacity = 1}).value();
  std::atomic<std::uint64_t> torn{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, subscriber = broadcast.subscribe().value()]() mutable {
      while (const auto item = subscriber.pop()) {
        for (const std::uint64_t word : *item) torn += word != item->size() ? 1u : 0u;
      }
    });
  }
  for (std::uint64_t n = 0; n < kRounds; ++n) {
    const std::size_t size = 20 + n % 40;
    ASSERT_TRUE(broadcast.push(std::vector<std::uint64_t>(size, size)));
  }
  broadcast.close();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(broadcast.stats().undecodable, 0u);
}

TEST(BroadcastThreads, SubscribersComeAndGoWhileWritersWaitForThem) {
  auto broadcast = Broadcast<std::uint64_t>::create({.capacity = 4, .slow_reader = SlowReader::kBlocksWriter}).value();
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        auto subscriber = broadcast.subscribe().value();
        std::optional<std::uint64_t> last = subscriber.pop();
        for (int i = 0; i < 10; ++i) {
          const std::optional<std::uint64_t> next = subscriber.pop();
          wrong += *next != *last + 1 ? 1u : 0u;
          last = next;
        }
        wrong += subscriber.lost();
      }
    });
  }
  std::thread writer([&] {
    for (std::uint64_t n = 0; !done; ++n) ASSERT_TRUE(broadcast.push(n));
  });
  for (std::thread& reader : readers) reader.join();
  done = true;
  writer.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace warren
