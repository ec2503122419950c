// for_each over an Array<T> by processes: what deaths leave, and what workers hold. All else: pool_verbs_map_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/value.h>
#include <warren/pool/pool.h>

#include <filesystem>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>

#include "support/pool_world.h"

namespace warren::test {
namespace {

using ::testing::Each;

constexpr std::size_t kItems = 60;

Array<int> numbers(std::size_t size = kItems) {
  auto array = Array<int>::create(size).value();
  std::iota(array.begin(), array.end(), 0);
  return array;
}
std::uint32_t began(int item) { return ++marks->ran[static_cast<std::size_t>(item)]; }
std::uint32_t runs_of(int item) { return marks->ran[static_cast<std::size_t>(item)]; }
void negate(int& x) { x = -x; }

struct Particle {
  double place, speed;
  char name[11];
  void move(double seconds) { place += seconds * speed; }
};

class ForEach : public WithMarks {
 protected:
  Pool pool = make_pool(2);
};

class ForEachChunks : public ForEach, public testing::WithParamInterface<std::optional<std::size_t>> {
 protected:
  MapOptions options(const TaskOptions& task = {}) const { return {.chunksize = GetParam(), .task = task}; }
};
INSTANTIATE_TEST_SUITE_P(, ForEachChunks, testing::Values(std::nullopt, 1, 7, 60, SIZE_MAX));

// --- elements --------------------------------------------------------------------------------------------------------

TEST_F(ForEach, ANamedArrayAndOneOfAnyPlainType) {
  const std::string name = unique_name("particles");
  auto particles = Array<Particle>::create(name, 100, {.lifetime = Lifetime::kUntilUnlinked}).value();
  for (Particle& each : particles) each.speed = 2;
  EXPECT_TRUE(pool.for_each(particles, [](Particle& p) { p.move(1.5); }).ok());
  EXPECT_TRUE(
      pool.for_each(Array<Particle>::open(name).value(), bind_front([](double s, Particle& p) { p.move(s); }, 1)).ok());
  for (const Particle& each : particles) EXPECT_EQ(each.place, 5);
  EXPECT_TRUE(Array<Particle>::unlink(name).ok());
}

// Closures start afresh for every element, however these were cut into ranges.
TEST_P(ForEachChunks, ClosuresStartAfresh) {
  auto array = numbers();
  EXPECT_TRUE(pool.for_each(options(), array, [n = 0](int& x) mutable { x = ++n; }).ok());
  EXPECT_THAT(array.span(), Each(1));
}

TEST_F(ForEach, TheArraysMutexMayBeHeld) {
  auto array = numbers();
  const std::scoped_lock guard(array.mutex());
  EXPECT_TRUE(pool.for_each(array, negate).ok());
  EXPECT_EQ(array[59], -59);
}

TEST_F(ForEach, ElementsMayLockTheMutex) {
  auto array = numbers();
  auto sum = Array<long>::create(1).value();
  const auto add = bind_front(
      [](Array<long>& to, const int& x) {
        const std::scoped_lock guard(to.mutex());
        to[0] += x;
      },
      sum);
  EXPECT_TRUE(pool.for_each({.chunksize = 1}, array, add).ok());
  EXPECT_EQ(sum[0], 59 * 60 / 2);
}

// A worker lets go of the array when it has nothing to do: the memory is the application's to free.
TEST_F(ForEach, WorkersLetGoOfTheArray) {
  const std::vector<pid_t> workers = workers_of(pool);
  const auto descriptors = [&] {
    std::ptrdiff_t number = 0;
    for (const pid_t worker : workers) {
      const std::filesystem::directory_iterator folder("/proc/" + std::to_string(worker) + "/fd");
      number += std::distance(begin(folder), end(folder));
    }
    return number;
  };
  const std::ptrdiff_t before = descriptors();
  for (int round = 0; round < 3; ++round) {
    auto array = numbers();
    EXPECT_TRUE(pool.for_each({.chunksize = 2}, array, negate).ok());
  }
  EXPECT_TRUE(eventually([&] { return descriptors() <= before; }, kPromptly));
}

// --- failures --------------------------------------------------------------------------------------------------------

void expect_item(const absl::Status& status, std::size_t item) {
  EXPECT_EQ(task_error(status).value_or(TaskError{}).item, item) << status;
  EXPECT_TRUE(std::string(status.message()).starts_with("item " + std::to_string(item) + ": ")) << status;
}

TEST_P(ForEachChunks, ADeathNamesItsElementAndTheOthersRunOnce) {
  auto array = numbers();
  const absl::Status status = pool.for_each(options(), array, [](int& x) {
    const int item = x;
    began(item);
    x = -1;
    if (item == 0 || item == 13 || item == 14 || item == 59) die(item == 13 ? Death::kExitZero : Death::kKilled);
    x = item + 1000;
  });
  expect_item(status, 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(task_error(status).value_or(TaskError{}).signal, SIGKILL);
  for (int i = 0; i < static_cast<int>(kItems); ++i) {
    EXPECT_EQ(runs_of(i), 1u) << i << ": no retries were asked for";
    const bool died = i == 0 || i == 13 || i == 14 || i == 59;
    EXPECT_EQ(array[static_cast<std::size_t>(i)], died ? -1 : i + 1000);
  }
}

// The first in order, though the throw was before the death.
TEST_P(ForEachChunks, TheFirstFailureInOrderIsGiven) {
  auto array = numbers();
  expect_item(pool.for_each(options(), array,
                            [](int& x) {
                              if (x == 30) throw std::runtime_error("thirty");
                              if (x == 31 || x == 40) die(Death::kKilled);
                            }),
              30);
  expect_item(pool.for_each(options(), array,
                            [](int& x) {
                              if (x == 30) die(Death::kKilled);
                              if (x == 31) throw std::runtime_error("thirty-one");
                            }),
              30);
}

// --- retries: of an element, as the last attempt left it -------------------------------------------------------------

TEST_P(ForEachChunks, RetriesRunAnElementAgainAsItWasLeft) {
  auto array = numbers();
  const absl::Status status = pool.for_each(options({.retries = 2}), array, [](int& x) {
    const int item = x % 100;
    if (began(item) != current_task().attempt()) ++marks->count;
    x += 100;
    if (item % 10 == 4 && current_task().attempt() < 3) die(Death::kKilled);
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(marks->count, 0u) << "an attempt number that is not the element's";
  for (int i = 0; i < static_cast<int>(kItems); ++i) {
    EXPECT_EQ(runs_of(i), i % 10 == 4 ? 3u : 1u) << i;
    EXPECT_EQ(array[static_cast<std::size_t>(i)], i + (i % 10 == 4 ? 300 : 100)) << "twice is twice";
  }
}

TEST_P(ForEachChunks, RetriesEnd) {
  auto array = numbers();
  const absl::Status status = pool.for_each(options({.retries = 3}), array, [](int& x) {
    began(x);
    if (x == 31) die(Death::kKilled);
  });
  expect_item(status, 31);
  EXPECT_EQ(task_error(status).value_or(TaskError{}).attempt, 4u);
  for (int i = 0; i < static_cast<int>(kItems); ++i) EXPECT_EQ(runs_of(i), i == 31 ? 4u : 1u) << i;
}

TEST_P(ForEachChunks, AThrowIsTriedAgainWhereThatIsAskedFor) {
  auto array = numbers();
  const auto throws_twice = [](int& x) {
    began(x);
    if (x % 7 == 3 && current_task().attempt() < 3) throw std::runtime_error("again");
  };
  expect_item(pool.for_each(options({.retries = 2}), array, throws_twice), 3);
  for (int i = 0; i < static_cast<int>(kItems); ++i) EXPECT_EQ(marks->ran[static_cast<std::size_t>(i)].exchange(0), 1u);
  EXPECT_TRUE(pool.for_each(options({.retries = 2, .retry_on = RetryOn::kAnyFailure}), array, throws_twice).ok());
  for (int i = 0; i < static_cast<int>(kItems); ++i) EXPECT_EQ(runs_of(i), i % 7 == 3 ? 3u : 1u) << i;
}

TEST_P(ForEachChunks, AttemptsByThrowAndByDeathAreCountedTogether) {
  auto array = numbers();
  const auto throws_then_dies = [](int& x) {
    began(x);
    if (x == 9) current_task().attempt() % 2 == 1 ? throw std::runtime_error("odd") : die(Death::kKilled);
  };
  const absl::Status status =
      pool.for_each(options({.retries = 3, .retry_on = RetryOn::kAnyFailure}), array, throws_then_dies);
  expect_item(status, 9);
  EXPECT_EQ(runs_of(9), 4u);
  EXPECT_EQ(task_error(status).value_or(TaskError{}).attempt, 4u);
}

// The deadline is an element's: the others have their own.
TEST_P(ForEachChunks, AnElementThatIsLateIsKilledAndNamed) {
  auto array = numbers();
  const absl::Status status = pool.for_each(options({.deadline = 200ms}), array, [](int& x) {
    began(x);
    if (x == 20) {
      for (;;) ::pause();
    }
    if (x < 20) std::this_thread::sleep_for(15ms);
    x += 1000;
  });
  expect_item(status, 20);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  for (int i = 0; i < static_cast<int>(kItems); ++i) {
    EXPECT_EQ(runs_of(i), 1u);
    EXPECT_EQ(array[static_cast<std::size_t>(i)], i == 20 ? 20 : i + 1000);
  }
}

// --- the world around ------------------------------------------------------------------------------------------------

TEST_F(ForEach, AChildThatComesOutOfTheFunctionRunsNoMore) {
  auto array = numbers(8);
  EXPECT_TRUE(pool.for_each({.chunksize = 8}, array,
                            [](int& x) {
                              if (x == 3) (void)::fork();
                              x += 10;
                            })
                  .ok());
  array.store(0, 0);
  for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(array[i], static_cast<int>(i) + 10);
}

TEST_F(ForEach, TerminateEndsIt) {
  auto array = numbers(4);
  std::thread stopper([&] {
    EXPECT_TRUE(marks->await_count(1));
    pool.terminate();
  });
  const absl::Status status = pool.for_each(array, [](int&) {
    ++marks->count;
    for (;;) ::pause();
  });
  stopper.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

// Killed from outside at any instruction: no element runs twice, and at most one for each kill does not run.
TEST_F(ForEach, RandomKillsCostAtMostOneElementEach) {
  constexpr std::size_t kMany = 300'000;
  auto array = Array<std::uint32_t>::create(kMany).value();
  std::mt19937 random(4711);
  for (int round = 0; round < 12; ++round) {
    const std::vector<pid_t> workers = workers_of(pool);
    std::thread killer([&] {
      EXPECT_TRUE(marks->await_count(1));
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
      for (const pid_t worker : workers) ::kill(worker, SIGKILL);
    });
    const absl::Status status = pool.for_each(array, [](std::uint32_t& x) {
      if (x == 0 && marks->count == 0) ++marks->count;
      ++x;
    });
    killer.join();
    const auto once = std::ranges::count(array, 1u), never = std::ranges::count(array, 0u);
    EXPECT_EQ(once + never, static_cast<std::ptrdiff_t>(kMany)) << "an element ran twice";
    EXPECT_LE(never, 2);
    if (never != 0) {
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    }
    std::ranges::fill(array, 0u);
    marks->count = 0;
  }
}

}  // namespace
}  // namespace warren::test
