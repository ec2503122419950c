// What map and imap promise of processes beyond what they promise of all pools (pool_verbs_map_test.cc).
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class PoolMap : public WithMarks {
 protected:
  Pool pool = make_pool(2);
};

TEST_F(PoolMap, TheItemsOfAChunkRunInOneWorker) {
  const auto pids = pool.map(
                            {.chunksize = 10}, [](int) { return ::getpid(); }, std::views::iota(0, 100))
                        .value();
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(pids[i], pids[i / 10 * 10]);
}

// --- which item failed -----------------------------------------------------------------------------------------------

class FailedItem : public PoolMap, public testing::WithParamInterface<std::optional<std::size_t>> {
 protected:
  // What is told of the items of 0 to 59 that fail: 7 throws, 20 returns a bad status, 47 dies.
  static absl::StatusOr<int> fails(int i) {
    if (i == 7) throw std::runtime_error("seven");
    if (i == 20) return absl::NotFoundError("twenty");
    if (i == 47) std::abort();
    return i;
  }
  MapOptions options() const { return {.chunksize = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(, FailedItem, testing::Values(std::nullopt, 1, 7, 60));

void expect_item(const absl::Status& status, std::size_t item) {
  EXPECT_EQ(task_error(status).value().item, item) << status;
  EXPECT_TRUE(std::string(status.message()).starts_with("item " + std::to_string(item) + ": ")) << status;
}

TEST_P(FailedItem, IsNamedByMap) {
  const auto from = [this](int first) { return pool.map(options(), fails, std::views::iota(first, 60)).status(); };
  const absl::Status thrown = from(0), returned = from(8), died = from(21);
  expect_item(thrown, 7);
  EXPECT_EQ(task_error(thrown)->what, "seven");
  expect_item(returned, 12);
  EXPECT_EQ(returned.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(returned.message(), "item 12: twenty");
  EXPECT_EQ(task_error(returned)->what, "twenty");
  expect_item(died, 26);
  EXPECT_EQ(task_error(died)->signal, SIGABRT);
  EXPECT_EQ(died.code(), absl::StatusCode::kAborted);
  const auto none = [](int i) { return fails(i).status(); };
  expect_item(pool.map(options(), none, std::views::iota(8, 60)), 12);
}

TEST_P(FailedItem, IsNamedByStarmap) {
  std::vector<std::tuple<int>> tuples;
  for (int i = 21; i < 60; ++i) tuples.emplace_back(i);
  expect_item(pool.starmap(options(), fails, tuples).status(), 26);
}

TEST_P(FailedItem, IsNamedByStreams) {
  std::size_t at = 0;
  for (const absl::StatusOr<int>& each : pool.imap(options(), fails, std::views::iota(0, 60))) {
    if (!each.ok()) expect_item(each.status(), at);
    ++at;
  }
  std::set<std::size_t> items;
  for (const absl::StatusOr<int>& each : pool.imap_unordered(options(), fails, std::views::iota(0, 60))) {
    if (!each.ok()) items.insert(task_error(each.status()).value().item.value());
  }
  EXPECT_EQ(items, (std::set<std::size_t>{7, 20, 47}));
}

// --- streams ---------------------------------------------------------------------------------------------------------

TEST_F(PoolMap, ImapGivesCancelledForWhatATerminatedPoolDidNotFinish) {
  auto stream = pool.imap(
      {.chunksize = 2}, [](int i) { return i == 3 ? marks->pass(0), i : i; }, std::views::iota(0, 6));
  EXPECT_EQ(stream.next_for(kForever).value().value(), 0);
  EXPECT_EQ(stream.next_for(kForever).value().value(), 1);
  pool.terminate();
  int cancelled = 0;
  for (absl::StatusOr<int> each : stream) cancelled += absl::IsCancelled(each.status());
  EXPECT_GE(cancelled, 1);
}

TEST_F(PoolMap, ImapsWorkersMayDie) {
  const auto dies_at_5 = [](int i) { return i == 5 ? die(Death::kKilled), i : 2 * i; };
  for (const std::size_t chunksize : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    std::vector<int> values;
    int died = 0;
    for (absl::StatusOr<int> each : pool.imap({.chunksize = chunksize}, dies_at_5, std::views::iota(0, 20))) {
      each.ok() ? values.push_back(*each) : void(died += absl::IsAborted(each.status()));
    }
    EXPECT_EQ(died, 1);
    EXPECT_EQ(values.size(), 19u);
    EXPECT_TRUE(std::ranges::is_sorted(values));
  }
}

}  // namespace
}  // namespace warren::test
