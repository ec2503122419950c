// Processes by descriptor: a pid may be another's by now, a pidfd never is.
#pragma once
#include <sys/types.h>
#include <warren/ipc/time.h>

#include <chrono>

namespace warren::detail {

// -1 and errno. Close-on-exec.
int open_pidfd(pid_t pid) noexcept;
// True when it has ended, false when the deadline passed before. Readable by poll, too.
bool await_end(int pidfd, Deadline deadline) noexcept;
[[nodiscard]] inline bool has_ended(int pidfd) noexcept {
  return await_end(pidfd, Deadline::after(std::chrono::nanoseconds::zero()));
}
void send_signal(int pidfd, int signal) noexcept;

}  // namespace warren::detail
