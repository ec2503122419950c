// Value and Array, alone and beside a process that does the same, next to what they are made of: std::atomic in shared
// memory, and a copy under a process-shared pthread mutex, plain and robust.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <warren/ipc/array.h>
#include <warren/ipc/value.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "peer.h"

namespace warren::bench {
namespace {

// Measures `work` here, while a peer does it on another processor if the benchmark's argument says so.
template <class Work>
void measure(benchmark::State& state, Work work) {
  const Pinned pinned(kHere);
  std::optional<Peer> peer;
  if (state.range(0) != 0) {
    peer.emplace(kThere, [&] {
      for (;;) work();
    });
  }
  for (auto _ : state) work();
}

// --- a counter

void add_to_std_atomic(benchmark::State& state) {
  Shared<std::atomic<std::uint64_t>> counter;
  measure(state, [&] { counter->fetch_add(1); });
}
void add_to_value(benchmark::State& state) {
  auto counter = Value<std::uint64_t>::create().value();
  measure(state, [&] { counter += 1; });
}
void add_to_element(benchmark::State& state) {
  auto counters = Array<std::uint64_t>::create(8).value();
  measure(state, [&] { counters.fetch_add(3, 1); });
}

// --- a record of Bytes

template <std::size_t Bytes>
struct Record {
  std::array<std::uint64_t, Bytes / 8> words;
};

template <std::size_t Bytes, int kRobustness>
class LockedCopy {
 public:
  LockedCopy() {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, kRobustness);
    ::pthread_mutex_init(&mutex_, &attributes);
  }
  void update() {
    ::pthread_mutex_lock(&mutex_);
    Record<Bytes> copy = record_;
    benchmark::DoNotOptimize(copy);
    ++copy.words.front();
    record_ = copy;
    ::pthread_mutex_unlock(&mutex_);
  }
  Record<Bytes> load() {
    ::pthread_mutex_lock(&mutex_);
    const Record<Bytes> copy = record_;
    ::pthread_mutex_unlock(&mutex_);
    return copy;
  }

 private:
  pthread_mutex_t mutex_{};
  Record<Bytes> record_{};
};

template <std::size_t Bytes, int kRobustness>
void update_under_pthread_mutex(benchmark::State& state) {
  Shared<LockedCopy<Bytes, kRobustness>> record;
  measure(state, [&] { record->update(); });
}
template <std::size_t Bytes>
void update_value(benchmark::State& state) {
  auto value = Value<Record<Bytes>>::create().value();
  measure(state, [&] { value.update([](Record<Bytes>& record) { ++record.words.front(); }); });
}

// Loads, while the peer, if there is one, updates.
template <class Load, class Update>
void measure_loads(benchmark::State& state, Load load, Update update) {
  const Pinned pinned(kHere);
  std::optional<Peer> peer;
  if (state.range(0) != 0) {
    peer.emplace(kThere, [&] {
      for (;;) update();
    });
  }
  for (auto _ : state) {
    auto seen = load();
    benchmark::DoNotOptimize(seen);
  }
}
template <std::size_t Bytes>
void load_under_pthread_mutex(benchmark::State& state) {
  Shared<LockedCopy<Bytes, PTHREAD_MUTEX_STALLED>> record;
  measure_loads(
      state, [&] { return record->load(); }, [&] { record->update(); });
}
template <std::size_t Bytes>
void load_value(benchmark::State& state) {
  auto value = Value<Record<Bytes>>::create().value();
  measure_loads(
      state, [&] { return value.load(); }, [&] { value.update([](Record<Bytes>& r) { ++r.words.front(); }); });
}

#define WARREN_BENCH_ALONE_AND_BESIDE(...) BENCHMARK(__VA_ARGS__)->ArgName("beside")->Arg(0)->Arg(1)->UseRealTime()
WARREN_BENCH_ALONE_AND_BESIDE(add_to_std_atomic);
WARREN_BENCH_ALONE_AND_BESIDE(add_to_value);
WARREN_BENCH_ALONE_AND_BESIDE(add_to_element);
WARREN_BENCH_ALONE_AND_BESIDE(update_under_pthread_mutex<64, PTHREAD_MUTEX_STALLED>);
WARREN_BENCH_ALONE_AND_BESIDE(update_under_pthread_mutex<64, PTHREAD_MUTEX_ROBUST>);
WARREN_BENCH_ALONE_AND_BESIDE(update_value<64>);
WARREN_BENCH_ALONE_AND_BESIDE(update_under_pthread_mutex<1024, PTHREAD_MUTEX_STALLED>);
WARREN_BENCH_ALONE_AND_BESIDE(update_value<1024>);
WARREN_BENCH_ALONE_AND_BESIDE(load_under_pthread_mutex<64>);
WARREN_BENCH_ALONE_AND_BESIDE(load_value<64>);
WARREN_BENCH_ALONE_AND_BESIDE(load_under_pthread_mutex<1024>);
WARREN_BENCH_ALONE_AND_BESIDE(load_value<1024>);

}  // namespace
}  // namespace warren::bench
