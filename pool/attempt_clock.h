// The deadlines of what a worker runs. The hard one is armed in its record, where the supervisor sees it: a word of the
// record is the only thing that both change. Who takes the armed value away first has won: the worker, and the attempt
// goes on to its end; or the supervisor, and the worker does nothing more and is killed.
#pragma once
#include <unistd.h>
#include <warren/layout/pool.h>

#include <atomic>

#include "current_task.h"
#include "monotonic.h"
#include "task_table.h"
#include "worker.h"

namespace warren::detail {

// In a worker.
class AttemptClock {
 public:
  AttemptClock(layout::PoolHeader& header, layout::WorkerRecord& record, const WorkerStart& start) noexcept
      : header_(header), record_(record), start_(start) {}

  void start(const TaskTable& table, std::uint32_t slot) noexcept {
    if (table.has_extras(slot)) [[unlikely]]
      arm(table.extras(slot));
  }
  // Before the result is committed. Does not return where the time was over first.
  void stop() noexcept {
    if (armed_ != 0) [[unlikely]]
      disarm();
  }

 private:
  void arm(const layout::TaskExtras& extras) noexcept;
  void disarm() noexcept;

  layout::PoolHeader& header_;
  layout::WorkerRecord& record_;
  const WorkerStart& start_;
  std::uint64_t armed_ = 0;
};

}  // namespace warren::detail
