// PriorityQueue and Stack, alone and beside a process that does the same, next to std::push_heap and an array in shared
// memory under a process-shared pthread mutex, plain and robust, which neither wait nor survive a death within.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/stack.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "peer.h"

namespace warren::bench {
namespace {

struct Item {
  std::int64_t priority;
  std::array<std::uint64_t, 3> payload;
};
constexpr std::size_t kCapacity = 1 << 16;

template <int kRobustness>
class LockedArray {
 public:
  LockedArray() {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, kRobustness);
    ::pthread_mutex_init(&mutex_, &attributes);
  }
  bool push_heap(const Item& item) {
    const Guard guard(mutex_);
    if (size_ == kCapacity) return false;
    items_[size_++] = item;
    std::push_heap(items_.begin(), end(), kLess);
    return true;
  }
  std::optional<Item> pop_heap() {
    const Guard guard(mutex_);
    if (size_ == 0) return std::nullopt;
    std::pop_heap(items_.begin(), end(), kLess);
    return items_[--size_];
  }
  bool push_back(const Item& item) {
    const Guard guard(mutex_);
    if (size_ == kCapacity) return false;
    items_[size_++] = item;
    return true;
  }
  std::optional<Item> pop_back() {
    const Guard guard(mutex_);
    if (size_ == 0) return std::nullopt;
    return items_[--size_];
  }

 private:
  struct Guard {
    explicit Guard(pthread_mutex_t& m) : mutex(m) { ::pthread_mutex_lock(&mutex); }
    ~Guard() { ::pthread_mutex_unlock(&mutex); }
    pthread_mutex_t& mutex;
  };
  static constexpr auto kLess = [](const Item& a, const Item& b) { return a.priority < b.priority; };
  auto end() { return items_.begin() + static_cast<std::ptrdiff_t>(size_); }

  pthread_mutex_t mutex_{};
  std::size_t size_ = 0;
  std::array<Item, kCapacity> items_{};
};

// Any order, the same in every run.
class Priorities {
 public:
  std::int64_t next() noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int64_t>(state_ >> 33);
  }

 private:
  std::uint64_t state_ = 1;
};

// One push and one pop, while range(0) items stand there; a peer does it on another processor if range(1) says so.
template <class Push, class Pop>
void measure(benchmark::State& state, Push push, Pop pop) {
  Priorities priorities;
  const auto item = [&] { return Item{.priority = priorities.next(), .payload = {}}; };
  for (std::int64_t i = 0; i < state.range(0); ++i) (void)push(item());
  const auto once = [&] {
    (void)push(item());
    auto out = pop();
    benchmark::DoNotOptimize(out);
  };
  const Pinned pinned(kHere);
  std::optional<Peer> peer;
  if (state.range(1) != 0) {
    peer.emplace(kThere, [&] {
      for (;;) once();
    });
  }
  for (auto _ : state) once();
  state.SetItemsProcessed(state.iterations());
}

template <int kRobustness>
void heap_under_pthread_mutex(benchmark::State& state) {
  Shared<LockedArray<kRobustness>> heap;
  measure(
      state, [&](const Item& item) { return heap->push_heap(item); }, [&] { return heap->pop_heap(); });
}
void priority_queue(benchmark::State& state) {
  auto queue = PriorityQueue<Item>::create({.capacity = kCapacity}).value();
  measure(
      state, [&](const Item& item) { return queue.try_push(item, item.priority); }, [&] { return queue.try_pop(); });
}
template <int kRobustness>
void array_under_pthread_mutex(benchmark::State& state) {
  Shared<LockedArray<kRobustness>> array;
  measure(
      state, [&](const Item& item) { return array->push_back(item); }, [&] { return array->pop_back(); });
}
void stack(benchmark::State& state) {
  auto items = Stack<Item>::create({.capacity = kCapacity}).value();
  measure(
      state, [&](const Item& item) { return items.try_push(item); }, [&] { return items.try_pop(); });
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"standing", "peer"})->ArgsProduct({{0, 100, 50'000}, {0, 1}})->UseRealTime();
}
void one_size(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"standing", "peer"})->ArgsProduct({{100}, {0, 1}})->UseRealTime();
}
BENCHMARK(heap_under_pthread_mutex<PTHREAD_MUTEX_STALLED>)->Apply(sizes);
BENCHMARK(heap_under_pthread_mutex<PTHREAD_MUTEX_ROBUST>)->Apply(sizes);
BENCHMARK(priority_queue)->Apply(sizes);
BENCHMARK(array_under_pthread_mutex<PTHREAD_MUTEX_STALLED>)->Apply(one_size);
BENCHMARK(array_under_pthread_mutex<PTHREAD_MUTEX_ROBUST>)->Apply(one_size);
BENCHMARK(stack)->Apply(one_size);

}  // namespace
}  // namespace warren::bench
