// Queue<std::string> between two processes, each on a processor of its own: items that are copied, and items that are
// lent in place.
#include <benchmark/benchmark.h>
#include <warren/ipc/queue.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "peer.h"

namespace warren::bench {
namespace {

using Texts = Queue<std::string>;

void copied(benchmark::State& state) {
  auto there = Texts::create({.capacity = 64}).value();
  auto back = Texts::create({.capacity = 64}).value();
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    while (const std::optional<std::string> text = there.pop()) back.push(*text);
  });
  std::string text(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    ++text.front();
    there.push(text);
    if (const std::optional<std::string> echo = back.pop(); !echo || *echo != text) state.SkipWithError("lost or torn");
  }
  state.SetBytesProcessed(state.iterations() * 2 * state.range(0));
}

// Written and read at both ends only: what lies between costs what the writer makes of it.
void lent(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  auto there = Texts::create({.capacity = 64}).value();
  auto back = Texts::create({.capacity = 64}).value();
  const auto send = [size](Texts& queue, char mark) {
    auto loan = queue.loan(size);
    (*loan).front() = (*loan).back() = mark;
    queue.push(std::move(loan));
  };
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    while (const auto text = there.borrow()) send(back, (*text).back());
  });
  char mark = 0;
  for (auto _ : state) {
    send(there, ++mark);
    if (const auto echo = back.borrow(); !echo || (*echo).front() != mark || (*echo).back() != mark) {
      state.SkipWithError("lost or torn");
    }
  }
}

void add_sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgName("bytes")->Arg(8)->Arg(64)->Arg(1 << 10)->Arg(64 << 10)->Arg(1 << 20)->UseRealTime();
}
BENCHMARK(copied)->Name("queue_of_strings/round_trip_copied")->Apply(add_sizes);
BENCHMARK(lent)->Name("queue_of_strings/round_trip_lent")->Apply(add_sizes);

}  // namespace
}  // namespace warren::bench
