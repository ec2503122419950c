// A worker's death takes only the item of a chunk that it ran: what was finished stands and is not run again, what
// comes after it runs elsewhere, and retries are an item's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <set>

#include "support/pool_world.h"

namespace warren::test {

// Its codec throws in the midst of the value 5.
struct Picky {
  int value = 0;
};

}  // namespace warren::test

template <>
struct warren::Codec<warren::test::Picky> {
  static void encode(Writer& w, const test::Picky& picky) {
    w.put(picky.value);
    if (picky.value == 5) throw std::runtime_error("not a five");
  }
  static absl::StatusOr<test::Picky> decode(Reader& r) {
    const absl::StatusOr<int> value = r.get<int>();
    if (!value.ok()) return value.status();
    return test::Picky{*value};
  }
};

namespace warren::test {
namespace {

using ::testing::ElementsAre;

constexpr int kItems = 60;

// What became of each item, in the order in which they were told.
struct Told {
  std::vector<int> values;        // of those that succeeded
  std::vector<TaskError> errors;  // of those that did not
};

template <class F>
Told run(Pool& pool, const MapOptions& options, bool ordered, F f, int items = kItems) {
  Told told;
  auto stream = ordered ? pool.imap(options, f, std::views::iota(0, items))
                        : pool.imap_unordered(options, f, std::views::iota(0, items));
  for (absl::StatusOr<int> each : stream) {
    if (each.ok()) {
      told.values.push_back(*each);
    } else {
      EXPECT_TRUE(task_error(each.status()).has_value()) << each.status();
      told.errors.push_back(task_error(each.status()).value_or(TaskError{}));
    }
  }
  EXPECT_EQ(told.values.size() + told.errors.size(), static_cast<std::size_t>(items));
  return told;
}

std::uint32_t began(int item) { return ++marks->ran[static_cast<std::size_t>(item)]; }
std::uint32_t runs_of(int item) { return marks->ran[static_cast<std::size_t>(item)]; }

class ChunkDeath : public WithMarks, public testing::WithParamInterface<std::tuple<std::size_t, bool>> {
 protected:
  MapOptions options(const TaskOptions& task = {}) const {
    return {.chunksize = std::get<0>(GetParam()), .task = task};
  }
  bool ordered() const { return std::get<1>(GetParam()); }
  Pool pool = make_pool(2);
};
INSTANTIATE_TEST_SUITE_P(, ChunkDeath, testing::Combine(testing::Values(1, 2, 7, 20, 60), testing::Bool()),
                         [](const auto& each) {
                           return "of_" + std::to_string(std::get<0>(each.param)) +
                                  (std::get<1>(each.param) ? "" : "_unordered");
                         });

TEST_P(ChunkDeath, FailsOnlyTheItemThatRanAndRunsEveryItemOnce) {
  const auto some_die = [](int i) {
    began(i);
    if (i == 0 || i == 13 || i == 14 || i == 37 || i == kItems - 1) {
      marks->pids[static_cast<std::size_t>(i)] = ::getpid();
      die(i == 13 ? Death::kExitZero : Death::kKilled);
    }
    return i;
  };
  const Told told = run(pool, options(), ordered(), some_die);
  EXPECT_EQ(std::set(told.values.begin(), told.values.end()).size(), static_cast<std::size_t>(kItems - 5));
  EXPECT_EQ(told.errors.size(), 5u);
  std::set<pid_t> died;
  for (const TaskError& error : told.errors) {
    EXPECT_EQ(error.kind, TaskError::Kind::kDied);
    EXPECT_EQ(error.attempt, 1u);
    died.insert(error.worker);
  }
  for (const int i : {0, 13, 14, 37, kItems - 1})
    EXPECT_TRUE(died.contains(marks->pids[static_cast<std::size_t>(i)])) << i;
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), 1u) << i;
  if (ordered()) {
    EXPECT_TRUE(std::ranges::is_sorted(told.values));
  }
}

TEST_P(ChunkDeath, RetriesAreAnItems) {
  const auto every_tenth_dies_twice = [](int i) {
    const std::uint32_t attempt = current_task().attempt();
    if (began(i) != attempt) ++marks->count;
    if (i % 10 == 4 && attempt < 3) die(Death::kKilled);
    return i;
  };
  const Told told = run(pool, options({.retries = 2}), ordered(), every_tenth_dies_twice);
  EXPECT_EQ(told.values.size(), static_cast<std::size_t>(kItems));
  EXPECT_EQ(marks->count, 0u) << "an attempt number that is not the item's";
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), i % 10 == 4 ? 3u : 1u) << i;
}

TEST_P(ChunkDeath, RetriesEnd) {
  const auto one_dies_always = [](int i) {
    began(i);
    if (i == 31) die(Death::kKilled);
    return i;
  };
  const Told told = run(pool, options({.retries = 3}), ordered(), one_dies_always);
  ASSERT_EQ(told.errors.size(), 1u);
  EXPECT_EQ(told.errors[0].attempt, 4u);
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), i == 31 ? 4u : 1u) << i;
}

TEST_P(ChunkDeath, RetriesOnAnyFailureCountThrowsToo) {
  const auto throws_twice = [](int i) {
    began(i);
    if (i % 7 == 3 && current_task().attempt() < 3) throw std::runtime_error("again");
    return i;
  };
  const Told told = run(pool, options({.retries = 2, .retry_on = RetryOn::kAnyFailure}), ordered(), throws_twice);
  EXPECT_EQ(told.values.size(), static_cast<std::size_t>(kItems));
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), i % 7 == 3 ? 3u : 1u) << i;
}

TEST_P(ChunkDeath, AttemptsByThrowAndByDeathAreCountedTogether) {
  const auto throws_then_dies = [](int i) {
    began(i);
    if (i == 9) current_task().attempt() % 2 == 1 ? throw std::runtime_error("odd") : die(Death::kKilled);
    return i;
  };
  const Told told = run(pool, options({.retries = 3, .retry_on = RetryOn::kAnyFailure}), ordered(), throws_then_dies);
  ASSERT_EQ(told.errors.size(), 1u);
  EXPECT_EQ(runs_of(9), 4u);
  EXPECT_EQ(told.errors[0].attempt, 4u);
}

class ChunkDeaths : public WithMarks {
 protected:
  Pool pool = make_pool(2);
};

TEST_F(ChunkDeaths, EveryItemOfAChunk) {
  const Told told = run(
      pool, {.chunksize = 10}, true, [](int i) { return began(i), die(Death::kKilled), i; }, 30);
  EXPECT_EQ(told.errors.size(), 30u);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(runs_of(i), 1u) << i;
}

TEST_F(ChunkDeaths, MapTellsTheFirstAfterAllHaveRun) {
  const auto result = pool.map(
      {.chunksize = 10},
      [](int i) {
        began(i);
        if (i == 25) die(Death::kKilled);
        if (i == 27) throw std::runtime_error("after it");
        return i;
      },
      std::views::iota(0, kItems));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(task_error(result.status()).value().kind, TaskError::Kind::kDied);
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), 1u) << i;
}

TEST_F(ChunkDeaths, MapGivesAllWhenRetriesHelped) {
  const auto dies_once = [](const std::string& text, int i) {
    if (began(i) == 1 && i % 5 == 0) die(Death::kKilled);
    return text + std::to_string(i);
  };
  const auto results = pool.map({.chunksize = 8, .task = {.retries = 1}}, dies_once,
                                std::vector<std::string>(kItems, std::string(2000, 'x')), std::views::iota(0, kItems));
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < kItems; ++i)
    EXPECT_EQ(results->at(static_cast<std::size_t>(i)), std::string(2000, 'x') + std::to_string(i));
}

TEST_F(ChunkDeaths, VoidAndStarmap) {
  const auto dies_once = [](int i, int) {
    if (began(i) == 1 && i == 5) die(Death::kKilled);
  };
  const std::vector<std::pair<int, int>> pairs{{4, 0}, {5, 0}, {6, 0}};
  EXPECT_TRUE(pool.starmap({.chunksize = 3, .task = {.retries = 1}}, dies_once, pairs).ok());
  EXPECT_THAT((std::vector{runs_of(4), runs_of(5), runs_of(6)}), ElementsAre(1u, 2u, 1u));
}

// What grew into a block before the death is there after it.
TEST_F(ChunkDeaths, FinishedResultsOfAnySizeStand) {
  const auto large_or_dies = [](int i) {
    if (i == 17) die(Death::kKilled);
    return std::string(static_cast<std::size_t>(i) * 1000, static_cast<char>('a' + i));
  };
  int failed = 0, i = 0;
  for (const absl::StatusOr<std::string>& each : pool.imap({.chunksize = 20}, large_or_dies, std::views::iota(0, 20))) {
    if (each.ok()) {
      EXPECT_EQ(*each, std::string(static_cast<std::size_t>(i) * 1000, static_cast<char>('a' + i)));
    } else {
      ++failed;
      EXPECT_EQ(i, 17);
    }
    ++i;
  }
  EXPECT_EQ(failed, 1);
}

// Its error holds for the items without a result.
TEST_F(ChunkDeaths, AChunkThatFailsKeepsWhatItHadFinished) {
  int i = 0;
  for (const absl::StatusOr<Picky>& each : pool.imap(
           {.chunksize = 8}, [](int x) { return began(x), Picky{x}; }, std::views::iota(0, 8))) {
    EXPECT_EQ(each.ok(), i < 5) << i << ": " << each.status();
    if (each.ok()) {
      EXPECT_EQ(each->value, i);
    } else {
      EXPECT_EQ(task_error(each.status()).value_or(TaskError{}).what, "not a five");
    }
    EXPECT_EQ(runs_of(i), i <= 5 ? 1u : 0u);
    ++i;
  }
  EXPECT_EQ(i, 8);
}

TEST_F(ChunkDeaths, KilledFromOutside) {
  std::thread killer([] {
    for (int k = 0; k < 5; ++k) {
      const auto next = static_cast<std::uint32_t>(k + 1);
      if (!marks->await_count(next)) return;
      ::kill(marks->pids[static_cast<std::size_t>(k)], SIGKILL);
    }
  });
  const auto waits_to_be_killed = [](int i) {
    began(i);
    if (i % 12 == 7) {
      const std::uint32_t place = marks->gates[1]++;
      marks->pids[place] = ::getpid();
      ++marks->count;
      for (;;) ::pause();
    }
    return i;
  };
  Pool one = make_pool(1);
  const Told told = run(one, {.chunksize = 30}, true, waits_to_be_killed);
  killer.join();
  EXPECT_EQ(told.errors.size(), 5u);
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(runs_of(i), 1u) << i;
}

// More lost chunks than places: what a lost one needs to go on does not stay in its place.
TEST_F(ChunkDeaths, MoreLostChunksThanMayBePending) {
  Pool small = make_pool(2, 3);
  const auto all_die = [](int i) { return began(i), die(Death::kKilled), i; };
  const auto result = std::make_shared<std::atomic<bool>>(false);
  std::thread watchdog([&, result] {
    if (!eventually([&] { return result->load(); }, kPromptly)) small.terminate();
  });
  const auto mapped = small.map({.chunksize = 2}, all_die, std::views::iota(0, 40));
  *result = true;
  watchdog.join();
  EXPECT_EQ(mapped.status().code(), absl::StatusCode::kAborted) << mapped.status();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(runs_of(i), 1u) << i;
}

TEST_F(ChunkDeaths, OfManyMapsAtOnceInASmallTable) {
  Pool small = make_pool(2, 4);
  std::vector<std::thread> threads;
  std::atomic<int> whole = 0, ended = 0;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      const auto dies_once = [](int i) {
        if (began(i) == 1 && i % 4 == 1) die(Death::kKilled);
        return i;
      };
      const auto results =
          small.map({.chunksize = 4, .task = {.retries = 1}}, dies_once, std::views::iota(20 * t, 20 * t + 20));
      whole += results.ok() && results->size() == 20;
      ++ended;
    });
  }
  const bool all_ended = eventually([&] { return ended == 6; }, 2 * kPromptly);
  if (!all_ended) small.terminate();
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(all_ended) << "it hangs";
  EXPECT_EQ(whole, 6);
}

}  // namespace
}  // namespace warren::test
