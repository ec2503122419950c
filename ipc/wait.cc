#include <warren/ipc/detail/wait.h>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace warren::detail {
namespace {

constexpr std::uint32_t kW = 1;
constexpr std::uint32_t kNext = 2;  // one step of the sequence

// Shared between processes: no FUTEX_PRIVATE_FLAG.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) noexcept {
  return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr,
                   FUTEX_BITSET_MATCH_ANY);
}

// Of the machine, not of this process's affinity: who is pinned to one processor may wait for who is pinned to another.
// Where both share one, the window learns that spinning does not pay.
bool single_processor() noexcept {
  static const bool single = ::sysconf(_SC_NPROCESSORS_ONLN) <= 1;
  return single;
}

timespec to_timespec(std::chrono::steady_clock::time_point t) noexcept {
  const auto since = t.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return {.tv_sec = static_cast<time_t>(seconds.count()), .tv_nsec = static_cast<long>((since - seconds).count())};
}

}  // namespace

std::uint32_t Spinner::tries() noexcept {
  if (single_processor() || !wait_tuning().spins.load(std::memory_order_relaxed)) return 0;
  if (const std::uint32_t now = window(); now != 0) return now;
  const std::uint32_t calls = calls_.load(std::memory_order_relaxed) + 1;
  calls_.store(calls, std::memory_order_relaxed);
  return calls % kProbeEach == 0 ? kMin : 0;
}

WaitTuning& wait_tuning() noexcept {
  static WaitTuning tuning;
  return tuning;
}

std::chrono::nanoseconds slice_for(std::uint32_t lanes) noexcept {
  const WaitTuning& tuning = wait_tuning();
  const std::int64_t wanted = tuning.slice_per_lane_ns.load(std::memory_order_relaxed) * std::max(lanes, 1u);
  const std::int64_t least = tuning.slice_min_ns.load(std::memory_order_relaxed);
  const std::int64_t most = std::max(least, tuning.slice_max_ns.load(std::memory_order_relaxed));
  return std::chrono::nanoseconds(std::clamp(wanted, least, most));
}

std::chrono::nanoseconds look_period() noexcept {
  return std::chrono::nanoseconds(wait_tuning().look_ns.load(std::memory_order_relaxed));
}

std::chrono::nanoseconds line_look_period() noexcept {
  return std::chrono::nanoseconds(wait_tuning().line_look_ns.load(std::memory_order_relaxed));
}

bool join_membarrier() noexcept {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void await_barrier(layout::WaitMode mode) noexcept {
  if (mode == layout::WaitMode::kMembarrier) {
    (void)::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);  // pairs with W1
  }
}

std::uint32_t arm(std::atomic<std::uint32_t>& word, layout::WaitMode mode) noexcept {
  const std::uint32_t before =
      word.fetch_or(kW, std::memory_order_seq_cst);  // [W3] W before the test's loads; pairs with W2
  await_barrier(mode);
  return before | kW;
}

Slept sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t armed, Deadline deadline,
               std::chrono::nanoseconds most) noexcept {
  const auto end = std::chrono::steady_clock::now() + most;
  const bool end_first = end < deadline.time();
  const timespec until = to_timespec(end_first ? end : deadline.time());
  const long result = futex(word, FUTEX_WAIT_BITSET, armed, &until);
  return result != 0 && errno == ETIMEDOUT && end_first ? Slept::kRanOut : Slept::kWoken;
}

// Waking all changes the word first, by CAS: storing {sequence + 1, 0} would let a late notifier turn the sequence back
// and put to sleep who has not slept yet. Waking some leaves W to those who sleep on. A wake that finds fewer sleepers
// than it was for does not prove that nobody sleeps: somebody may have fallen asleep just after. So it clears W, again
// by CAS, and then wakes all; after the CAS nobody falls asleep on the old word.
void wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  std::uint32_t seen = word.load(std::memory_order_relaxed);
  if ((seen & kW) == 0) return;
  if (count != kWakeAll) {
    if (futex(word, FUTEX_WAKE, static_cast<std::uint32_t>(count), nullptr) >= count) return;
    if (!word.compare_exchange_strong(seen, (seen + kNext) & ~kW, std::memory_order_relaxed)) return;
  } else {
    while (!word.compare_exchange_weak(seen, (seen + kNext) & ~kW, std::memory_order_relaxed)) {
      if ((seen & kW) == 0) return;
    }
  }
  WARREN_CRASH_POINT(wake_announced);  // sleepers that nobody wakes: their slices
  futex(word, FUTEX_WAKE, static_cast<std::uint32_t>(kWakeAll), nullptr);
}

}  // namespace warren::detail
