// What it costs that any process may be killed: queue and lock beside the same without that promise, and the pthread
// mutexes, plain and robust. All in one run; every item and every turn is accounted for.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "peer.h"
#include "plain_mutex.h"
#include "plain_queue.h"

namespace warren::bench {
namespace {

// --- queues: try_push(), try_pop() -----------------------------------------------------------------------------------

constexpr std::size_t kCapacity = 4096;

class SafeQueue {
 public:
  bool try_push(std::uint64_t item) { return queue_.try_push(item); }
  std::optional<std::uint64_t> try_pop() { return queue_.try_pop(); }

 private:
  Queue<std::uint64_t> queue_ = Queue<std::uint64_t>::create({.capacity = kCapacity}).value();
};

class TicketQueue {
 public:
  bool try_push(std::uint64_t item) { return queue_->try_push(item); }
  std::optional<std::uint64_t> try_pop() { return queue_->try_pop(); }

 private:
  Shared<PlainQueue<std::uint64_t, kCapacity>> queue_;
};

template <class Q>
void push_and_pop(benchmark::State& state) {
  Q queue;
  std::uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(queue.try_push(++i));
    if (queue.try_pop() != i) state.SkipWithError("lost");
  }
}

// `pairs` producers and as many consumers, one of which is this process; what each producer pushed is popped in order.
template <class Q>
void one_way(benchmark::State& state) {
  constexpr std::uint64_t kProducer = std::uint64_t{1} << 56;
  const auto pairs = static_cast<std::uint64_t>(state.range(0));
  Q queue;
  const Pinned pinned(kHere);
  std::vector<std::unique_ptr<Peer>> peers;
  for (std::uint64_t p = 0; p < pairs; ++p) {
    peers.push_back(std::make_unique<Peer>(kThere, [&, p] {
      for (std::uint64_t i = 0;; ++i) {
        for (int tries = 0; !queue.try_push(p * kProducer + i); ++tries) {
          if (tries % 64 == 63) ::sched_yield();
        }
      }
    }));
  }
  for (std::uint64_t c = 1; c < pairs; ++c) {
    peers.push_back(std::make_unique<Peer>(kHere, [&] {
      for (int tries = 0;; ++tries) {
        if (!queue.try_pop() && tries % 64 == 63) ::sched_yield();
      }
    }));
  }
  std::vector<std::uint64_t> next(pairs, 0);
  for (auto _ : state) {
    std::optional<std::uint64_t> item;
    for (int tries = 0; !(item = queue.try_pop()); ++tries) {
      if (tries % 64 == 63) ::sched_yield();
    }
    std::uint64_t& expected = next[*item / kProducer];
    if (*item % kProducer < expected) state.SkipWithError("doubled, or out of order");
    expected = *item % kProducer + 1;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(push_and_pop<SafeQueue>)->Name("safety/queue/push_and_pop");
BENCHMARK(push_and_pop<TicketQueue>)->Name("safety/queue_without/push_and_pop");
BENCHMARK(one_way<SafeQueue>)->Name("safety/queue/one_way")->ArgName("pairs")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(one_way<TicketQueue>)->Name("safety/queue_without/one_way")->ArgName("pairs")->Arg(1)->Arg(2)->UseRealTime();

// --- locks -----------------------------------------------------------------------------------------------------------

class SafeLock {
 public:
  void lock() { mutex_.lock(); }
  void unlock() { (void)mutex_.unlock(); }

 private:
  Mutex mutex_ = Mutex::create().value();
};

class FutexLock {
 public:
  void lock() { mutex_->lock(); }
  void unlock() { mutex_->unlock(); }

 private:
  Shared<PlainMutex> mutex_;
};

template <int Robust>
class PosixLock {
 public:
  PosixLock() {
    ::pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, Robust);
    ::pthread_mutex_init(&*mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
  }
  void lock() { ::pthread_mutex_lock(&*mutex_); }
  void unlock() { ::pthread_mutex_unlock(&*mutex_); }

 private:
  Shared<::pthread_mutex_t> mutex_;
};

template <class L>
void lock_and_unlock(benchmark::State& state) {
  L lock;
  std::uint64_t turns = 0;
  for (auto _ : state) {
    const std::scoped_lock guard(lock);
    benchmark::DoNotOptimize(++turns);
  }
}

// Another process takes it in turn as often as it can; a counter that is no atomic tells whether they exclude each
// other.
template <class L>
void contended(benchmark::State& state) {
  struct Turns {
    volatile std::uint64_t all = 0;
    std::atomic<std::uint64_t> theirs{0};
    std::atomic<bool> over{false}, ended{false};
  };
  L lock;
  Shared<Turns> turns;
  std::uint64_t mine = 0;
  {
    const Pinned pinned(kHere);
    const Peer peer(kThere, [&] {
      std::uint64_t count = 0;
      while (!turns->over.load(std::memory_order_relaxed)) {
        const std::scoped_lock guard(lock);
        turns->all = turns->all + 1;
        ++count;
      }
      turns->theirs = count;
      turns->ended = true;
    });
    for (auto _ : state) {
      const std::scoped_lock guard(lock);
      turns->all = turns->all + 1;
      ++mine;
    }
    turns->over = true;
    while (!turns->ended) ::sched_yield();
  }
  if (turns->all != mine + turns->theirs) state.SkipWithError("two held the lock at once");
  state.SetItemsProcessed(static_cast<std::int64_t>(mine + turns->theirs));
}

template <class L>
void add_lock(const std::string& name) {
  benchmark::RegisterBenchmark(("safety/" + name + "/lock_and_unlock").c_str(), lock_and_unlock<L>);
  benchmark::RegisterBenchmark(("safety/" + name + "/contended").c_str(), contended<L>)->UseRealTime();
}
bool add_locks() {
  add_lock<SafeLock>("lock");
  add_lock<FutexLock>("lock_without");
  add_lock<PosixLock<PTHREAD_MUTEX_STALLED>>("lock_pthread");
  add_lock<PosixLock<PTHREAD_MUTEX_ROBUST>>("lock_pthread_robust");
  return true;
}
const bool added = add_locks();

}  // namespace
}  // namespace warren::bench
