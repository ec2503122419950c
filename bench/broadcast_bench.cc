// Broadcast between processes: what a push costs with subscribers and without, and how many items a second arrive at
// one or two of them, in both modes. A queue for each reader is what one would do without it.
#include <benchmark/benchmark.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/queue.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "peer.h"

namespace warren::bench {
namespace {

constexpr int kReaders = 2;  // at most

template <std::size_t Bytes>
struct Message {
  std::array<std::uint64_t, Bytes / 8> words;
};

// Nobody reads.
void push_alone(benchmark::State& state) {
  auto broadcast = Broadcast<Message<64>>::create({.capacity = 4096}).value();
  Message<64> message{};
  for (auto _ : state) {
    ++message.words[0];
    broadcast.push(message);
  }
}

// A push and the pops of its readers, here.
template <SlowReader Mode>
void push_and_pop(benchmark::State& state) {
  auto broadcast = Broadcast<Message<64>>::create({.capacity = 4096, .slow_reader = Mode}).value();
  std::vector<Subscriber<Message<64>>> readers;
  for (int i = 0; i < state.range(0); ++i) readers.push_back(broadcast.subscribe().value());
  Message<64> message{};
  for (auto _ : state) {
    ++message.words[0];
    broadcast.push(message);
    for (auto& reader : readers) benchmark::DoNotOptimize(reader.try_pop());
  }
}

// A peer pushes without end; this process has one or two subscribers, which it reads in turn. Items that were lost
// count as not delivered.
template <SlowReader Mode, std::size_t Bytes>
void one_way(benchmark::State& state) {
  auto broadcast = Broadcast<Message<Bytes>>::create({.capacity = 4096, .slow_reader = Mode}).value();
  std::vector<Subscriber<Message<Bytes>>> readers;
  for (int i = 0; i < state.range(0); ++i) readers.push_back(broadcast.subscribe().value());
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    Message<Bytes> message{};
    for (;;) {
      ++message.words.front(), ++message.words.back();
      broadcast.push(message);
    }
  });
  std::uint64_t last = 0, delivered = 0;
  for (auto _ : state) {
    for (auto& reader : readers) {
      const auto message = reader.pop();
      if (!message || message->words.front() != message->words.back()) state.SkipWithError("torn");
      last = message->words.front();
      ++delivered;
    }
  }
  benchmark::DoNotOptimize(last);
  state.SetItemsProcessed(static_cast<std::int64_t>(delivered));
  std::uint64_t lost = 0;
  for (const auto& reader : readers) lost += reader.lost();
  state.counters["lost"] = static_cast<double>(lost);
}

// The same by a queue for each reader.
template <std::size_t Bytes>
void one_way_by_queues(benchmark::State& state) {
  std::vector<Queue<Message<Bytes>>> queues;
  for (int i = 0; i < state.range(0); ++i) queues.push_back(Queue<Message<Bytes>>::create({.capacity = 4096}).value());
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    Message<Bytes> message{};
    for (;;) {
      ++message.words.front(), ++message.words.back();
      for (auto& queue : queues) queue.push(message);
    }
  });
  std::uint64_t delivered = 0;
  for (auto _ : state) {
    for (auto& queue : queues) {
      const auto message = queue.pop();
      if (!message || message->words.front() != message->words.back()) state.SkipWithError("torn");
      ++delivered;
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(delivered));
}

BENCHMARK(push_alone)->Name("broadcast_push_alone");
BENCHMARK(push_and_pop<SlowReader::kLoses>)->Name("broadcast_push_and_pop/loses")->DenseRange(1, kReaders);
BENCHMARK(push_and_pop<SlowReader::kBlocksWriter>)->Name("broadcast_push_and_pop/blocks")->DenseRange(1, kReaders);
BENCHMARK(one_way<SlowReader::kLoses, 64>)->Name("broadcast_one_way/loses")->DenseRange(1, kReaders)->UseRealTime();
BENCHMARK(one_way<SlowReader::kBlocksWriter, 64>)
    ->Name("broadcast_one_way/blocks")
    ->DenseRange(1, kReaders)
    ->UseRealTime();
BENCHMARK(one_way_by_queues<64>)->Name("broadcast_one_way/queues")->DenseRange(1, kReaders)->UseRealTime();

}  // namespace
}  // namespace warren::bench
