// ThreadPool beside a queue under a mutex, and oneTBB: a task there and its result back, and many of them.
#include <benchmark/benchmark.h>
#include <warren/pool/thread_pool.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#ifdef WARREN_BENCH_TBB
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#endif

namespace warren::bench {
namespace {

int add_one(int x) { return x + 1; }

class Warren {
 public:
  explicit Warren(std::uint32_t workers) : pool_(ThreadPool::create({.workers = workers}).value()) {}
  Future<int> submit(int x) { return pool_.submit(add_one, x); }
  static int get(Future<int>& future) { return future.get().value(); }

 private:
  ThreadPool pool_;
};

// What most programs write, and what BS::thread_pool is: std::packaged_task in a deque.
class QueueUnderMutex {
 public:
  explicit QueueUnderMutex(std::uint32_t workers) {
    for (std::uint32_t i = 0; i < workers; ++i) threads_.emplace_back([this] { run(); });
  }
  ~QueueUnderMutex() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  QueueUnderMutex(const QueueUnderMutex&) = delete;
  QueueUnderMutex& operator=(const QueueUnderMutex&) = delete;
  std::future<int> submit(int x) {
    auto task = std::make_shared<std::packaged_task<int()>>([x] { return add_one(x); });
    {
      const std::scoped_lock lock(mutex_);
      tasks_.emplace_back([task] { (*task)(); });
    }
    changed_.notify_one();
    return task->get_future();
  }
  static int get(std::future<int>& future) { return future.get(); }

 private:
  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

#ifdef WARREN_BENCH_TBB
class Tbb {
 public:
  explicit Tbb(std::uint32_t workers)
      : threads_(tbb::global_control::max_allowed_parallelism, workers + 1), arena_(static_cast<int>(workers + 1)) {}
  std::future<int> submit(int x) {
    auto task = std::make_shared<std::packaged_task<int()>>([x] { return add_one(x); });
    arena_.enqueue([task] { (*task)(); });
    return task->get_future();
  }
  static int get(std::future<int>& future) { return future.get(); }

 private:
  tbb::global_control threads_;
  tbb::task_arena arena_;
};
#endif

template <class Threads>
void submit_get(benchmark::State& state) {
  Threads threads(static_cast<std::uint32_t>(state.range(0)));
  for (int i = 0; auto _ : state) {
    auto future = threads.submit(i);
    if (Threads::get(future) != ++i) state.SkipWithError("wrong result");
  }
}

template <class Threads>
void one_by_one(benchmark::State& state) {
  constexpr int kTasks = 1000;
  Threads threads(static_cast<std::uint32_t>(state.range(0)));
  std::vector<decltype(threads.submit(0))> futures;
  for (auto _ : state) {
    futures.clear();
    for (int i = 0; i < kTasks; ++i) futures.push_back(threads.submit(i));
    for (int i = 0; i < kTasks; ++i) {
      if (Threads::get(futures[static_cast<std::size_t>(i)]) != i + 1) state.SkipWithError("wrong result");
    }
  }
  state.SetItemsProcessed(state.iterations() * kTasks);
}

BENCHMARK(submit_get<Warren>)->Name("threads/submit_get/warren")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(submit_get<QueueUnderMutex>)
    ->Name("threads/submit_get/queue")
    ->ArgName("workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
BENCHMARK(one_by_one<Warren>)->Name("threads/one_by_one/warren")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(one_by_one<QueueUnderMutex>)
    ->Name("threads/one_by_one/queue")
    ->ArgName("workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();
#ifdef WARREN_BENCH_TBB
BENCHMARK(submit_get<Tbb>)->Name("threads/submit_get/tbb")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(one_by_one<Tbb>)->Name("threads/one_by_one/tbb")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();
#endif

}  // namespace
}  // namespace warren::bench
