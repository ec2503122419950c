#include "usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

namespace warren::detail {
namespace {

std::uint32_t by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::uint32_t>(CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

// "max 100000" or "150000 100000" in cpu.max of the process's own group (cgroup v2). Infinite where there is none.
double by_quota() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  while (std::getline(self, line) && !line.starts_with("0::")) {
  }
  const std::string group = line.starts_with("0::") ? line.substr(3) : "/";
  std::ifstream limits("/sys/fs/cgroup" + group + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(limits >> quota >> period) || quota == "max" || period <= 0) return std::numeric_limits<double>::infinity();
  return std::strtod(quota.c_str(), nullptr) / period;
}

}  // namespace

std::uint32_t usable_cpus() noexcept {
  const auto affinity = by_affinity();
  const double quota = std::ceil(by_quota());
  return std::max(1u, quota < affinity ? static_cast<std::uint32_t>(quota) : affinity);
}

}  // namespace warren::detail
