// Who a process is, beyond its pid, and whether it is dead beyond doubt.
#pragma once
#include <sys/types.h>
#include <warren/layout/lane.h>

#include <optional>

namespace warren::detail {

// A pid alone is reused; with its start time and namespaces it is not.
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_time = 0;      // clock ticks since boot
  std::uint32_t pid_namespace = 0;   // inode; pids of different namespaces do not compare,
  std::uint32_t time_namespace = 0;  // nor do start times: /proc shows them shifted to the reader's

  // False where /proc could not be read: no descriptor left, not mounted, or it is another pid namespace's. Then it
  // says nothing, and must not be written where others would conclude something from it.
  [[nodiscard]] bool known() const noexcept { return start_time != 0 && pid_namespace != 0 && time_namespace != 0; }
  [[nodiscard]] std::uint32_t start_low() const noexcept {
    return static_cast<std::uint32_t>(start_time) & layout::LaneIdentity::kStartMask;
  }
};

// This process; read once, and again after a fork; while it is not known() by every call.
const ProcessIdentity& this_process() noexcept;

// Never 0; another number after every fork, also by raw clone: it lies in memory that the kernel wipes in a child.
[[nodiscard]] inline std::uint64_t process_epoch() noexcept;

// CLOCK_REALTIME, for people to read.
std::uint64_t realtime_ns() noexcept;

// Of /proc/PID/stat.
struct ProcessStat {
  pid_t pid = 0;  // in the pid namespace that /proc belongs to
  char state = '?';
  std::uint64_t start_time = 0;
  std::uint64_t threads = 0;
};
enum class StatError { kGone, kUnknown };  // no such process; could not tell (permissions, descriptors)
struct StatResult {
  std::optional<ProcessStat> stat;
  StatError error = StatError::kUnknown;
};
StatResult read_process_stat(pid_t pid) noexcept;

// True only when it is certain: no such pid; or another start time, or a zombie without threads, in a /proc of this
// process's own pid namespace. "Could not tell" is false.
bool confirmed_dead(pid_t pid, std::uint64_t start_time) noexcept;
bool confirmed_dead(const layout::LaneIdentity& identity, std::uint64_t start_time) noexcept;

// A hint, for a microsecond where confirmed_dead() costs fifteen, whether to ask that: true of whoever is dead beyond
// doubt but a pid that was given to another one meanwhile; true of some who live; false where nothing can be told.
bool seems_gone(pid_t pid) noexcept;

// Where the epoch lies, and who sets it where it reads 0. Both are for process_epoch() alone.
extern std::atomic<const std::uint64_t*> epoch_page;
std::uint64_t renew_epoch() noexcept;

[[nodiscard]] inline std::uint64_t process_epoch() noexcept {
  auto& word = const_cast<std::uint64_t&>(*epoch_page.load(std::memory_order_acquire));  // [L18] pairs with L17
  const std::uint64_t epoch = std::atomic_ref(word).load(std::memory_order_relaxed);
  return epoch != 0 ? epoch : renew_epoch();
}

}  // namespace warren::detail
