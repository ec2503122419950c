#include "run_target.h"

#include <signal.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/pool/detail/task_error.h>

#include <thread>

#include "child.h"
#include "child_process.h"
#include "current_process.h"
#include "log.h"
#include "pidfd.h"

namespace warren::detail {
namespace {

constexpr int kFailed = 1;

int exit_code_of(const Target& target, const std::string& name) {
  absl::StatusOr<int> code;
  try {
    code = target();
  } catch (...) {
    code = status_of_current_exception(0);
  }
  if (code.ok()) return *code;
  logger().error("process '{}' failed: {}", name, code.status().ToString());
  return kFailed;
}

// A daemon's own watch over its parent. A thread, since the kernel's notice (PR_SET_PDEATHSIG) is of the parent's
// thread, and a change of user ends it.
void end_with_parent(int parent_pidfd) {
  std::thread([parent_pidfd] {
    const SignalsHeld held;  // they are for the target's threads
    (void)await_end(parent_pidfd, Deadline::never());
    ::kill(::getpid(), SIGTERM);
    std::this_thread::sleep_for(kDaemonGrace);
    ::kill(::getpid(), SIGKILL);
  }).detach();
}

}  // namespace

void run_as(const ProcessInfo& self, int parent_pidfd, const Target& target) noexcept {
  reset_signals(Interrupts::kEndIt);
  name_process(self.name);
  set_current_process(self);
  if (self.daemon) end_with_parent(parent_pidfd);
  run_and_exit(target, self.name, self.daemon ? 2 : 1);
}

void run_and_exit(const Target& target, const std::string& name, std::uint64_t own_threads) noexcept {
  const int code = exit_code_of(target, name);
  flush_streams();
  Attachment::leave_all_lanes_if_alone(own_threads);  // it ends well: not to be taken for killed
  Attachment::leave_all_names();
  ::_exit(code & 255);
}

}  // namespace warren::detail
