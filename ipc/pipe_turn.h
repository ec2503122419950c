// Turn: one thread's turn at a side of a pipe. The side's lock passes on from the dead, and there is nothing to repair:
// one word commits.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/mutex_core.h>

namespace warren::detail {

class Turn {
 public:
  Turn(Attachment& attachment, MutexCore& lock, Deadline deadline) : lock_(lock) {
    if (attachment.seat().lane == nullptr) {
      status_ = absl::ResourceExhaustedError("no memory or no descriptor for this thread's lane in the pipe's segment");
      return;
    }
    switch (lock_.take_until(deadline)) {
      case MutexCore::Take::kTaken:
        taken_ = true;
        from_the_dead_ = lock_.make_consistent();
        break;
      case MutexCore::Take::kHeld:
        status_ = absl::DeadlineExceededError("another thread has this end of the pipe, in the midst of a message");
        break;
      case MutexCore::Take::kMine:
        status_ = absl::FailedPreconditionError(
            "this thread is in the midst of a message of this pipe: not from a signal handler that interrupts it");
        break;
    }
  }
  ~Turn() {
    if (taken_) lock_.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  [[nodiscard]] bool taken() const noexcept { return taken_; }
  [[nodiscard]] bool from_the_dead() const noexcept { return from_the_dead_; }
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }  // why not

 private:
  MutexCore& lock_;
  bool taken_ = false;
  bool from_the_dead_ = false;
  absl::Status status_;
};

}  // namespace warren::detail
