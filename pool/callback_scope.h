// While a user's callback runs in this thread.
#pragma once
#include <warren/pool/detail/task_core.h>

namespace warren::detail {

class CallbackScope {
 public:
  CallbackScope() noexcept;
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
  [[nodiscard]] static bool active() noexcept;
};

// What it throws is logged.
void contain(TaskCore::Follower& callback, TaskCore& task);
// As a user's callback.
void run_contained(TaskCore::Follower& callback, TaskCore& task);

}  // namespace warren::detail
