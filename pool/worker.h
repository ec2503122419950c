// The life of a worker process: takes tasks from the table, runs them, writes their results.
#pragma once
#include <sys/types.h>
#include <warren/pool/pool.h>

#include <functional>

#include "task_table.h"

namespace warren::detail {

// Exit codes by which a worker tells its supervisor.
inline constexpr int kWorkerDone = 0;
inline constexpr int kInitializerFailed = 120;

struct WorkerStart {
  std::uint32_t index = 0;
  int control = -1;  // eventfd: the supervisor looks at the pool when it is written to
  pid_t supervisor = 0;
  const std::function<void()>& initializer;  // empty: none
  const PoolOptions& options;
};

// In the forked child; ends it. Nothing is thrown, and no thread's exit unwinds, into the program that made the pool.
[[noreturn]] void run_worker(TaskTable& table, const WorkerStart& start) noexcept;

// Writes to a pool's eventfd.
void ring(int control) noexcept;

}  // namespace warren::detail
