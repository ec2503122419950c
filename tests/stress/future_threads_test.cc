// Callbacks, continuations and cancelling from many threads, so that ThreadSanitizer sees every access. Pools are made
// while there is one thread; their processes are not watched.
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace warren {
namespace {

using namespace std::chrono_literals;

template <class Work>
void in_threads(int count, Work&& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

class FutureThreads : public testing::Test {
 protected:
  static constexpr int kThreads = 4, kRounds = 150;
  Pool pool_ = Pool::create({.workers = 2, .max_pending = 64}).value();
};

TEST_F(FutureThreads, SubmitFollowAndGet) {
  std::atomic<int> followed = 0;
  in_threads(kThreads, [&](int thread) {
    for (int i = 0; i < kRounds; ++i) {
      int plain = 0;  // written by the callback, read after get()
      Future<int> future = pool_.submit([](int x) { return x; }, i);
      if (i % 3 == thread % 3) future.wait();
      future.on_done([&](absl::StatusOr<int> r) { plain = *r + 1, ++followed; });
      EXPECT_EQ(future.get().value(), i);
      EXPECT_EQ(plain, i + 1);
      pool_.submit([](int x) { return x; }, i).on_done([&](absl::StatusOr<int>) { ++followed; });
      EXPECT_EQ(pool_.submit([](int x) { return x; }, i).then([](int x) { return x + 1; }).get().value(), i + 1);
    }
  });
  EXPECT_TRUE(pool_.shutdown().ok());
  EXPECT_EQ(followed, 2 * kThreads * kRounds);
}

TEST_F(FutureThreads, FollowOneFromManyThreads) {
  for (int i = 0; i < kRounds; ++i) {
    Future<int> future = pool_.submit([](int x) { return x; }, i);
    std::atomic<int> followed = 0;
    in_threads(kThreads, [&](int thread) {
      if (thread % 2 == 0) future.on_done([&](absl::StatusOr<int>) { ++followed; });
      EXPECT_EQ(future.get().value(), i);
      EXPECT_TRUE(future.fileno() >= 0 && future.progress() == 1);
    });
    future.wait();
    EXPECT_EQ(followed, kThreads / 2);
  }
}

TEST_F(FutureThreads, CancelKillAndDropRaceTheEnd) {
  in_threads(kThreads, [&](int thread) {
    for (int i = 0; i < kRounds / 3; ++i) {
      Future<int> future = pool_.submit([](int x) { return x; }, i);
      bool told = false;
      absl::StatusCode code{};
      if (i % 2 == 0) future.on_done([&](absl::StatusOr<int> r) { told = true, code = r.status().code(); });
      const bool hit = i % 8 == thread ? future.kill() : future.cancel();
      const absl::StatusOr<int> result = future.get();
      EXPECT_EQ(hit, absl::IsCancelled(result.status()));
      EXPECT_TRUE(result.ok() || absl::IsCancelled(result.status()) || absl::IsAborted(result.status()));
      if (i % 2 == 0) {
        EXPECT_TRUE(told && code == result.status().code());
      }
      if (i % 5 == 0) pool_.submit([](int x) { return x; }, i).cancel();
    }
  });
}

TEST_F(FutureThreads, ManyWaitForMany) {
  in_threads(kThreads, [&](int) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < kRounds; ++i) futures.push_back(pool_.submit([](int x) { return x; }, i));
    EXPECT_FALSE(wait(futures, ReturnWhen::kFirstCompleted).done.empty());
    int sum = 0;
    for (Future<int>& each : as_completed(futures)) sum += std::move(each).get().value();
    EXPECT_EQ(sum, kRounds * (kRounds - 1) / 2);
    EXPECT_EQ(pool_
                  .map_async(
                      {.chunksize = 5}, [](int x) { return x; }, std::views::iota(0, kRounds))
                  .get()
                  ->size(),
              static_cast<std::size_t>(kRounds));
  });
}

TEST_F(FutureThreads, ThePoolEndsWhileCallbacksRun) {
  for (int i = 0; i < 5; ++i) {
    std::atomic<int> followed = 0;
    in_threads(kThreads, [&](int) {
      for (int n = 0; n < 20; ++n) pool_.submit([] {}).on_done([&](const absl::Status&) { ++followed; });
    });
    while (followed < 20 * kThreads) std::this_thread::sleep_for(1ms);
  }
  in_threads(2, [&](int thread) {
    if (thread == 0) {
      EXPECT_TRUE(pool_.shutdown({.cancel_pending = true}).ok());
    } else {
      for (int n = 0; n < 20; ++n) pool_.submit([] {}).on_done([](const absl::Status&) {});
    }
  });
}

}  // namespace
}  // namespace warren
