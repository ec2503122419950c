// as_completed(), wait() and map_async() where workers die. All else: pool_verbs_future_test.cc,
// pool_verbs_map_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>

#include "support/pool_world.h"

namespace warren::test {
// A type of a user's whose codec throws here, not in a worker.
struct UnreadableFrom12 {
  int value = 0;
};
}  // namespace warren::test

template <>
struct warren::Codec<warren::test::UnreadableFrom12> {
  static void encode(Writer& w, const warren::test::UnreadableFrom12& x) { w.put(x.value); }
  static absl::StatusOr<warren::test::UnreadableFrom12> decode(Reader& r) {
    const int value = r.get<int>().value();
    if (value >= 12) throw std::runtime_error(std::to_string(value) + " cannot be read");
    return warren::test::UnreadableFrom12{value};
  }
};

namespace warren::test {
namespace {

using ::testing::ElementsAre;

class FutureMany : public WithMarks {
 protected:
  // Task i ends when gate i opens.
  std::vector<Future<int>> gated(int count) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < count; ++i)
      futures.push_back(pool.submit([](int x) { return marks->pass(static_cast<std::size_t>(x)), x; }, i));
    return futures;
  }
  Pool pool = make_pool(4);
};

// --- as_completed ----------------------------------------------------------------------------------------------------

// Those that end while the thread of callbacks is busy are told as a batch.
TEST_F(FutureMany, CallbacksOfABatchRunInTheOrderInWhichTheTasksEnded) {
  constexpr int kTasks = 24;
  const std::shared_ptr<std::atomic<bool>> go = std::make_shared<std::atomic<bool>>(false);
  Future<int> busy = pool.submit([] { return 0; });
  busy.on_done([go](const absl::StatusOr<int>&) { go->wait(false); });
  std::vector<Future<int>> futures;
  std::vector<int> order, expected(kTasks);
  std::iota(expected.begin(), expected.end(), 0);
  for (int i = 0; i < kTasks; ++i) {
    futures.push_back(pool.submit([](int x) { return x; }, i));
    EXPECT_TRUE(eventually([&] { return futures.back().ready(); }, kPromptly));
    futures.back().on_done([&order](const absl::StatusOr<int>& value) { order.push_back(*value); });
  }
  go->store(true);
  go->notify_all();
  for (Future<int>& each : futures) (void)each.get();
  EXPECT_EQ(order, expected);
}

TEST_F(FutureMany, CountFailuresCancelledOnesAndThoseWithoutATask) {
  std::vector<Future<int>> futures = gated(1);
  futures.push_back(pool.submit([]() -> int { throw 1; }));
  futures.push_back(pool.submit([] { return die(Death::kKilled), 1; }));
  futures.emplace_back();
  marks->open(0);
  int ok = 0, failed = 0;
  for (auto& each : as_completed(futures)) ++(each.get().ok() ? ok : failed);
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(failed, 3);
}

// --- wait ------------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, WaitCountsTheCancelled) {
  Pool one = make_pool(1);
  std::vector<Future<void>> futures;
  futures.push_back(one.submit([] { ++marks->count, marks->pass(0); }));
  futures.push_back(one.submit([] {}));
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(futures[1].cancel());
  EXPECT_THAT(wait(futures, ReturnWhen::kFirstCompleted).done, ElementsAre(1));
  EXPECT_TRUE(futures[0].kill());
  EXPECT_THAT(wait(futures).done, ElementsAre(0, 1));
}

// --- map_async -------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, MapAsyncWhoseDecodingThrowsFailsAndEnds) {
  const auto unread = [](int x) { return marks->pass(0), UnreadableFrom12{x}; };
  const auto future = pool.map_async({.chunksize = 5}, unread, std::views::iota(0, 20));
  marks->open(0);
  ASSERT_TRUE(future.wait_for(kPromptly)) << "it never ends";
  const absl::Status status = future.get().status();
  EXPECT_EQ(task_error(status).value().what, "12 cannot be read") << status;
  EXPECT_EQ(task_error(status).value().item, 12u);
  EXPECT_EQ(future.progress(), 1);
  pool.close();
  EXPECT_TRUE(pool.join_for(kPromptly).ok()) << "the map is still under way";
}

TEST_F(FutureMany, MapAsyncRunsWhatAWorkersDeathLeft) {
  const auto dies = [](int x) {  // in the midst of a chunk, and with its first item
    return ++marks->ran[static_cast<std::size_t>(x)] == 1 && x % 25 == (x / 25 % 2) * 9 ? die(Death::kKilled) : void(),
           x;
  };
  const auto retried = pool.map_async({.chunksize = 25, .task = {.retries = 1}}, dies, std::views::iota(0, 200)).get();
  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_TRUE(std::ranges::equal(*retried, std::views::iota(0, 200))) << testing::PrintToString(*retried);
  for (auto& each : marks->ran) each = 0;
  const absl::Status status = pool.map_async({.chunksize = 25}, dies, std::views::iota(0, 200)).get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(task_error(status).value().item, 0u);
}

TEST_F(FutureMany, MapAsyncIsCancelledAndKilled) {
  const auto waits = [](int x) { return ++marks->count, marks->pass(0), x; };
  Future<std::vector<int>> future = pool.map_async({.chunksize = 1}, waits, std::views::iota(0, 40));
  ASSERT_TRUE(marks->await_count(4));
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancel()) << "it is, though all that are left run";
  EXPECT_FALSE(future.wait_for(10ms));
  EXPECT_TRUE(future.kill());
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(marks->count, 4u);
}

TEST_F(FutureMany, AClosedPoolFinishesItsMapAsync) {
  Pool own = make_pool(2);
  const auto dies = [](int x) {
    return ++marks->ran[static_cast<std::size_t>(x)] == 1 && x == 5 ? die(Death::kKilled) : void(), x;
  };
  const Future<std::vector<int>> future =
      own.map_async({.chunksize = 10, .task = {.retries = 1}}, dies, std::views::iota(0, 100));
  own.close();
  EXPECT_TRUE(own.join().ok());
  ASSERT_TRUE(future.ready());
  EXPECT_EQ(future.get().value().size(), 100u);
  EXPECT_EQ(own.map_async([](int x) { return x; }, {1}).get().status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace warren::test
