// for_each over an array in shared memory, beside a plain loop over the same memory and, where it is installed,
// oneTBB's parallel_for over threads.
#include <benchmark/benchmark.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <cstdint>

#if WARREN_BENCH_TBB
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#endif

namespace warren::bench {
namespace {

constexpr std::size_t kItems = 1'000'000;

void light(int& x) { x = x * 3 + 1; }
// About 100 ns: what a worker of its own is worth.
void heavy(int& x) {
  auto value = static_cast<std::uint32_t>(x);
  for (int i = 0; i < 32; ++i) value = value * 2'654'435'761u ^ value >> 13;
  x = static_cast<int>(value);
}

void microseconds(benchmark::internal::Benchmark* bench) { bench->UseRealTime()->Unit(benchmark::kMicrosecond); }
void one_and_two_workers(benchmark::internal::Benchmark* bench) {
  microseconds(bench->ArgName("workers")->Arg(1)->Arg(2));
}

template <void (*F)(int&)>
void pool_for_each(benchmark::State& state) {
  Pool pool = Pool::create({.workers = static_cast<std::uint32_t>(state.range(0))}).value();
  auto items = Array<int>::create(kItems).value();
  for (auto _ : state) {
    if (!pool.for_each(items, fn<F>).ok()) state.SkipWithError("it failed");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItems));
}

template <void (*F)(int&)>
void plain_loop(benchmark::State& state) {
  auto items = Array<int>::create(kItems).value();
  for (auto _ : state) {
    for (int& x : items) F(x);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItems));
}

#if WARREN_BENCH_TBB
void two_threads(benchmark::internal::Benchmark* bench) { microseconds(bench->ArgName("threads")->Arg(2)); }

template <void (*F)(int&)>
void tbb_parallel_for(benchmark::State& state) {
  oneapi::tbb::task_arena arena(static_cast<int>(state.range(0)));
  auto items = Array<int>::create(kItems).value();
  for (auto _ : state) {
    arena.execute([&] {
      oneapi::tbb::parallel_for(oneapi::tbb::blocked_range<int*>(items.begin(), items.end()), [](const auto& range) {
        for (int& x : range) F(x);
      });
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItems));
}
BENCHMARK(tbb_parallel_for<&light>)->Name("for_each_1M/light/tbb_parallel_for")->Apply(two_threads);
BENCHMARK(tbb_parallel_for<&heavy>)->Name("for_each_1M/heavy/tbb_parallel_for")->Apply(two_threads);
#endif

BENCHMARK(pool_for_each<&light>)->Name("for_each_1M/light/pool")->Apply(one_and_two_workers);
BENCHMARK(plain_loop<&light>)->Name("for_each_1M/light/plain_loop")->Apply(microseconds);
BENCHMARK(pool_for_each<&heavy>)->Name("for_each_1M/heavy/pool")->Apply(one_and_two_workers);
BENCHMARK(plain_loop<&heavy>)->Name("for_each_1M/heavy/plain_loop")->Apply(microseconds);

}  // namespace
}  // namespace warren::bench
