// A worker's place, lent while its task waits for another one: the pool keeps as many workers that run tasks as it is
// to have, whoever waits. No task ever runs within another one. docs/algorithms/task_table.md.
#pragma once
#include <warren/ipc/detail/process.h>

#include <cstdint>

#include "task_table.h"

namespace warren::detail {

// That of the worker whose tasks this thread runs.
class WorkerPlace {
 public:
  WorkerPlace(TaskTable& table, std::uint32_t index, int control) noexcept
      : table_(table), index_(index), control_(control) {}
  WorkerPlace(const WorkerPlace&) = delete;
  WorkerPlace& operator=(const WorkerPlace&) = delete;

  // Between these two its waits lend it.
  void begin_task() noexcept;
  void end_task() noexcept;
  // One more than the pool is to have: it may take tasks while one of the others waits.
  [[nodiscard]] bool beyond() const noexcept { return index_ >= table_.most_workers(); }
  // It may not.
  [[nodiscard]] bool surplus() const noexcept { return beyond() && table_.working(index_) >= table_.staying(); }

 private:
  friend class PlaceLent;
  void lend() noexcept;
  void take_back() noexcept;

  TaskTable& table_;
  const std::uint32_t index_;
  const int control_;
  const std::uint64_t epoch_ = process_epoch();
  int waits_ = 0;  // one within another
};

// While this thread waits. Nothing in threads that run no task of a worker.
class PlaceLent {
 public:
  PlaceLent() noexcept;
  ~PlaceLent();
  PlaceLent(const PlaceLent&) = delete;
  PlaceLent& operator=(const PlaceLent&) = delete;

 private:
  WorkerPlace* place_;
};

}  // namespace warren::detail
