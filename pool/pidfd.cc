#include "pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace warren::detail {

int open_pidfd(pid_t pid) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

bool await_end(int pidfd, Deadline deadline) noexcept {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(1);  // of one poll, whose time is an int
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining().ns());
    pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, static_cast<int>(std::min(left, kLongest).count())) == 1) return true;
    if (deadline.expired()) return false;
  }
}

void send_signal(int pidfd, int signal) noexcept { (void)::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0); }

}  // namespace warren::detail
