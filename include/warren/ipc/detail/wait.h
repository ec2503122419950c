// Waiting for a word in shared memory: spin while that pays, then sleep in slices. docs/algorithms/wait_word.md.
//
// A wait word is u32 {sequence:31, W:1}. W says that somebody may be asleep; the notifier that sees it changes the word
// and wakes. Wakes are an optimisation: a death between commit and wake strands nobody for longer than a slice.
#pragma once
#include <warren/ipc/time.h>
#include <warren/layout/abi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>

namespace warren::detail {

inline constexpr int kWakeAll = INT_MAX;
using Time = std::chrono::steady_clock::time_point;

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
  // By a test that pauses itself: each pause stands for a try, or the window would last that much longer.
  void paused(std::uint32_t pauses) noexcept { pauses_.store(pauses, std::memory_order_relaxed); }
  // Since this was asked last.
  [[nodiscard]] std::uint32_t take_pauses() noexcept {
    const std::uint32_t pauses = pauses_.load(std::memory_order_relaxed);
    if (pauses != 0) paused(0);
    return pauses;
  }

  static constexpr std::uint32_t kPlainTries = 64;  // before the first `pause`
  static constexpr std::uint32_t kMin = 128;
  static constexpr std::uint32_t kMax = 2048;  // about 50 us of `pause`: what a block and wake costs
  static constexpr std::uint32_t kProbeEach =
      32;  // where spinning does not pay: the calls between two that try it again

 private:
  void set_window(std::uint32_t window) noexcept { window_.store(window, std::memory_order_relaxed); }

  std::atomic<std::uint32_t> window_{kMax / 2};
  std::atomic<std::uint32_t> calls_{0};
  std::atomic<std::uint32_t> pauses_{0};
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
  std::atomic<std::int64_t> slice_min_ns{320'000'000};
  std::atomic<std::int64_t> slice_max_ns{2'000'000'000};
  std::atomic<std::int64_t> look_ns{32'000'000};
  std::atomic<std::int64_t> line_look_ns{20'000'000};
  std::atomic<std::int64_t> stall_ns{500'000};  // how long a claim may stand before its owner's life is asked for
  std::atomic<bool> spins{true};                // false: waits go to sleep at once
  std::atomic<std::uint64_t> short_look_ticks{kMoment};  // who polls an empty ring looks at all of it no more often
};
WaitTuning& wait_tuning() noexcept;

// How long a sleeper sleeps at most before it sweeps, when `lanes` threads are attached.
std::chrono::nanoseconds slice_for(std::uint32_t lanes) noexcept;
// From one look at whether somebody died, who need be swept sooner, to the next.
std::chrono::nanoseconds look_period() noexcept;
// What a killed receiver costs a sender that waits for room: nobody wakes it, and it asks after the line that often.
std::chrono::nanoseconds line_look_period() noexcept;

// Between the read-modify-write that announces a waiter and the loads of its test.
void await_barrier(layout::WaitMode mode) noexcept;

// Sets W and orders that store before the loads of the test that follows. Returns the word to sleep on.
std::uint32_t arm(std::atomic<std::uint32_t>& word, layout::WaitMode mode) noexcept;

enum class Slept {
  kWoken,   // or the deadline passed
  kRanOut,  // the time is over, and the word as it was
};

// Sleeps while `word` is `armed`, until woken, the deadline, or `most` from now.
Slept sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t armed, Deadline deadline,
               std::chrono::nanoseconds most) noexcept;

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
  for (std::uint32_t i = 0; i < tries; i += 1 + spinner.take_pauses()) {
    if (i >= Spinner::kPlainTries) cpu_relax();
    if (test() == Progress::kDone) {
      spinner.succeeded();
      return true;
    }
  }
  if (tries != 0) spinner.failed();
  return false;
}

// Less by up to a quarter, by chance: of those who came together one comes first.
[[nodiscard]] inline std::chrono::nanoseconds about(std::chrono::nanoseconds period, Time now) noexcept {
  return period - std::chrono::nanoseconds((now.time_since_epoch().count() >> 4) % (period.count() / 4 + 1));
}

// Of a sleeper that is told of deaths in another way, or need not be.
struct NoLooks {
  [[nodiscard]] static Time next(Time) noexcept { return Time::max(); }
  [[nodiscard]] static bool found_dead(Time) noexcept { return false; }
};

// When a sleeper looks after the dead: when a slice is over, or at one of the looks between if that finds one.
template <class Slice, class Looks>
class Vigil {
 public:
  Vigil(Slice& slice, Looks& looks) : slice_(slice), looks_(looks) { begin(); }
  // How long to sleep now.
  [[nodiscard]] std::chrono::nanoseconds left() const {
    return std::max(std::min(slice_end_, look_at_) - std::chrono::steady_clock::now(), std::chrono::nanoseconds(0));
  }
  // True: it is time to sweep.
  [[nodiscard]] bool over() {
    const Time now = std::chrono::steady_clock::now();
    if (now >= slice_end_) return true;
    if (now < look_at_) return false;
    const bool found = looks_.found_dead(now);
    look_at_ = looks_.next(now);
    return found;
  }
  // The next slice, behind the sweep: one that takes long would use it up, and nobody would sleep any more.
  void begin() {
    const Time now = std::chrono::steady_clock::now();
    slice_end_ = now + about(slice_(), now);
    look_at_ = looks_.next(now);
  }

 private:
  Slice& slice_;
  Looks& looks_;
  Time slice_end_, look_at_;
};

// Sleeps in slices. False: the deadline passed, after a last look. `on_slice` runs whenever a slice is over, however
// often somebody woke it meanwhile, or when `looks` found somebody dead: it sweeps. `slice` is a callable, since
// attached lanes come and go.
template <class Test, class Slice, class OnSlice, class Looks = NoLooks>
bool sleep_until_done(std::atomic<std::uint32_t>& word, layout::WaitMode mode, Deadline deadline, Test&& test,
                      Slice&& slice, OnSlice&& on_slice, Looks&& looks = {}) {
  constexpr std::chrono::nanoseconds kFirstStall = std::chrono::microseconds(100);
  constexpr std::chrono::nanoseconds kLastStall = std::chrono::milliseconds(20);
  Vigil vigil(slice, looks);
  for (std::chrono::nanoseconds stall = kFirstStall;;) {
    const std::uint32_t armed = arm(word, mode);
    const Progress progress = test();
    if (progress == Progress::kDone) return true;
    if (deadline.expired()) return false;
    if (progress != Progress::kStalled) stall = kFirstStall;
    bool over = false;
    if (progress == Progress::kBlocked) {
      // A sleep that ran out left the word as it was: armed, and nothing was notified.
      while (!over && sleep_on(word, armed, deadline, vigil.left()) == Slept::kRanOut) over = vigil.over();
    } else {
      (void)sleep_on(word, armed, deadline, std::min(stall, vigil.left()));
      stall = std::min(stall * 2, kLastStall);
    }
    if (over || vigil.over()) {
      on_slice();
      vigil.begin();
    }
  }
}

// Waits until `test` says kDone: true. False: the deadline passed.
template <class Test, class Slice, class OnSlice, class Looks = NoLooks>
bool await(std::atomic<std::uint32_t>& word, layout::WaitMode mode, Spinner& spinner, Deadline deadline, Test&& test,
           Slice&& slice, OnSlice&& on_slice, Looks&& looks = {}) {
  if (test() == Progress::kDone) return true;
  if (deadline.expired()) return false;
  if (spin_until_done(spinner, test)) return true;
  return sleep_until_done(word, mode, deadline, test, slice, on_slice, looks);
}

}  // namespace warren::detail
