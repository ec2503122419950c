// SpscRecords between two processes, each on a processor of its own, beside the two memcpy that a record costs at
// least; every record is checked. SpscQueue of 1 KiB items stands in queue_bench.cc.
#include <benchmark/benchmark.h>
#include <warren/ipc/spsc_queue.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "peer.h"

namespace warren::bench {
namespace {

constexpr std::size_t kRing = 4 << 20;

// The number stands at both ends of a record.
void write(std::span<std::byte> record, std::uint64_t i) {
  std::memcpy(record.data(), &i, sizeof i);
  std::memcpy(record.data() + record.size() - sizeof i, &i, sizeof i);
}
bool is(std::span<const std::byte> record, std::uint64_t i) {
  return record.size() >= sizeof i && std::memcmp(record.data(), &i, sizeof i) == 0 &&
         std::memcmp(record.data() + record.size() - sizeof i, &i, sizeof i) == 0;
}
void report(benchmark::State& state, std::uint64_t records) {
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
  state.SetBytesProcessed(static_cast<std::int64_t>(records) * state.range(0));
}

void copied(benchmark::State& state) {
  auto ring = SpscRecords::create(kRing).value();
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    std::vector<std::byte> record(bytes);
    for (std::uint64_t i = 0;; ++i) {
      write(record, i);
      ring.push(record);
    }
  });
  std::uint64_t i = 0;
  for (auto _ : state) {
    if (const auto record = ring.pop(); !record || !is(*record, i)) state.SkipWithError("lost or torn");
    ++i;
  }
  report(state, i);
}
BENCHMARK(copied)->Name("spsc_records/one_way")->Arg(8)->Arg(64)->Arg(1024)->UseRealTime();

void in_place(benchmark::State& state) {
  auto ring = SpscRecords::create(kRing).value();
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (std::uint64_t i = 0;; ++i) {
      auto loan = ring.loan(bytes);
      write(*loan, i);
      ring.push(std::move(loan));
    }
  });
  std::uint64_t i = 0;
  for (auto _ : state) {
    if (const auto record = ring.borrow(); !record || !is(*record, i)) state.SkipWithError("lost or torn");
    ++i;
  }
  report(state, i);
}
BENCHMARK(in_place)->Name("spsc_records/one_way_in_place")->Arg(8)->Arg(64)->Arg(1024)->UseRealTime();

// One process, no contention: a push and a pop, and the two copies in them.
void push_and_pop(benchmark::State& state) {
  auto ring = SpscRecords::create(kRing).value();
  const std::vector<std::byte> record(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(ring.try_push(record));
    benchmark::DoNotOptimize(ring.try_pop());
  }
}
BENCHMARK(push_and_pop)->Name("spsc_records/push_and_pop")->Arg(8)->Arg(1024);

void two_copies(benchmark::State& state) {
  std::vector<std::byte> from(static_cast<std::size_t>(state.range(0))), through(from.size()), to(from.size());
  for (auto _ : state) {
    std::memcpy(through.data(), from.data(), from.size());
    benchmark::DoNotOptimize(through.data());
    benchmark::ClobberMemory();
    std::memcpy(to.data(), through.data(), to.size());
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(two_copies)->Name("limit/memcpy_twice")->Arg(8)->Arg(1024);

}  // namespace
}  // namespace warren::bench
