#include "child_process.h"

#include <sys/prctl.h>

#include <cstdio>
#include <iostream>

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

}  // namespace warren::detail
