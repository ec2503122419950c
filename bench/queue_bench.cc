// Queue, SpscQueue and a peer of that between two processes, each on a processor of its own; every item is checked.
#include <benchmark/benchmark.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>

#include <array>
#include <cstdint>
#include <string>

#include "peer.h"
#include "spsc_peer.h"

namespace warren::bench {
namespace {

template <std::size_t Bytes>
struct Message {
  std::array<std::uint64_t, Bytes / 8> words;
};
template <std::size_t Bytes>
Message<Bytes> message(std::uint64_t i) {
  Message<Bytes> m{};
  m.words.front() = m.words.back() = i;
  return m;
}
template <std::size_t Bytes>
bool is(const Message<Bytes>& m, std::uint64_t i) {
  return m.words.front() == i && m.words.back() == i;
}

template <template <class> class QueueOf, std::size_t Bytes>
void round_trip(benchmark::State& state) {
  using M = Message<Bytes>;
  auto there = QueueOf<M>::create({.capacity = 1024}).value();
  auto back = QueueOf<M>::create({.capacity = 1024}).value();
  const Pinned pinned(kHere);
  const Peer peer(static_cast<int>(state.range(0)), [&] {
    while (const std::optional<M> m = there.pop()) back.push(*m);
  });
  std::uint64_t i = 0;
  for (auto _ : state) {
    there.push(message<Bytes>(++i));
    if (const std::optional<M> m = back.pop(); !m || !is(*m, i)) state.SkipWithError("lost or torn");
  }
}

template <template <class> class QueueOf, std::size_t Bytes>
void one_way(benchmark::State& state) {
  using M = Message<Bytes>;
  auto queue = QueueOf<M>::create({.capacity = 4096}).value();
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (std::uint64_t i = 0;; ++i) queue.push(message<Bytes>(i));
  });
  std::uint64_t i = 0;
  for (auto _ : state) {
    if (const std::optional<M> m = queue.pop(); !m || !is(*m, i)) state.SkipWithError("lost or torn");
    ++i;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(i));
  state.SetBytesProcessed(static_cast<std::int64_t>(i * Bytes));
}

template <template <class> class QueueOf, std::size_t Bytes>
void one_way_in_batches(benchmark::State& state) {
  using M = Message<Bytes>;
  constexpr std::size_t kBatch = 64;
  auto queue = QueueOf<M>::create({.capacity = 4096}).value();
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    std::array<M, kBatch> batch{};
    for (std::uint64_t i = 0;;) {
      for (M& m : batch) m = message<Bytes>(i++);
      (void)queue.push_n(batch);
    }
  });
  std::uint64_t i = 0;
  std::array<M, kBatch> batch{};
  for (auto _ : state) {
    for (std::size_t n = queue.pop_n(batch), k = 0; k < n; ++k) {
      if (!is(batch[k], i++)) state.SkipWithError("lost or torn");
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(i));
  state.SetBytesProcessed(static_cast<std::int64_t>(i * Bytes));
}

template <template <class> class QueueOf, std::size_t Bytes>
void add(const std::string& queue) {
  const std::string size = "/" + std::to_string(Bytes);
  benchmark::RegisterBenchmark((queue + "/round_trip" + size).c_str(), round_trip<QueueOf, Bytes>)
      ->ArgName("core")
      ->Arg(kThere)
      ->UseRealTime();
  benchmark::RegisterBenchmark((queue + "/one_way" + size).c_str(), one_way<QueueOf, Bytes>)->UseRealTime();
  benchmark::RegisterBenchmark((queue + "/one_way_batches" + size).c_str(), one_way_in_batches<QueueOf, Bytes>)
      ->UseRealTime();
}

template <template <class> class QueueOf>
bool add_all(const std::string& queue) {
  add<QueueOf, 8>(queue);
  add<QueueOf, 64>(queue);
  add<QueueOf, 1024>(queue);
  // Both on one core: every message costs two switches, as it does with a bare futex.
  benchmark::RegisterBenchmark((queue + "/round_trip_one_core/8").c_str(), round_trip<QueueOf, 8>)
      ->ArgName("core")
      ->Arg(kHere)
      ->UseRealTime();
  return true;
}
const bool added = add_all<SpscQueue>("spsc_queue") && add_all<Queue>("queue");
// Not on one core: there its spinning waits for the end of each time slice.
const bool peers_added =
    (add<BoostSpsc, 8>("boost_spsc"), add<BoostSpsc, 64>("boost_spsc"), add<BoostSpsc, 1024>("boost_spsc"), true);

// One process, no contention: what the instructions cost.
template <template <class> class QueueOf>
void push_and_pop(benchmark::State& state) {
  auto queue = QueueOf<std::uint64_t>::create({.capacity = 1024}).value();
  std::uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(queue.try_push(++i));
    benchmark::DoNotOptimize(queue.try_pop());
  }
}
BENCHMARK(push_and_pop<SpscQueue>)->Name("spsc_queue/push_and_pop/8");
BENCHMARK(push_and_pop<Queue>)->Name("queue/push_and_pop/8");

}  // namespace
}  // namespace warren::bench
