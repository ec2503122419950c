// Permit: the guard of a Semaphore or BoundedSemaphore.
#pragma once
#include <warren/ipc/detail/process.h>

#include <cstdint>
#include <mutex>

namespace warren {

// scoped_lock for semaphores: acquires, and releases when its scope ends. The semaphore must outlive it. The copy that
// a forked child has releases nothing: the permit is its parent's.
template <class S>
class [[nodiscard]] Permit {
 public:
  explicit Permit(S& semaphore) : semaphore_(semaphore) { semaphore_.acquire(); }
  Permit(S& semaphore, std::adopt_lock_t) noexcept : semaphore_(semaphore) {}  // acquired already
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;
  ~Permit() {
    if (epoch_ == detail::process_epoch()) (void)semaphore_.release();
  }

 private:
  S& semaphore_;
  std::uint64_t epoch_ = detail::process_epoch();
};

}  // namespace warren
