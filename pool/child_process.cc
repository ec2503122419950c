#include "child_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

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
  if (child.pid < 0) return child;
  child.pidfd = open_pidfd(child.pid);
  if (child.pidfd < 0) {
    const int error = errno;
    if (error != ESRCH) ::kill(child.pid, SIGKILL);  // else it is gone, and SIGCHLD is ignored
    while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    errno = error;
  }
  return child;
}

}  // namespace warren::detail
