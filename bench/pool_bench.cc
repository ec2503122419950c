// The pool: a task there and its result back, many of them, map, start and stop, recovery.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <unistd.h>
#include <warren/pool/pool.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace warren::bench {
namespace {

Pool make_pool(const benchmark::State& state) {
  return Pool::create({.workers = static_cast<std::uint32_t>(state.range(0))}).value();
}
int add_one(int x) { return x + 1; }

// Workers awake: the next task comes within the spin window.
void submit_and_get(benchmark::State& state) {
  Pool pool = make_pool(state);
  int i = 0;
  for (auto _ : state) {
    if (pool.submit(fn<&add_one>, i).get().value() != i + 1) state.SkipWithError("wrong result");
    ++i;
  }
}
BENCHMARK(submit_and_get)->Name("pool/submit_get")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();

// Workers asleep: each task waits for the last to be slept off.
void submit_and_get_asleep(benchmark::State& state) {
  Pool pool = make_pool(state);
  for (auto _ : state) {
    state.PauseTiming();
    ::usleep(2000);
    state.ResumeTiming();
    if (pool.submit(fn<&add_one>, 1).get().value() != 2) state.SkipWithError("wrong result");
  }
}
BENCHMARK(submit_and_get_asleep)->Name("pool/submit_get_asleep")->ArgName("workers")->Arg(2)->UseRealTime();

// One by one, with futures: submit 1,000, get 1,000.
void tasks_one_by_one(benchmark::State& state) {
  constexpr int kTasks = 1000;
  Pool pool = make_pool(state);
  std::vector<Future<int>> futures;
  for (auto _ : state) {
    futures.clear();
    for (int i = 0; i < kTasks; ++i) futures.push_back(pool.submit(fn<&add_one>, i));
    for (int i = 0; i < kTasks; ++i) {
      if (futures[static_cast<std::size_t>(i)].get().value() != i + 1) state.SkipWithError("wrong result");
    }
  }
  state.SetItemsProcessed(state.iterations() * kTasks);
}
BENCHMARK(tasks_one_by_one)->Name("pool/tasks_one_by_one")->ArgName("workers")->Arg(1)->Arg(2)->UseRealTime();

void map_of_a_million(benchmark::State& state) {
  constexpr int kItems = 1'000'000;
  Pool pool = make_pool(state);
  for (auto _ : state) {
    const std::vector<int> results = pool.map(fn<&add_one>, std::views::iota(0, kItems)).value();
    if (results.size() != kItems || results.back() != kItems) state.SkipWithError("wrong result");
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(map_of_a_million)
    ->Name("pool/map_1M")
    ->ArgName("workers")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void start_and_stop(benchmark::State& state) {
  for (auto _ : state) make_pool(state);
}
BENCHMARK(start_and_stop)->Name("pool/start_stop")->ArgName("workers")->Arg(2)->Arg(8)->Arg(32)->UseRealTime();

// From a worker's death in a task to the next task's result, with no other worker to run it.
void recovery(benchmark::State& state) {
  Pool pool = Pool::create({.workers = 1}).value();
  for (auto _ : state) {
    (void)pool.submit([] { ::kill(::getpid(), SIGKILL); });
    if (pool.submit(fn<&add_one>, 1).get().value() != 2) state.SkipWithError("wrong result");
  }
}
BENCHMARK(recovery)->Name("pool/recovery")->UseRealTime();

}  // namespace
}  // namespace warren::bench
