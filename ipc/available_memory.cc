#include "available_memory.h"

#include <warren/ipc/detail/elastic_slots.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace warren::detail {
namespace {

constexpr std::int64_t kUnasked = std::int64_t{4} << 20;  // bytes between two looks
constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

std::uint64_t of_machine() {
  std::ifstream info("/proc/meminfo");
  std::string name, unit;
  for (std::uint64_t kilobytes = 0; info >> name >> kilobytes; std::getline(info, unit)) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return kUnknown;
}

// Nothing where the file is missing or says "max".
std::optional<std::uint64_t> read_number(const std::string& path) {
  std::uint64_t number = 0;
  return std::ifstream(path) >> number ? std::optional(number) : std::nullopt;
}

std::uint64_t of_cgroup() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  while (std::getline(self, line) && !line.starts_with("0::")) {
  }
  if (!line.starts_with("0::")) return kUnknown;
  const std::string group = "/sys/fs/cgroup" + line.substr(3);
  const auto most = read_number(group + "/memory.max");
  const auto current = read_number(group + "/memory.current");
  return most && current ? *most - std::min(*current, *most) : kUnknown;
}

}  // namespace

std::uint64_t available_memory() { return std::min(of_machine(), of_cgroup()); }

bool memory_for(std::uint64_t bytes) noexcept {
  static constinit std::atomic<std::int64_t> unasked{kUnasked / 4};
  const auto asked = static_cast<std::int64_t>(std::min<std::uint64_t>(bytes, std::uint64_t{1} << 46));
  if (unasked.fetch_sub(asked, std::memory_order_relaxed) >= asked) return true;
  const std::uint64_t left = elastic_tuning().left_for_others.load(std::memory_order_relaxed);
  const std::uint64_t available = available_memory();
  const bool enough = available >= left && available - left >= bytes;
  unasked.store(enough ? kUnasked : 0, std::memory_order_relaxed);
  return enough;
}

}  // namespace warren::detail
