#include <warren/ipc/detail/doorbell.h>

#include <unistd.h>

namespace warren::detail {

using layout::kDoorArming;
using layout::kDoorNext;
using layout::kDoorRing;

// While the door says "arming" notifiers ring and leave it as it is: who dies in here leaves a door where each commit
// rings, never one where none does. The number is another one afterwards, so that a notifier which rang before the bell
// was emptied does not close this arming.
void Doorbell::arm() noexcept {
  const std::uint32_t before = door_->fetch_or(kDoorRing | kDoorArming, std::memory_order_relaxed);
  WARREN_CRASH_POINT(door_arming);  // the bell may still be rung: whoever is woken by it arms anew
  std::uint64_t rings = 0;
  (void)!::read(bell_, &rings, sizeof rings);
  WARREN_CRASH_POINT(door_emptied);  // each commit rings
  const std::uint32_t armed = ((before & ~(kDoorRing | kDoorArming)) + kDoorNext) | kDoorRing;
  (void)door_->exchange(armed, std::memory_order_seq_cst);  // [CN9] before the loads of the look; pairs with W2
  await_barrier(mode_);
}

void Doorbell::ring(std::uint32_t seen) noexcept {
  const std::uint64_t one = 1;
  (void)!::write(bell_, &one, sizeof one);  // never blocks: EAGAIN means that it has been rung
  WARREN_CRASH_POINT(door_rung);            // the next commit rings again
  if ((seen & kDoorArming) != 0) return;
  (void)door_->compare_exchange_strong(seen, seen & ~kDoorRing,
                                       std::memory_order_release);  // [CN10] after the ring; pairs with CN9
}

}  // namespace warren::detail
