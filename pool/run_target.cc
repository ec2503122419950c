#include "run_target.h"

#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/pool/detail/task_error.h>

#include "child_process.h"
#include "log.h"

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

}  // namespace

void run_and_exit(const Target& target, const std::string& name, std::uint64_t own_threads) noexcept {
  const int code = exit_code_of(target, name);
  flush_streams();
  Attachment::leave_all_lanes_if_alone(own_threads);  // it ends well: not to be taken for killed
  Attachment::leave_all_names();
  ::_exit(code & 255);
}

}  // namespace warren::detail
