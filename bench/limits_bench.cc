// What the machine charges: nothing between two processes can be faster. Every other figure is read beside these.
#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "peer.h"

namespace warren::bench {
namespace {

struct alignas(128) Line {
  std::atomic<std::uint64_t> value{0};
};

// A number there and back, each way on a line of its own.
void line_round_trip(benchmark::State& state) {
  struct Lines {
    Line there, back;
  };
  Shared<Lines> lines;
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (std::uint64_t i = 1;; ++i) {
      while (lines->there.value.load(std::memory_order_acquire) != i) {
      }
      lines->back.value.store(i, std::memory_order_release);
    }
  });
  std::uint64_t i = 0;
  for (auto _ : state) {
    lines->there.value.store(++i, std::memory_order_release);
    while (lines->back.value.load(std::memory_order_acquire) != i) {
    }
  }
}
BENCHMARK(line_round_trip)->Name("limit/line_round_trip")->UseRealTime();

// 64-byte lines one way through a ring, published `batch` at a time.
void line_stream(benchmark::State& state) {
  constexpr std::uint64_t kLines = 4096;
  struct Ring {
    Line tail, head;
    Line lines[kLines];
  };
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  Shared<Ring> ring;
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (std::uint64_t tail = 0, head = 0;;) {
      while (tail + batch - head > kLines) head = ring->head.value.load(std::memory_order_acquire);
      for (std::uint64_t i = 0; i < batch; ++i, ++tail) {
        ring->lines[tail % kLines].value.store(tail, std::memory_order_relaxed);
      }
      ring->tail.value.store(tail, std::memory_order_release);
    }
  });
  std::uint64_t head = 0, tail = 0;
  for (auto _ : state) {
    while (tail == head) tail = ring->tail.value.load(std::memory_order_acquire);
    for (; head != tail; ++head) {
      if (ring->lines[head % kLines].value.load(std::memory_order_relaxed) != head) state.SkipWithError("torn");
    }
    ring->head.value.store(head, std::memory_order_release);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(head));
}
BENCHMARK(line_stream)->Name("limit/line_stream")->Arg(1)->Arg(8)->Arg(64)->UseRealTime();

// Block and be woken, there and back.
void futex_round_trip(benchmark::State& state) {
  struct Words {
    std::atomic<std::uint32_t> there{0}, back{0};
  };
  Shared<Words> words;
  const auto futex = [](std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
    return ::syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
  };
  const auto wait_for = [&futex](std::atomic<std::uint32_t>& word, std::uint32_t value) {
    for (std::uint32_t seen = word.load(); seen != value; seen = word.load()) futex(word, FUTEX_WAIT, seen);
  };
  const Pinned pinned(kHere);
  const Peer peer(static_cast<int>(state.range(0)), [&] {
    for (std::uint32_t i = 1;; ++i) {
      wait_for(words->there, i);
      words->back.store(i);
      futex(words->back, FUTEX_WAKE, 1);
    }
  });
  std::uint32_t i = 0;
  for (auto _ : state) {
    words->there.store(++i);
    futex(words->there, FUTEX_WAKE, 1);
    wait_for(words->back, i);
  }
}
BENCHMARK(futex_round_trip)->Name("limit/futex_round_trip")->ArgName("core")->Arg(kThere)->Arg(kHere)->UseRealTime();

void fork_and_wait(benchmark::State& state) {
  const auto children = static_cast<std::size_t>(state.range(0));
  std::vector<pid_t> pids(children);
  for (auto _ : state) {
    for (pid_t& pid : pids) {
      pid = ::fork();
      if (pid == 0) ::_exit(0);
    }
    for (const pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  }
}
BENCHMARK(fork_and_wait)->Name("limit/fork_and_wait")->ArgName("processes")->Arg(2)->Arg(8)->Arg(32)->UseRealTime();

}  // namespace
}  // namespace warren::bench
