#include "place_lent.h"

#include <warren/ipc/detail/crash_point.h>

#include "worker.h"

namespace warren::detail {
namespace {

using Record = layout::WorkerRecord;

constinit thread_local WorkerPlace* place_here = nullptr;

}  // namespace

void WorkerPlace::begin_task() noexcept { place_here = this; }
void WorkerPlace::end_task() noexcept { place_here = nullptr; }

// Who waits is seen by the next that counts, so that the last one to wait finds out that nobody takes the place. Those
// that have waited for one are woken; only where there is none the supervisor has to be.
void WorkerPlace::lend() noexcept {
  table_.worker(index_).state.store(Record::State::kWaiting,
                                    std::memory_order_seq_cst);  // [T32] before others are counted; pairs with T33
  WARREN_CRASH_POINT(place_lent);  // nobody is told: the supervisor puts another worker in the place of the dead one
  notify(table_.lent(), table_.attachment().wait_mode(), kWakeAll);
  if (table_.working(table_.worker_count()) < table_.most_workers()) ring(control_);
}

void WorkerPlace::take_back() noexcept {
  table_.worker(index_).state.store(Record::State::kBusy, std::memory_order_seq_cst);  // [T32] as above
}

// A task may fork: its child has no place.
PlaceLent::PlaceLent() noexcept : place_(place_here) {
  if (place_ != nullptr && place_->epoch_ != process_epoch()) place_ = nullptr;
  if (place_ != nullptr && place_->waits_++ == 0) place_->lend();
}

PlaceLent::~PlaceLent() {
  if (place_ != nullptr && --place_->waits_ == 0) place_->take_back();
}

}  // namespace warren::detail
