// Waiting for a word in shared memory: spin while that pays, then sleep in slices. docs/algorithms/wait_word.md.
//
// A wait word is u32 {sequence:31, W:1}. W says that somebody may be asleep; the notifier that sees it changes the word
// and wakes. Wakes are an optimisation: a death between commit and wake strands nobody for longer than a slice.
#pragma once
#include <warren/ipc/time.h>
#include <warren/layout/abi.h>

#include <atomic>
#include <chrono>
#include <climits>

namespace warren::detail {

inline constexpr int kWakeAll = INT_MAX;

// What a look at the state found.
enum class Progress {
  kDone,         // what was waited for is there
  kBlocked,      // it is not; whoever brings it will notify
  kStalled,      // somebody stands in the way and may be dead: look again soon, then less soon
  kStalledAnew,  // likewise, but somebody else than at the last look
};

// Learns whether spinning pays here: doubles its window when the peer answers within it, halves it when not. Threads
// that share a seat share one; a step lost between two of them costs nothing.
class Spinner {
 public:
  // Tries to make before sleeping; 0 where there is one processor only.
  [[nodiscard]] std::uint32_t tries() noexcept;
  void succeeded() noexcept {
    const std::uint32_t now = window();
    set_window(now < kMax / 2 ? (now < kMin ? kMin : now * 2) : kMax);
  }
  void failed() noexcept { set_window(window() / 2 < kMin ? 0 : window() / 2); }
  [[nodiscard]] std::uint32_t window() const noexcept { return window_.load(std::memory_order_relaxed); }

  static constexpr std::uint32_t kPlainTries = 64;  // before the first `pause`
  static constexpr std::uint32_t kMin = 128;
  static constexpr std::uint32_t kMax = 2048;  // about 50 us of `pause`: what a block and wake costs
  static constexpr std::uint32_t kProbeEach =
      32;  // where spinning does not pay: the calls between two that try it again

 private:
  void set_window(std::uint32_t window) noexcept { window_.store(window, std::memory_order_relaxed); }

  std::atomic<std::uint32_t> window_{kMax / 2};
  std::atomic<std::uint32_t> calls_{0};
};

inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Tells "a moment ago" from "long ago": grows by some billions a second, and may differ between processors. It costs
// less than half of what steady_clock costs where that matters most.
inline std::uint64_t tick_count() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}
inline constexpr std::uint64_t kMoment = 4096;  // ticks: one to four microseconds

// Private tunables of this process. Harnesses shorten them.
struct WaitTuning {
  std::atomic<std::int64_t> slice_per_lane_ns{20'000'000};
  std::atomic<std::int64_t> slice_min_ns{80'000'000};
  std::atomic<std::int64_t> slice_max_ns{2'000'000'000};
  std::atomic<std::int64_t> stall_ns{500'000};  // how long a claim may stand before its owner's life is asked for
  std::atomic<bool> spins{true};                // false: waits go to sleep at once
};
WaitTuning& wait_tuning() noexcept;

// How long one sleep lasts at most when `lanes` threads are attached.
std::chrono::nanoseconds slice_for(std::uint32_t lanes) noexcept;

// Between the read-modify-write that announces a waiter and the loads of its test.
void await_barrier(layout::WaitMode mode) noexcept;

// Sets W and orders that store before the loads of the test that follows. Returns the word to sleep on.
std::uint32_t arm(std::atomic<std::uint32_t>& word, layout::WaitMode mode) noexcept;

enum class Slept { kWoken, kSliceExpired };

// Sleeps while `word` is `armed`, until woken, the deadline, or `slice` from now.
Slept sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t armed, Deadline deadline,
               std::chrono::nanoseconds slice) noexcept;

void wake(std::atomic<std::uint32_t>& word, int count) noexcept;

// The word, as it is after the commit that stands before this in the notifier.
[[nodiscard]] inline std::uint32_t seen_after_commit(std::atomic<std::uint32_t>& word, layout::WaitMode mode) noexcept {
  if (mode == layout::WaitMode::kMembarrier) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // [W1] commit before the load; the waiter's membarrier pairs
    return word.load(std::memory_order_relaxed);
  }
  return word.fetch_add(0, std::memory_order_seq_cst);  // [W2] commit before the load; pairs with W3
}

// After the commit: wakes up to `count` sleepers. Costs a load where nobody sleeps.
inline void notify(std::atomic<std::uint32_t>& word, layout::WaitMode mode, int count) noexcept {
  if ((seen_after_commit(word, mode) & 1) != 0) [[unlikely]]
    wake(word, count);
}

// Joins a process to GLOBAL_EXPEDITED membarriers; false where the kernel has none. Once per process, again after exec.
bool join_membarrier() noexcept;

// Tries for as long as that has paid lately.
template <class Test>
bool spin_until_done(Spinner& spinner, Test&& test) {
  const std::uint32_t tries = spinner.tries();
  for (std::uint32_t i = 0; i < tries; ++i) {
    if (i >= Spinner::kPlainTries) cpu_relax();
    if (test() == Progress::kDone) {
      spinner.succeeded();
      return true;
    }
  }
  if (tries != 0) spinner.failed();
  return false;
}

// Sleeps in slices. False: the deadline passed, after a last look. `on_slice` runs whenever a slice expired, or as
// much time in stalls: it looks for the dead. `slice` is a callable, since attached lanes come and go.
template <class Test, class Slice, class OnSlice>
bool sleep_until_done(std::atomic<std::uint32_t>& word, layout::WaitMode mode, Deadline deadline, Test&& test,
                      Slice&& slice, OnSlice&& on_slice) {
  constexpr std::chrono::nanoseconds kFirstStall = std::chrono::microseconds(100);
  constexpr std::chrono::nanoseconds kLastStall = std::chrono::milliseconds(20);
  std::chrono::nanoseconds stood{};
  for (std::chrono::nanoseconds stall = kFirstStall;;) {
    const std::uint32_t armed = arm(word, mode);
    const Progress progress = test();
    if (progress == Progress::kDone) return true;
    if (deadline.expired()) return false;
    if (progress == Progress::kStalledAnew) stall = kFirstStall;
    if (progress == Progress::kStalled || progress == Progress::kStalledAnew) {
      if (sleep_on(word, armed, deadline, stall) == Slept::kSliceExpired) stood += stall;
      stall = std::min(stall * 2, kLastStall);
      if (stood < slice()) continue;
      stood = {};
      on_slice();
    } else {
      stall = kFirstStall;
      if (sleep_on(word, armed, deadline, slice()) == Slept::kSliceExpired) on_slice();
    }
  }
}

// Waits until `test` says kDone: true. False: the deadline passed.
template <class Test, class Slice, class OnSlice>
bool await(std::atomic<std::uint32_t>& word, layout::WaitMode mode, Spinner& spinner, Deadline deadline, Test&& test,
           Slice&& slice, OnSlice&& on_slice) {
  if (test() == Progress::kDone) return true;
  if (deadline.expired()) return false;
  if (spin_until_done(spinner, test)) return true;
  return sleep_until_done(word, mode, deadline, test, slice, on_slice);
}

}  // namespace warren::detail
