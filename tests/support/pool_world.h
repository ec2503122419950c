// What tests of the pool share: its processes seen from outside, ways of dying, and marks that tasks leave behind.
#pragma once
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/resources.h"
#include "support/watch.h"

namespace warren::test {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

inline constexpr auto kPromptly = 20s;  // an upper bound that only a hang exceeds

inline Pool make_pool(std::uint32_t workers, std::size_t max_pending = 65536) {
  return Pool::create({.workers = workers, .max_pending = max_pending}).value();
}

// Children that die of SIGSEGV or SIGABRT on purpose write no core files.
inline const bool kNoCores = [] {
  const rlimit none{};
  return ::setrlimit(RLIMIT_CORE, &none) == 0;
}();

// --- what tasks leave behind -----------------------------------------------------------------------------------------

// Counters that every process of a test shares. A test makes them before its pool; tasks reach them as `*marks`, since
// what the program had when the pool was made is there in its workers.
struct Marks {
  std::array<std::atomic<std::uint32_t>, 4096> ran;  // how often the item or task was begun
  std::array<std::atomic<pid_t>, 64> pids;
  std::atomic<std::uint32_t> count;
  std::array<std::atomic<std::uint32_t>, 8> gates;

  void open(std::size_t gate) noexcept { gates[gate] = 1; }
  void pass(std::size_t gate) noexcept {
    while (gates[gate] == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  // Waits until `count` have arrived.
  void meet(std::size_t gate, std::uint32_t number) noexcept {
    ++gates[gate];
    while (gates[gate] < number) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  [[nodiscard]] bool await_count(std::uint32_t number) const {
    return eventually([&] { return count >= number; }, kPromptly);
  }
};
inline Marks* marks = nullptr;

// A fixture whose tests have fresh marks.
class WithMarks : public testing::Test {
 protected:
  WithMarks() { marks = &*shared_; }
  ~WithMarks() override { marks = nullptr; }

 private:
  Shared<Marks> shared_;
};

// --- the pool's processes --------------------------------------------------------------------------------------------

inline std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (pid_t child = 0; children >> child;) found.push_back(child);
  return found;
}

inline pid_t supervisor_of(Pool& pool) {
  return pool.apply([] { return ::getppid(); }).value();
}

// Of a pool in which every worker has started.
inline std::vector<pid_t> workers_of(Pool& pool) {
  const pid_t supervisor = supervisor_of(pool);
  std::vector<pid_t> found;
  EXPECT_TRUE(eventually([&] { return (found = children_of(supervisor)).size() == pool.workers(); }, kPromptly));
  return found;
}

inline bool gone(pid_t pid) {
  const char state = process_state(pid);
  return state == '?' || state == 'Z';
}
inline bool all_gone(const std::vector<pid_t>& pids) {
  return eventually([&] { return std::ranges::all_of(pids, gone); }, kPromptly);
}

// --- ways of dying ---------------------------------------------------------------------------------------------------

[[gnu::noinline]] inline std::size_t overflow_stack(std::size_t depth) {
  std::array<char, 4096> frame;
  asm volatile("" : : "r"(frame.data()) : "memory");
  return depth == SIZE_MAX ? 0 : 1 + overflow_stack(depth + 1) + static_cast<std::size_t>(frame[depth % frame.size()]);
}

enum class Death {
  kKilled,
  kSegfault,
  kAbort,
  kExitZero,
  kQuickExit,
  kStackOverflow,
  kInThread,
  kUncaughtInThread,
  kThreadExit
};

inline void die(Death how) {
  switch (how) {
    case Death::kKilled: ::kill(::getpid(), SIGKILL); break;
    case Death::kSegfault: ::raise(SIGSEGV); break;
    case Death::kAbort: std::abort();
    case Death::kExitZero: std::exit(0);
    case Death::kQuickExit: ::_exit(3);
    case Death::kStackOverflow: (void)overflow_stack(0); break;
    case Death::kInThread: std::thread([] { ::kill(::getpid(), SIGKILL); }).join(); break;
    case Death::kUncaughtInThread: std::thread([]() noexcept { std::abort(); }).join(); break;
    case Death::kThreadExit: ::pthread_exit(nullptr);
  }
}

}  // namespace warren::test
