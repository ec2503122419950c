// Values and arrays with threads only, so that ThreadSanitizer sees every access. Plain memory beside them shows what
// their orders promise: whoever sees a value sees what was written before it was stored.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/array.h>
#include <warren/ipc/value.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

struct Wide {
  std::array<std::uint64_t, 5> words;

  [[nodiscard]] static Wide of(std::uint64_t number) { return {{number, ~number, number * 3, number * 5, number * 7}}; }
  [[nodiscard]] bool whole() const { return words == of(words[0]).words; }
};

constexpr std::uint64_t kRounds = 20'000;

// A number is stored after plain memory was written for it, and read before that memory is.
template <class T, class Number, class Make>
void expect_comes_after_what_was_written(Number number_of, Make make) {
  auto value = Value<T>::create(make(0)).value();
  std::vector<std::uint64_t> written(kRounds + 1, 0);
  std::thread writer([&] {
    for (std::uint64_t n = 1; n <= kRounds; ++n) {
      written[n] = n;
      value.store(make(n));
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t last = 0; last < kRounds;) {
    const std::uint64_t number = number_of(value.load());
    if (number < last) ++wrong;  // older than what was seen before
    for (std::uint64_t n = last + 1; n <= number; ++n) wrong += written[n] != n ? 1u : 0u;
    if (number == last) ::sched_yield();
    last = number;
  }
  writer.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(ValueThreads, ASmallValueComesAfterWhatWasWrittenBeforeIt) {
  expect_comes_after_what_was_written<std::uint64_t>(std::identity(), std::identity());
}

TEST(ValueThreads, SoDoesALargeOne) {
  expect_comes_after_what_was_written<Wide>([](const Wide& wide) { return wide.words[0]; }, &Wide::of);
}

TEST(ValueThreads, ALargeValueIsNeverTornAndNoUpdateIsLost) {
  auto value = Value<Wide>::create(Wide::of(0)).value();
  constexpr std::uint64_t kWriters = 3, kEach = 4'000;
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> torn{0}, plain_torn{0};
  std::uint64_t plain = 0;  // guarded by the updates
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!done) torn += value.load().whole() ? 0u : 1u;
    });
  }
  std::vector<std::thread> writers;
  for (std::uint64_t i = 0; i < kWriters; ++i) {
    writers.emplace_back([&] {
      for (std::uint64_t n = 0; n < kEach; ++n) {
        value.update([&](Wide& wide) {
          if (++plain != wide.words[0] + 1) ++plain_torn;
          wide = Wide::of(wide.words[0] + 1);
        });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(plain_torn, 0u);
  EXPECT_EQ(value.load().words[0], kWriters * kEach);
}

// Neither of two threads that each store one value, and then load the other's, may miss the other one's store.
template <class T, class Number, class Make>
void expect_each_sees_the_other(Number number_of, Make make) {
  auto here = Value<T>::create(make(0)).value(), there = Value<T>::create(make(0)).value();
  std::vector<std::uint64_t> seen_here(kRounds + 1), seen_there(kRounds + 1);
  std::atomic<std::uint64_t> round_here{0}, round_there{0};
  const auto play = [&](auto& mine, auto& other, auto& seen, auto& my_round, auto& others_round) {
    for (std::uint64_t n = 1; n <= kRounds; ++n) {
      my_round = n;
      for (int spins = 0; others_round < n;) {
        if (++spins % 256 == 0) ::sched_yield();
      }
      mine.store(make(n));
      seen[n] = number_of(other.load());
    }
  };
  std::thread peer([&] { play(there, here, seen_there, round_there, round_here); });
  play(here, there, seen_here, round_here, round_there);
  peer.join();
  std::uint64_t missed = 0;
  for (std::uint64_t n = 1; n <= kRounds; ++n) missed += seen_here[n] < n && seen_there[n] < n ? 1u : 0u;
  EXPECT_EQ(missed, 0u);
}

TEST(ValueThreads, TwoWhoStoreAndThenLookSeeEachOther) {
  expect_each_sees_the_other<std::uint64_t>(std::identity(), std::identity());
}

TEST(ValueThreads, SoTheyDoWithLargeValues) {
  expect_each_sees_the_other<Wide>([](const Wide& wide) { return wide.words[0]; }, &Wide::of);
}

TEST(ArrayThreads, PlainElementsUnderTheMutexAndAtomicOnesBesideThem) {
  constexpr std::size_t kThreads = 4, kEach = 5'000;
  auto array = Array<std::uint64_t>::create(kThreads + 2).value();
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = 0; n < kEach; ++n) {
        ++array[t];  // nobody else's
        array.fetch_add(kThreads, 1);
        const std::scoped_lock guard(array.mutex());
        ++array[kThreads + 1];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < kThreads; ++t) EXPECT_EQ(array[t], kEach);
  EXPECT_EQ(array[kThreads], kThreads * kEach);
  EXPECT_EQ(array[kThreads + 1], kThreads * kEach);
}

}  // namespace
}  // namespace warren
