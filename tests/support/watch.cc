#include "support/watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace warren::test {

namespace {

using Text = std::array<char, 512>;

std::string_view read_proc(pid_t pid, const char* file, Text& text) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/%s", static_cast<int>(pid), file);
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t length = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  return length <= 0 ? std::string_view() : std::string_view(text.data(), static_cast<std::size_t>(length));
}

}  // namespace

char process_state(pid_t pid) {
  Text text{};
  const std::string_view stat = read_proc(pid, "stat", text);
  const std::size_t end_of_name = stat.rfind(')');
  return end_of_name != std::string_view::npos && end_of_name + 2 < stat.size() ? stat[end_of_name + 2] : '?';
}

long current_system_call(pid_t pid) {
  Text text{};
  const std::string_view call = read_proc(pid, "syscall", text);
  return !call.empty() && call[0] >= '0' && call[0] <= '9' ? std::strtol(text.data(), nullptr, 10) : -1;
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
