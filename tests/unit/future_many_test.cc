// as_completed(), wait(), map_async(), fileno(), progress(), shutdown().
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <warren/ipc/pipe.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>
#include <set>

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
using ::testing::IsEmpty;

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

TEST_F(FutureMany, ComeInTheOrderInWhichTheyEnd) {
  std::vector<Future<int>> futures = gated(4);
  std::vector<int> order;
  std::vector<std::size_t> gates{2, 0, 3, 1};
  marks->open(gates[0]);
  for (Future<int>& each : as_completed(futures)) {
    EXPECT_TRUE(each.ready());
    order.push_back(each.get().value());
    if (order.size() < gates.size()) marks->open(gates[order.size()]);
  }
  EXPECT_THAT(order, ElementsAre(2, 0, 3, 1));
}

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

TEST_F(FutureMany, MayBeGotAsRvaluesAndFromAnyRange) {
  std::list<Future<std::string>> futures;
  for (int i = 0; i < 20; ++i)
    futures.push_back(pool.submit([](int x) { return std::string(5000, static_cast<char>('a' + x)); }, i));
  std::set<char> seen;
  for (auto& each : as_completed(futures)) seen.insert(std::move(each).get().value()[0]);
  EXPECT_EQ(seen.size(), 20u);
  std::vector<Future<int>> none;
  for (auto& each : as_completed(none)) FAIL() << each.id().value;
}

TEST_F(FutureMany, EndEarlyWhenTheTimeIsUp) {
  std::vector<Future<int>> futures = gated(2);
  marks->open(1);
  futures[1].wait();
  auto completed = as_completed(futures, 50ms);
  std::vector<int> order;
  for (auto& each : completed) order.push_back(each.get().value());
  EXPECT_THAT(order, ElementsAre(1));
  EXPECT_EQ(completed.status().code(), absl::StatusCode::kDeadlineExceeded);
  marks->open(0);
  for (auto& each : as_completed(futures)) each.wait();
  auto again = as_completed(futures, 0s);
  EXPECT_EQ(std::ranges::distance(again), 2) << "what was told is given without a wait";
  EXPECT_TRUE(again.status().ok());
}

TEST_F(FutureMany, MayBeLeftEarlyAgainAndAgain) {
  std::vector<Future<int>> futures = gated(3);
  marks->open(0);
  for (int i = 0; i < 100; ++i) {
    for (auto& each : as_completed(futures)) {
      EXPECT_EQ(each.get().value(), 0);
      break;
    }
  }
  marks->open(1);
  marks->open(2);
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

TEST_F(FutureMany, OfSeveralPoolsAndContinuations) {
  Pool second = make_pool(1);
  std::vector<Future<int>> futures = gated(1);
  futures.push_back(second.submit([] { return 1; }));
  futures.push_back(second.submit([] { return 1; }).then([](int x) { return x + 1; }));
  int sum = 0;
  auto completed = as_completed(futures);
  for (auto& each : completed) {
    sum += each.get().value();
    if (sum == 3) marks->open(0);
  }
  EXPECT_EQ(sum, 3);
}

TEST_F(FutureMany, InACallback) {
  std::vector<Future<int>> futures = gated(3);
  Future<int> first = pool.submit([] { return 1; });
  int sum = 0;
  Waited waited;
  first.on_done([&](absl::StatusOr<int>) {
    for (std::size_t gate : {0u, 1u, 2u}) marks->open(gate);
    for (auto& each : as_completed(futures)) sum += each.get().value();
    waited = wait(futures, ReturnWhen::kFirstCompleted);
  });
  ASSERT_TRUE(first.wait_for(kPromptly)) << "it waits for itself";
  EXPECT_EQ(sum, 3);
  EXPECT_EQ(waited.done.size(), 3u);
}

// A look at all of them for each that ends would take minutes.
TEST_F(FutureMany, AHundredThousandInTime) {
  Pool large = Pool::create({.workers = 2, .max_pending = 131'072}).value();
  std::vector<Future<int>> futures;
  constexpr int kTasks = 100'000;
  for (int i = 0; i < kTasks; ++i) futures.push_back(large.submit([](int x) { return x; }, i));
  std::vector<bool> seen(kTasks);
  for (auto& each : as_completed(futures)) seen[static_cast<std::size_t>(std::move(each).get().value())] = true;
  EXPECT_EQ(std::ranges::count(seen, true), kTasks);
}

// --- wait ------------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, WaitForTheFirstOrAll) {
  std::vector<Future<int>> futures = gated(3);
  Waited waited = wait(futures, ReturnWhen::kFirstCompleted, 10ms);
  EXPECT_THAT(waited.done, IsEmpty());
  EXPECT_THAT(waited.not_done, ElementsAre(0, 1, 2));
  std::thread opener([] { std::this_thread::sleep_for(20ms), marks->open(1); });
  waited = wait(futures, ReturnWhen::kFirstCompleted);
  EXPECT_THAT(waited.done, ElementsAre(1));
  EXPECT_THAT(waited.not_done, ElementsAre(0, 2));
  opener.join();
  EXPECT_THAT(wait(futures, ReturnWhen::kFirstCompleted).done, ElementsAre(1)) << "it has one";
  waited = wait(futures, ReturnWhen::kAllCompleted, 20ms);
  EXPECT_THAT(waited.done, ElementsAre(1));
  marks->open(0);
  marks->open(2);
  EXPECT_THAT(wait(futures).done, ElementsAre(0, 1, 2));
  EXPECT_THAT(wait(std::vector<Future<int>>{}, ReturnWhen::kFirstCompleted).done, IsEmpty());
}

TEST_F(FutureMany, WaitForTheFirstThatFails) {
  std::vector<Future<int>> futures = gated(2);
  futures.push_back(pool.submit([]() -> int {
    marks->pass(2);
    throw 1;
  }));
  marks->open(0);
  std::thread opener([] { std::this_thread::sleep_for(20ms), marks->open(2); });
  const Waited waited = wait(futures, ReturnWhen::kFirstException);
  EXPECT_THAT(waited.done, ElementsAre(0, 2));
  EXPECT_THAT(waited.not_done, ElementsAre(1));
  opener.join();
  marks->open(1);
  std::vector<Future<int>> good = gated(2);
  EXPECT_THAT(wait(good, ReturnWhen::kFirstException).done, ElementsAre(0, 1)) << "none fails: all";
}

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

// --- fileno ----------------------------------------------------------------------------------------------------------

bool readable(int descriptor) {
  pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST_F(FutureMany, HaveADescriptorThatIsReadableInTheEnd) {
  std::vector<Future<int>> futures = gated(2);
  const int descriptor = futures[0].fileno();
  ASSERT_GE(descriptor, 0);
  EXPECT_EQ(futures[0].fileno(), descriptor);
  EXPECT_FALSE(readable(descriptor));
  EXPECT_THAT(warren::wait({futures[0], futures[1]}, 10ms), IsEmpty());
  marks->open(0);
  EXPECT_THAT(warren::wait({futures[0], futures[1]}), ElementsAre(0));
  EXPECT_TRUE(readable(descriptor));
  EXPECT_EQ(futures[0].get().value(), 0);
  EXPECT_TRUE(readable(descriptor)) << "it stays";
  Future<int> ended = pool.submit([] { return 1; });
  ended.wait();
  EXPECT_TRUE(readable(ended.fileno()));
  EXPECT_EQ(Future<int>().fileno(), -1);
  marks->open(1);
}

// --- progress --------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, TellHowFarTheyAre) {
  const auto reports = [] {
    current_task().report(0.25, "the first quarter");
    ++marks->count, marks->pass(0);
    current_task().report(7);
    ++marks->count, marks->pass(1);
    current_task().report(std::nan(""));
    ++marks->count, marks->pass(2);
    throw 1;
  };
  const Future<void> future = pool.submit(reports);
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_NEAR(future.progress(), 0.25, 1e-9);
  marks->open(0);
  ASSERT_TRUE(marks->await_count(2));
  EXPECT_EQ(future.progress(), 1);
  marks->open(1);
  ASSERT_TRUE(marks->await_count(3));
  EXPECT_EQ(future.progress(), 0);
  marks->open(2);
  future.wait();
  EXPECT_EQ(future.progress(), 0) << "it failed";
  const Future<void> done = pool.submit([] { current_task().report(0.5); });
  done.wait();
  EXPECT_EQ(done.progress(), 1);
  current_task().report(0.5, "outside a task");
  EXPECT_EQ(Future<int>().progress(), 0);
}

// --- map_async -------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, MapAsyncGivesTheWholeInOrder) {
  Future<std::vector<int>> squares = pool.map_async([](int x) { return x * x; }, std::views::iota(0, 1000));
  std::vector<int> want(1000);
  for (int i = 0; i < 1000; ++i) want[static_cast<std::size_t>(i)] = i * i;
  EXPECT_EQ(squares.get().value(), want);
  EXPECT_EQ(squares.get().value(), want) << "again";
  EXPECT_EQ(squares.progress(), 1);
  EXPECT_EQ(pool.map_async([](int x) { return x; }, {1, 2, 3}).get().value().size(), 3u);
  EXPECT_TRUE(pool.map_async([](int) {}, std::vector<int>{1, 2}).get().ok());
  EXPECT_EQ(pool.map_async({.chunksize = 2}, std::plus<int>(), std::vector<int>{1, 2, 3}, std::vector<int>{1, 2})
                .get()
                .value(),
            (std::vector<int>{2, 4}));
  EXPECT_TRUE(pool.map_async([](int x) { return x; }, std::vector<int>{}).get().value().empty());
}

TEST_F(FutureMany, StarmapAsyncTakesTuples) {
  const std::vector<std::tuple<int, int>> pairs{{1, 2}, {3, 4}};
  EXPECT_THAT(pool.starmap_async([](int a, int b) { return a + b; }, pairs).get().value(), ElementsAre(3, 7));
  EXPECT_THAT(pool.starmap_async(
                      {.chunksize = 1}, [](int a, int b) { return a * b; }, pairs)
                  .get()
                  .value(),
              ElementsAre(2, 12));
  EXPECT_THAT(pool.starmap(
                      {.chunksize = 1}, [](int a, int b) { return a * b; }, pairs)
                  .value(),
              ElementsAre(2, 12));
}

TEST_F(FutureMany, MapAsyncDoesNotWait) {
  Future<std::vector<int>> future = pool.map_async(
      {.chunksize = 1}, [](int x) { return marks->pass(0), x; }, std::views::iota(0, 8));
  bool told = false;
  future.on_done([&](absl::StatusOr<std::vector<int>> r) { told = r.value().size() == 8; });
  EXPECT_FALSE(future.ready());
  EXPECT_FALSE(future.wait_for(10ms));
  EXPECT_EQ(future.progress(), 0);
  marks->open(0);
  EXPECT_TRUE(future.get().ok());
  EXPECT_TRUE(told);
}

TEST_F(FutureMany, MapAsyncTellsTheFirstErrorInOrder) {
  const auto fails = [](int x) { return x % 10 == 7 ? throw std::runtime_error(std::to_string(x)) : x; };
  const absl::Status status = pool.map_async({.chunksize = 3}, fails, std::views::iota(0, 100)).get().status();
  EXPECT_EQ(task_error(status).value().what, "7");
  EXPECT_EQ(task_error(status).value().item, 7u);
  EXPECT_EQ(pool.map_async({.chunksize = 0}, fails, std::views::iota(0, 3)).get().status().code(),
            absl::StatusCode::kInvalidArgument);
}

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

TEST_F(FutureMany, OneMayWaitForAMapAsyncInACallback) {
  Future<int> first = pool.submit([] { return 1; });
  std::size_t size = 0;
  first.on_done([&](absl::StatusOr<int>) {
    size = pool.map_async([](int x) { return x; }, std::views::iota(0, 100)).get().value().size();
    pool.close();
    (void)pool.join();
  });
  ASSERT_TRUE(first.wait_for(kPromptly)) << "it waits for itself";
  EXPECT_EQ(size, 100u);
}

// --- shutdown --------------------------------------------------------------------------------------------------------

TEST_F(FutureMany, ShutdownWaits) {
  Pool own = make_pool(1);
  const Future<int> future = own.submit([] { return std::this_thread::sleep_for(20ms), 1; });
  EXPECT_TRUE(own.shutdown().ok());
  EXPECT_TRUE(future.ready());
  EXPECT_TRUE(own.shutdown().ok()) << "again";
}

TEST_F(FutureMany, ShutdownCancelsWhatIsPendingIfAsked) {
  Pool own = make_pool(1);
  const Future<void> running = own.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<Future<void>> pending;
  for (int i = 0; i < 50; ++i) pending.push_back(own.submit([] { ++marks->count; }));
  Future<std::vector<int>> map = own.map_async(
      {.chunksize = 1}, [](int x) { return ++marks->count, x; }, std::views::iota(0, 50));
  EXPECT_TRUE(own.shutdown({.wait = false, .cancel_pending = true}).ok());
  EXPECT_EQ(wait(pending, ReturnWhen::kAllCompleted, kPromptly).done.size(), 50u);
  EXPECT_EQ(pending[7].get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(map.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(running.ready());
  EXPECT_EQ(own.apply([] {}).code(), absl::StatusCode::kFailedPrecondition);
  marks->open(0);
  EXPECT_TRUE(own.shutdown().ok());
  EXPECT_TRUE(running.get().ok());
  EXPECT_EQ(marks->count, 1u);
}

TEST_F(FutureMany, ShutdownInACallback) {
  Pool own = make_pool(1);
  absl::Status status = absl::UnknownError("");
  Future<void> future = own.submit([] {});
  future.on_done([&](const absl::Status&) { status = own.shutdown(); });
  ASSERT_TRUE(future.wait_for(kPromptly));
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace warren::test
