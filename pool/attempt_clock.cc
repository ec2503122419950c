#include "attempt_clock.h"

#include <chrono>
#include <thread>

namespace warren::detail {

void AttemptClock::arm(const layout::TaskExtras& extras) noexcept {
  if (extras.soft_deadline_ns != 0) CurrentTaskScope::set_soft_deadline(after(extras.soft_deadline_ns));
  if (extras.deadline_ns == 0) return;
  armed_ = after(extras.deadline_ns);
  record_.deadline_ns.store(armed_, std::memory_order_seq_cst);  // [D1] before the look; pairs with D4
  if (armed_ < header_.next_look_ns.load(std::memory_order_seq_cst)) ring(start_.control);  // [D2] pairs with D3
}

void AttemptClock::disarm() noexcept {
  std::uint64_t mine = armed_;
  armed_ = 0;
  if (record_.deadline_ns.compare_exchange_strong(mine, 0, std::memory_order_acq_rel)) return;  // [D5] pairs with D6
  while (::getppid() == start_.supervisor) std::this_thread::sleep_for(std::chrono::milliseconds(10));  // it kills
  ::_exit(kWorkerDone);
}

}  // namespace warren::detail
