// Initializers, close(), terminate(), join() and shutdown(), of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

int twice(int x) { return 2 * x; }

// --- close, terminate ------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ClosedItFinishesWhatItAcceptedAndTakesNoMore) {
  auto pool = this->make(2);
  EXPECT_EQ(pool.join_for(0s).code(), absl::StatusCode::kFailedPrecondition) << "it is open";
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(twice, i));
  Future<void> last = pool.submit([] { marks->pass(0); });
  pool.close();
  expect_refused(pool.submit(twice, 1).get().status());
  expect_refused(pool.try_submit(twice, 1).value().get().status());
  expect_refused(pool.map(twice, {1}).status());
  expect_refused(pool.map(twice, std::vector<int>()).status());
  EXPECT_EQ(pool.join_for(1ms).code(), absl::StatusCode::kDeadlineExceeded);
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_TRUE(pool.join_for(0s).ok()) << "again";
  EXPECT_TRUE(last.ready());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get().value(), 2 * i);
}

TEST_OF_EACH_POOL(TerminatedItFailsAtOnceWhatHasNotBegun) {
  auto pool = this->make(1);
  pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([](int x) { return ++marks->count, x; }, i));
  std::promise<absl::Status> mapped;
  std::thread map([&] { mapped.set_value(pool.map(twice, std::views::iota(0, 100)).status()); });
  std::this_thread::sleep_for(20ms);
  pool.terminate();
  for (const auto& future : futures) {
    ASSERT_TRUE(future.wait_for(kPromptly));
    EXPECT_EQ(future.get().status().code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(mapped.get_future().get().code(), absl::StatusCode::kCancelled);
  map.join();
  expect_refused(pool.submit(twice, 1).get().status());
  marks->open(0);
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->count, 1u);
}

// --- initializers ----------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(AnInitializerThatThrowsIsToldByEveryFuture) {
  auto pool = this->make({.workers = 2, .initializer = [] { throw std::runtime_error("no licence"); }});
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = pool.submit([] {}).get();
    expect_refused(status);
    EXPECT_THAT(std::string(status.message()), HasSubstr("initializer failed: std::runtime_error: no licence"));
  }
  for (int i = 0; i < 2; ++i) {
    const absl::Status joined = pool.join();
    EXPECT_EQ(joined.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(joined.message()), HasSubstr("no licence"));
    pool.close();
  }
}

TEST_OF_EACH_POOL(EveryWorkerIsInitializedFirst) {
  auto pool = this->make({.workers = 2, .initializer = [] { ++marks->count; }});
  const auto sees_it = [](int) { return marks->count > 0; };
  EXPECT_THAT(pool.map(sees_it, std::views::iota(0, 100)).value(), Each(true));
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(marks->count, 2u);
}

// --- several threads, and forked children ----------------------------------------------------------------------------

TEST_OF_EACH_POOL(EndsInSeveralThreadsAtOnce) {
  for (int round = 0; round < 5; ++round) {
    auto pool = this->make(2);
    std::vector<Future<void>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([] {}));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&pool, t] {
        t % 2 == 0 ? pool.close() : pool.terminate();
        EXPECT_TRUE(pool.join().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& future : futures) EXPECT_TRUE(future.get().ok() || absl::IsCancelled(future.get()));
  }
}

TEST_OF_EACH_POOL(InAForkedChildEverythingIsRefused) {
  auto pool = this->make(1);
  Future<void> future = pool.submit([] { marks->pass(0); });
  {
    Child child([&] {
      expect_refused(pool.submit(twice, 1).get().status());
      expect_refused(pool.try_submit(twice, 1).value().get().status());
      expect_refused(pool.map(twice, {1}).status());
      EXPECT_FALSE(future.get().ok());
      EXPECT_FALSE(future.successful());
      EXPECT_FALSE(future.cancel());
      EXPECT_FALSE(future.kill());
      { const Future<void> dropped = std::move(future); }
      pool.close(), pool.terminate();
      EXPECT_EQ(pool.join().code(), absl::StatusCode::kFailedPrecondition);
      const auto taken = std::move(pool);
    });
    const auto ended = ended_within(child, kPromptly);
    ASSERT_TRUE(ended.has_value()) << "it hangs";
    EXPECT_TRUE(ended->well());
  }
  marks->open(0);
  EXPECT_TRUE(future.get().ok());
}

TEST_OF_EACH_POOL(WhatCannotBeIsAnInvalidArgument) {
  EXPECT_EQ(P::create({.workers = 1025}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(P::create({.max_pending = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_OF_EACH_POOL(LeavesNothingBehind) {
  const auto threads = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); };
  const auto fds = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); };
  const auto threads_before = threads();
  const auto fds_before = fds();
  for (int i = 0; i < 5; ++i) {
    auto pool = this->make(2);
    pool.submit(twice, i).on_done([](absl::StatusOr<int>) {});
    if (i % 2 == 0) pool.terminate();
  }
  EXPECT_EQ(threads(), threads_before);
  EXPECT_EQ(fds(), fds_before);
}

// --- shutdown, and the destructor ------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ShutdownWaits) {
  auto own = this->make(1);
  const Future<int> future = own.submit([] { return std::this_thread::sleep_for(20ms), 1; });
  EXPECT_TRUE(own.shutdown().ok());
  EXPECT_TRUE(future.ready());
  EXPECT_TRUE(own.shutdown().ok()) << "again";
}

TEST_OF_EACH_POOL(ShutdownCancelsWhatIsPendingIfAsked) {
  auto own = this->make(1);
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

TEST_OF_EACH_POOL(ShutdownInACallback) {
  auto own = this->make(1);
  absl::Status status = absl::UnknownError("");
  Future<void> future = own.submit([] {});
  future.on_done([&](const absl::Status&) { status = own.shutdown(); });
  ASSERT_TRUE(future.wait_for(kPromptly));
  EXPECT_TRUE(status.ok()) << status;
}

TEST_OF_EACH_POOL(TheDestructorFinishesWhatWasAccepted) {
  {
    auto pool = this->make(1);
    for (int i = 0; i < 500; ++i) pool.submit([] { ++marks->count; });
  }
  EXPECT_EQ(marks->count, 500u);
}

TEST_OF_EACH_POOL(AnInitializerMayBeBoundToArguments) {
  static std::string word;
  auto pool =
      this->make({.workers = 1, .initializer = warren::bind_front([](const std::string& s) { word = s; }, "abc")});
  EXPECT_EQ(pool.apply([] { return word; }).value(), "abc");
}

}  // namespace
}  // namespace warren::test
