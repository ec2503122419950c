#include "worker_setup.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

namespace warren::detail {
namespace {

absl::Status cannot(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat("cannot ", what, ": ", std::generic_category().message(errno)));
}

// --- processors

// As many as any kernel is built for.
constexpr int kMostCpus = 8192;
using CpuSet = std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)>;
const std::size_t kSetBytes = CPU_ALLOC_SIZE(kMostCpus);

CpuSet no_cpus() {
  CpuSet set(CPU_ALLOC(kMostCpus), [](cpu_set_t* s) { CPU_FREE(s); });
  CPU_ZERO_S(kSetBytes, set.get());
  return set;
}

absl::Status run_on(std::span<const std::uint32_t> cpus) {
  const CpuSet wanted = no_cpus(), given = no_cpus();
  for (const std::uint32_t cpu : cpus) {
    if (cpu < kMostCpus) CPU_SET_S(cpu, kSetBytes, wanted.get());
  }
  const std::string what = absl::StrCat("run on processors ", absl::StrJoin(cpus, ", "));
  if (::sched_setaffinity(0, kSetBytes, wanted.get()) != 0) return cannot(what);
  // The kernel takes those that there are, and says nothing of the others.
  if (::sched_getaffinity(0, kSetBytes, given.get()) != 0) return cannot(what);
  for (const std::uint32_t cpu : cpus) {
    if (cpu >= kMostCpus || !CPU_ISSET_S(cpu, kSetBytes, given.get())) {
      return absl::FailedPreconditionError(absl::StrCat("cannot ", what, ": ", cpu, " is none that it may use"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::uint32_t> usable() {
  const CpuSet set = no_cpus();
  std::vector<std::uint32_t> cpus;
  if (::sched_getaffinity(0, kSetBytes, set.get()) != 0) return cpus;
  for (std::uint32_t cpu = 0; cpu < kMostCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, kSetBytes, set.get())) cpus.push_back(cpu);
  }
  return cpus;
}

absl::Status set_cpus(const PoolOptions& options, std::uint32_t index) {
  if (!options.cpus.empty() && !options.pin_workers) return run_on(options.cpus);
  if (!options.pin_workers) return absl::OkStatus();
  const std::vector<std::uint32_t> cpus = options.cpus.empty() ? usable() : options.cpus;
  if (cpus.empty()) return absl::FailedPreconditionError("cannot pin workers: the usable processors are not known");
  return run_on(std::span(cpus).subspan(index % cpus.size(), 1));
}

// --- descriptors

absl::StatusOr<std::vector<int>> open_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), &::closedir);
  if (directory == nullptr) return cannot("see which descriptors are open (/proc/self/fd)");
  std::vector<int> found;
  while (const dirent* const entry = ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): one thread
    int fd = -1;
    const char* const name = entry->d_name;
    const auto [end, error] = std::from_chars(name, name + std::strlen(name), fd);
    if (error == std::errc() && *end == '\0' && fd != ::dirfd(directory.get())) found.push_back(fd);
  }
  return found;
}

}  // namespace

absl::Status set_up_worker(const PoolOptions& options, std::uint32_t index) {
  if (!options.working_directory.empty() && ::chdir(options.working_directory.c_str()) != 0)
    return cannot(absl::StrCat("change to '", options.working_directory, "'"));
  for (const auto& [name, value] : options.environment) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a worker that begins has one thread
    const int failed = value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    if (failed != 0) return cannot(absl::StrCat("set '", name, "' in the environment"));
  }
  if (absl::Status status = set_cpus(options, index); !status.ok()) return status;
  if (options.nice != 0) {
    errno = 0;
    if (::nice(options.nice) == -1 && errno != 0) return cannot(absl::StrCat("be nicer by ", options.nice));
  }
  for (const auto& [resource, limit] : options.rlimits) {
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
      return cannot(absl::StrCat("limit resource ", resource, " to ", limit.rlim_cur, ", at most ", limit.rlim_max));
  }
  return absl::OkStatus();
}

absl::Status keep_descriptors(const PoolOptions& options, std::span<const int> own) {
  if (!options.keep_fds) return absl::OkStatus();
  const absl::StatusOr<std::vector<int>> open = open_descriptors();
  if (!open.ok()) return open.status();
  for (const int fd : *options.keep_fds) {
    if (std::ranges::find(*open, fd) == open->end())
      return absl::FailedPreconditionError(absl::StrCat("cannot keep descriptor ", fd, ": it is not open"));
  }
  const std::vector<int> segments = Attachment::all_descriptors();
  const auto stays = [&](int fd) {
    return fd <= STDERR_FILENO || std::ranges::find(*options.keep_fds, fd) != options.keep_fds->end() ||
           std::ranges::find(own, fd) != own.end() || std::ranges::find(segments, fd) != segments.end();
  };
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return cannot("open /dev/null");
  absl::Status status;
  for (const int fd : *open) {
    if (!stays(fd) && ::dup3(nothing, fd, O_CLOEXEC) < 0) status = cannot(absl::StrCat("let go of descriptor ", fd));
  }
  ::close(nothing);
  return status;
}

std::uint64_t peak_resident_bytes() noexcept {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// The second number of statm, in pages. Without /proc: the peak.
std::uint64_t resident_bytes() noexcept {
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  std::array<char, 128> text{};
  const ssize_t got = fd < 0 ? 0 : ::read(fd, text.data(), text.size() - 1);
  if (fd >= 0) ::close(fd);
  const char* const end = text.data() + std::max<ssize_t>(got, 0);
  const char* const second = std::find(static_cast<const char*>(text.data()), end, ' ');
  std::uint64_t pages = 0;
  if (second == end || std::from_chars(second + 1, end, pages).ec != std::errc()) return peak_resident_bytes();
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace warren::detail
