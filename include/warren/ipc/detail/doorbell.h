// Doorbell: a wait word that rings a descriptor (an eventfd), so that one can sleep on it beside others. While nobody
// has armed it a notifier pays one load, as with any wait word. docs/algorithms/pipe.md has the protocol.
#pragma once
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/wait.h>
#include <warren/layout/pipe.h>

namespace warren::detail {

class Doorbell {
 public:
  // `bell` is not owned.
  Doorbell(std::atomic<std::uint32_t>& door, layout::WaitMode mode, int bell) noexcept
      : door_(&door), mode_(mode), bell_(bell) {}

  // After a commit.
  void notify() noexcept {
    const std::uint32_t seen = seen_after_commit(*door_, mode_);
    if ((seen & layout::kDoorRing) != 0) [[unlikely]]
      ring(seen);
  }

  // By one thread at a time, before it looks again and then sleeps: from now on a commit rings. Empties the bell: if
  // there is something after all, somebody else may have been rung for it, so ring() says so again.
  void arm() noexcept;
  void ring() noexcept { ring(door_->load(std::memory_order_relaxed)); }
  [[nodiscard]] int bell() const noexcept { return bell_; }

 private:
  void ring(std::uint32_t seen) noexcept;

  std::atomic<std::uint32_t>* door_;
  layout::WaitMode mode_;
  int bell_;
};

}  // namespace warren::detail
