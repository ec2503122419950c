// What current_task() answers in this thread.
#pragma once
#include <warren/pool/task.h>

namespace warren::detail {

class CurrentTaskScope {
 public:
  CurrentTaskScope(TaskId id, std::uint32_t attempt) noexcept;
  ~CurrentTaskScope();
  CurrentTaskScope(const CurrentTaskScope&) = delete;
  CurrentTaskScope& operator=(const CurrentTaskScope&) = delete;
  static void set_attempt(std::uint32_t attempt) noexcept;
};

}  // namespace warren::detail
