#include "available_memory.h"

#include <warren/ipc/detail/elastic_slots.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

namespace warren::detail {
namespace {

constexpr std::int64_t kUnasked = std::int64_t{4} << 20;  // bytes between two looks
constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

// A file of the kernel's, as far as `place` holds it. It is asked when memory is short, so it takes none. Empty where
// the file is missing.
std::string_view read_file(const char* path, std::span<char> place) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::size_t size = 0;
  while (size < place.size()) {
    const ssize_t got = ::read(fd, place.data() + size, place.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  ::close(fd);
  return {place.data(), size};
}

// What follows `key` at the beginning of a line, up to its end.
std::optional<std::string_view> line_of(std::string_view text, std::string_view key) noexcept {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(key)) return line.substr(key.size());
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return std::nullopt;
}

// Nothing where it does not begin with one ("max").
std::optional<std::uint64_t> number_in(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc()) return std::nullopt;
  return number;
}

std::uint64_t of_machine() noexcept {
  std::array<char, 4096> place;
  const auto line = line_of(read_file("/proc/meminfo", place), "MemAvailable:");
  const auto kilobytes = line ? number_in(*line) : std::nullopt;
  return kilobytes ? *kilobytes * 1024 : kUnknown;
}

std::optional<std::uint64_t> number_of_cgroup(std::string_view group, const char* file) noexcept {
  std::array<char, PATH_MAX> path;
  const int length = std::snprintf(path.data(), path.size(), "/sys/fs/cgroup%.*s/%s", static_cast<int>(group.size()),
                                   group.data(), file);
  if (length < 0 || static_cast<std::size_t>(length) >= path.size()) return std::nullopt;
  std::array<char, 32> place;
  return number_in(read_file(path.data(), place));
}

std::uint64_t of_cgroup() noexcept {
  std::array<char, PATH_MAX> place;
  const auto group = line_of(read_file("/proc/self/cgroup", place), "0::");
  if (!group) return kUnknown;
  const auto most = number_of_cgroup(*group, "memory.max");
  const auto current = number_of_cgroup(*group, "memory.current");
  return most && current ? *most - std::min(*current, *most) : kUnknown;
}

}  // namespace

std::uint64_t available_memory() noexcept { return std::min(of_machine(), of_cgroup()); }

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
