#include "support/watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <thread>

namespace warren::test {

char process_state(pid_t pid) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return '?';
  std::array<char, 512> text{};
  const ssize_t length = ::read(fd, text.data(), text.size());
  ::close(fd);
  if (length <= 0) return '?';
  const std::string_view stat(text.data(), static_cast<std::size_t>(length));
  const std::size_t end_of_name = stat.rfind(')');
  return end_of_name != std::string_view::npos && end_of_name + 2 < stat.size() ? stat[end_of_name + 2] : '?';
}

bool eventually(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (int look = 0;; ++look) {
    if (condition()) return true;
    if (std::chrono::steady_clock::now() >= end) return condition();
    if (look < 16) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(look < 64 ? 20 : 200));
    }
  }
}

std::optional<Ended> ended_within(Child& child, std::chrono::nanoseconds limit) {
  if (!eventually([&] { return process_state(child.pid()) == 'Z'; }, limit)) return std::nullopt;
  return child.join();
}

}  // namespace warren::test
