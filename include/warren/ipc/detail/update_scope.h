// The Value::update() calls that a thread is in. An f that changes the very value which it was given a copy of would
// make update() start anew for ever.
#pragma once
#include <warren/ipc/detail/process.h>

namespace warren::detail {

class UpdateScope {
 public:
  explicit UpdateScope(const void* value) noexcept : value_(value), process_(process_epoch()), outer_(innermost) {
    check(value);
    innermost = this;
  }
  ~UpdateScope() { innermost = outer_; }
  UpdateScope(const UpdateScope&) = delete;
  UpdateScope& operator=(const UpdateScope&) = delete;

  // Stops the program with a message if this thread is updating that value.
  static void check(const void* value) noexcept {
    if (innermost != nullptr) [[unlikely]]
      look_for(value);
  }

 private:
  static void look_for(const void* value) noexcept;
  static constinit thread_local const UpdateScope* innermost;

  const void* value_;
  std::uint64_t process_;  // a child that f forks updates nothing
  const UpdateScope* outer_;
};

[[noreturn]] void stop_nested_update() noexcept;

}  // namespace warren::detail
