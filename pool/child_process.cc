#include "child_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/process.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "log.h"
#include "pidfd.h"

namespace warren::detail {

void reset_signals(Interrupts interrupts) noexcept {
  struct sigaction action {};
  for (int signal = 1; signal < NSIG; ++signal) {
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN || action.sa_handler == SIG_DFL)
      continue;
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  // A parent that ignores its children's ends never learns how they ended.
  action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
  action = {};
  if (interrupts == Interrupts::kIgnored) {
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

SignalsHeld::SignalsHeld() noexcept {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}
SignalsHeld::~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void name_process(const std::string& name) noexcept { ::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0); }

void flush_streams() noexcept {
  std::cout.flush();
  std::fflush(nullptr);
}

void warn_of_threads(const char* who) {
  static std::atomic<bool> warned{false};
  if (warned.load(std::memory_order_relaxed)) return;
  const StatResult self = read_process_stat(::getpid());
  if (!self.stat) return;
  const std::uint64_t threads = self.stat->threads - std::min(Attachment::mirrors(), self.stat->threads);
  if (threads < 2 || warned.exchange(true, std::memory_order_relaxed)) return;
  logger().warn(
      "{} in a program of {} threads: the child has only the calling one, and whatever locks the others hold stay "
      "locked there. Remedy: start processes before threads, or with StartMethod::kSpawn",
      who, threads);
}

ForkedChild fork_watched(absl::FunctionRef<void()> work) {
  flush_streams();
  ForkedChild child;
  {
    const SignalsHeld held;
    child.pid = ::fork();
    if (child.pid == 0) {
      // What it throws ends this process: the frames below are the parent's, and would run twice.
      [&]() noexcept {
        work();
        std::abort();
      }();
    }
  }
  if (child.pid >= 0) watch(child);
  return child;
}

void watch(ForkedChild& child) noexcept {
  child.pidfd = open_pidfd(child.pid);
  if (child.pidfd >= 0) return;
  const int error = errno;
  if (error != ESRCH) ::kill(child.pid, SIGKILL);  // else it is gone, and SIGCHLD is ignored
  while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  errno = error;
}

}  // namespace warren::detail
