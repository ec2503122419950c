// What current_task() answers in this thread.
#pragma once
#include <warren/layout/pool.h>
#include <warren/pool/task.h>

#include <atomic>

namespace warren::detail {

class CurrentTaskScope {
 public:
  CurrentTaskScope(TaskId id, std::uint32_t attempt, layout::TaskSlot& slot, layout::WorkerRecord& record) noexcept;
  // In a thread of a ThreadPool. `stop`: its task should come to an end.
  CurrentTaskScope(TaskId id, std::atomic<std::uint32_t>& progress, const std::atomic<bool>& stop) noexcept;
  ~CurrentTaskScope();
  CurrentTaskScope(const CurrentTaskScope&) = delete;
  CurrentTaskScope& operator=(const CurrentTaskScope&) = delete;
  static void set_attempt(std::uint32_t attempt) noexcept;  // it has no soft deadline yet
  static void set_soft_deadline(std::uint64_t monotonic_ns) noexcept;
};

}  // namespace warren::detail
