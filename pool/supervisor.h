// The life of a supervisor process: single-threaded, it forks workers, sees them die, settles what they left, and ends
// with the pool or with the application.
#pragma once
#include <warren/pool/pool.h>

#include <functional>

#include "task_table.h"

namespace warren::detail {

struct SupervisorStart {
  int application_pidfd = -1;  // opened before the supervisor began: it is of nobody else
  int control = -1;  // eventfd: rung on close, terminate, and by workers that find nothing to do while closing
  const std::function<void()>& initializer;
  const PoolOptions& options;
};

// In the forked child; ends it.
[[noreturn]] void run_supervisor(TaskTable& table, const SupervisorStart& start) noexcept;

}  // namespace warren::detail
