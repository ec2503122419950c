// The supervisor's side of deadlines: it sleeps until the earliest of those that workers have armed in their records,
// and takes the overdue ones away from them. No timer for a task, no look at the table.
#pragma once
#include <warren/layout/pool.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "monotonic.h"
#include "task_table.h"

namespace warren::detail {

class DeadlineWatch {
 public:
  explicit DeadlineWatch(TaskTable& table) noexcept : table_(table) {}

  // Calls `overdue(index)` for each worker whose time is over: it does nothing more, and is to be killed. Returns when
  // to look again; a worker that arms an earlier time rings.
  template <class Overdue>
  std::uint64_t look(Overdue&& overdue) {
    std::atomic<std::uint64_t>& next_look = table_.header().next_look_ns;
    for (std::uint64_t announced = 0;;) {
      const std::uint64_t earliest = take_overdue(overdue);
      if (earliest >= announced && announced != 0) return announced;
      announced = earliest;
      next_look.store(announced, std::memory_order_seq_cst);  // [D3] before the next look; pairs with D2
    }
  }

 private:
  template <class Overdue>
  std::uint64_t take_overdue(Overdue& overdue) {
    std::uint64_t earliest = UINT64_MAX;
    const std::uint64_t now = monotonic_ns();
    for (std::uint32_t i = 0; i < table_.worker_count(); ++i) {
      std::atomic<std::uint64_t>& word = table_.worker(i).deadline_ns;
      std::uint64_t armed = word.load(std::memory_order_seq_cst);  // [D4] pairs with D1
      if (armed == 0 || armed == layout::WorkerRecord::kOverdue) continue;
      if (armed > now) {
        earliest = std::min(earliest, armed);
        continue;
      }
      if (word.compare_exchange_strong(armed, layout::WorkerRecord::kOverdue, std::memory_order_acq_rel))
        overdue(i);  // [D6] the worker goes no further; pairs with D5
    }
    return earliest;
  }

  TaskTable& table_;
};

}  // namespace warren::detail
