// What every process that is forked here does first.
#pragma once
#include <absl/functional/function_ref.h>
#include <signal.h>
#include <sys/types.h>

#include <string>

namespace warren::detail {

// Ctrl-C at the terminal reaches every process of the group.
enum class Interrupts {
  kIgnored,  // a pool's process: it is the application's to handle
  kEndIt,
};
// Handlers that the application installed are not for its children, nor is its ignoring their ends.
void reset_signals(Interrupts interrupts) noexcept;
// Over a fork: no handler of the application runs in the child before reset_signals(), which lets signals in again.
class SignalsHeld {
 public:
  SignalsHeld() noexcept;
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};
// As ps -T and /proc show it; 15 characters.
void name_process(const std::string& name) noexcept;
// Writes out what stdout, stderr and std::cout hold, so that a fork does not copy it.
void flush_streams() noexcept;

// Once for each program: `who` forks from one that has threads.
void warn_of_threads(const char* who);

struct ForkedChild {
  pid_t pid = -1;  // < 0: it could not be forked
  int pidfd = -1;  // < 0: it could not be watched, and was killed
};
// A child that does `work` and does not return from it. Else errno says why.
ForkedChild fork_watched(absl::FunctionRef<void()> work);
// Opens its pidfd, or kills it.
void watch(ForkedChild& child) noexcept;

}  // namespace warren::detail
