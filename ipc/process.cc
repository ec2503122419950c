#include <warren/ipc/detail/process.h>

#include <warren/ipc/detail/check.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace warren::detail {
namespace {

// Reads the n-th field after the command name, counted from 3 as proc(5) does. The name may hold spaces and
// parentheses, so fields count from the last ')'.
std::string_view stat_field(std::string_view stat, int number) {
  const std::size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string_view::npos) return {};
  stat.remove_prefix(end_of_name + 1);
  for (int field = 2; !stat.empty();) {
    const std::size_t begin = stat.find_first_not_of(' ');
    if (begin == std::string_view::npos) return {};
    stat.remove_prefix(begin);
    const std::size_t end = std::min(stat.find(' '), stat.size());
    if (++field == number) return stat.substr(0, end);
    stat.remove_prefix(end);
  }
  return {};
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// How many numbers the line NSpid of /proc/self/status holds: one where /proc belongs to the caller's own pid
// namespace, and one more for each namespace between. It may stand behind thousands of groups. 0: it could not be read.
std::size_t numbers_in_proc() noexcept {
  constexpr std::string_view kLine = "\nNSpid:";
  const int fd = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 2048> text{};
  std::size_t kept = 0;
  std::size_t numbers = 0;
  while (numbers == 0) {
    const ssize_t got = ::read(fd, text.data() + kept, text.size() - kept);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    const std::string_view all(text.data(), kept + static_cast<std::size_t>(got));
    const std::size_t found = all.find(kLine);
    const std::size_t end = found == std::string_view::npos ? found : all.find('\n', found + kLine.size());
    if (end != std::string_view::npos) {
      const std::string_view line = all.substr(found + kLine.size(), end - found - kLine.size());
      numbers = static_cast<std::size_t>(std::ranges::count(line, '\t'));
    }
    kept = std::min(all.size(), text.size() / 2);  // in which the line may have begun
    std::memmove(text.data(), all.data() + all.size() - kept, kept);
  }
  ::close(fd);
  return numbers;
}

std::uint32_t inode_of(const char* path) {
  struct stat st {};
  return ::stat(path, &st) == 0 ? static_cast<std::uint32_t>(st.st_ino) : 0;
}

StatResult read_stat(const char* path) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {.stat = {}, .error = errno == ENOENT ? StatError::kGone : StatError::kUnknown};
  std::array<char, 1024> text{};
  ssize_t length = 0;
  do length = ::read(fd, text.data(), text.size());
  while (length < 0 && errno == EINTR);
  const int error = errno;
  ::close(fd);
  if (length < 0) return {.stat = {}, .error = error == ESRCH ? StatError::kGone : StatError::kUnknown};
  const std::string_view stat(text.data(), static_cast<std::size_t>(length));
  const std::string_view state = stat_field(stat, 3);
  const std::string_view start = stat_field(stat, 22);
  if (state.empty() || start.empty()) return {};
  return {.stat = ProcessStat{.pid = static_cast<pid_t>(to_number(stat)),
                              .state = state[0],
                              .start_time = to_number(start),
                              .threads = to_number(stat_field(stat, 20))},
          .error = {}};
}

// /proc may belong to another pid namespace (unshare --pid without --mount-proc): what it shows under a number is then
// somebody else. So its entry of this process must bear the number that this process knows itself by, and no other.
StatResult read_own_stat() noexcept {
  const StatResult own = read_stat("/proc/self/stat");
  return own.stat && own.stat->pid == ::getpid() && numbers_in_proc() == 1 ? own : StatResult{};
}

ProcessIdentity read_identity() {
  const StatResult result = read_own_stat();
  ProcessIdentity self{.pid = ::getpid(),
                       .start_time = result.stat ? result.stat->start_time : 0,
                       .pid_namespace = inode_of("/proc/thread-self/ns/pid"),
                       .time_namespace = inode_of("/proc/thread-self/ns/time")};
  // A kernel without time namespaces has but one.
  if (self.time_namespace == 0 && self.pid_namespace != 0 && errno == ENOENT) self.time_namespace = 1;
  return self;
}

// What the first thread of this process read, for the others: one that starts when no descriptor is left must still
// know who it is. `epoch` is stored last. Two threads may write at once: the same values.
struct SharedIdentity {
  std::atomic<std::uint64_t> epoch{0};
  std::atomic<pid_t> pid{0};
  std::atomic<std::uint64_t> start_time{0};
  std::atomic<std::uint32_t> pid_namespace{0};
  std::atomic<std::uint32_t> time_namespace{0};
};
constinit SharedIdentity shared_identity;

bool load_shared_identity(std::uint64_t epoch, ProcessIdentity& to) {
  if (shared_identity.epoch.load(std::memory_order_acquire) != epoch) return false;  // [L14] pairs with L15
  to = {.pid = shared_identity.pid.load(std::memory_order_relaxed),
        .start_time = shared_identity.start_time.load(std::memory_order_relaxed),
        .pid_namespace = shared_identity.pid_namespace.load(std::memory_order_relaxed),
        .time_namespace = shared_identity.time_namespace.load(std::memory_order_relaxed)};
  return true;
}

void share_identity(std::uint64_t epoch, const ProcessIdentity& self) {
  shared_identity.pid.store(self.pid, std::memory_order_relaxed);
  shared_identity.start_time.store(self.start_time, std::memory_order_relaxed);
  shared_identity.pid_namespace.store(self.pid_namespace, std::memory_order_relaxed);
  shared_identity.time_namespace.store(self.time_namespace, std::memory_order_relaxed);
  shared_identity.epoch.store(epoch, std::memory_order_release);  // [L15] after the fields; pairs with L14
}

template <class StartMatches>
bool dead_unless(pid_t pid, StartMatches start_matches) {
  const int saved_errno = errno;
  bool dead = false;
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) {
    dead = true;
  } else if (const StatResult result = read_process_stat(pid); result.stat) {
    const ProcessStat& stat = *result.stat;
    const bool zombie = stat.state == 'Z' || stat.state == 'X' || stat.state == 'x';
    dead = !start_matches(stat.start_time) || (zombie && stat.threads <= 1);
    dead = dead && read_own_stat().stat;  // last: only now is it known that this /proc had the say
  } else {
    dead = result.error == StatError::kGone && ::kill(pid, 0) != 0 && errno == ESRCH;
  }
  errno = saved_errno;
  return dead;
}

}  // namespace

std::uint64_t realtime_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

StatResult read_process_stat(pid_t pid) noexcept {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  return read_stat(path.data());
}

bool confirmed_dead(pid_t pid, std::uint64_t start_time) noexcept {
  return dead_unless(pid, [&](std::uint64_t found) { return found == start_time; });
}

bool confirmed_dead(const layout::LaneIdentity& identity, std::uint64_t start_time) noexcept {
  return dead_unless(static_cast<pid_t>(identity.pid), [&](std::uint64_t found) {
    const bool low = (static_cast<std::uint32_t>(found) & layout::LaneIdentity::kStartMask) == identity.start_low;
    return low && (start_time == 0 || start_time == found);
  });
}

// A zombie answers kill(pid, 0). But the first thing that the kernel takes from a thread that ends is its list of
// robust futexes, which glibc gives to every thread that it starts; who has none may have been started in another way.
bool seems_gone(pid_t pid) noexcept {
  const int saved_errno = errno;
  void* list = nullptr;
  std::size_t length = 0;
  bool gone = pid <= 0;
  if (!gone && ::syscall(SYS_get_robust_list, pid, &list, &length) == 0) {
    gone = list == nullptr;
  } else if (!gone) {
    gone = errno == ESRCH || (::kill(pid, 0) != 0 && errno == ESRCH);
  }
  errno = saved_errno;
  return gone;
}

const ProcessIdentity& this_process() noexcept {
  thread_local ProcessIdentity identity;
  thread_local std::uint64_t read_in_epoch = 0;
  const std::uint64_t epoch = process_epoch();
  if (read_in_epoch == epoch) return identity;
  if (!load_shared_identity(epoch, identity)) {
    identity = read_identity();
    if (!identity.known()) return identity;
    share_identity(epoch, identity);
  }
  read_in_epoch = epoch;
  return identity;
}

namespace {
constexpr std::uint64_t kNotYet = 0;
}
constinit std::atomic<const std::uint64_t*> epoch_page{&kNotYet};

// At first use, and in every forked child, where the page reads 0 again. No mutex: another thread might have held it
// at the fork.
std::uint64_t renew_epoch() noexcept {
  auto* page = const_cast<std::uint64_t*>(epoch_page.load(std::memory_order_acquire));  // [L19] as L18; with L17
  if (page == &kNotYet) {
    void* memory = ::mmap(nullptr, layout::kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WARREN_CHECK(memory != MAP_FAILED && ::madvise(memory, layout::kPage, MADV_WIPEONFORK) == 0,
                 "the kernel gave no page that a fork wipes (MADV_WIPEONFORK, Linux 4.14)");
    const std::uint64_t* expected = &kNotYet;
    page = static_cast<std::uint64_t*>(memory);
    if (!epoch_page.compare_exchange_strong(expected, page,
                                            std::memory_order_acq_rel)) {  // [L17] the page is whole; pairs with L18
      ::munmap(memory, layout::kPage);
      page = const_cast<std::uint64_t*>(expected);
    }
  }
  std::uint64_t fresh = 0;
  while (fresh == 0) {
    if (::getrandom(&fresh, sizeof fresh, 0) != sizeof fresh) fresh = 0;
  }
  std::uint64_t current = 0;
  const std::atomic_ref<std::uint64_t> epoch(*page);
  return epoch.compare_exchange_strong(current, fresh, std::memory_order_relaxed) ? fresh : current;
}

}  // namespace warren::detail
