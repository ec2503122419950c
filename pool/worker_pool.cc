#include "worker_pool.h"

#include <algorithm>

#include "completions.h"
#include "pool_client_impl.h"

namespace warren::detail {
namespace {
constinit WorkerPool* worker_pool = nullptr;
}

WorkerPool::WorkerPool(TaskTable& table, const WorkerStart& start) noexcept
    : table_(table), start_(start), place_(table, start.index, start.control) {
  worker_pool = this;
}
WorkerPool::~WorkerPool() { worker_pool = nullptr; }

WorkerPool* WorkerPool::here() noexcept {
  return worker_pool != nullptr && worker_pool->epoch_ == process_epoch() ? worker_pool : nullptr;
}

void WorkerPool::begin_task(std::uint32_t slot) noexcept {
  const std::uint32_t depth = table_.slot(slot).depth.load(std::memory_order_relaxed) + 1u;
  depth_.store(static_cast<std::uint8_t>(std::min(depth, 255u)), std::memory_order_relaxed);
  in_task_.store(true, std::memory_order_relaxed);
  place_.begin_task();
}

// A child that the task forked came out of it too: it is no worker.
void WorkerPool::end_task() noexcept {
  if (epoch_ != process_epoch()) return;
  if (used_.load(std::memory_order_relaxed)) {
    const PlaceLent lent;
    (void)client_->impl_->completions().await_idle(Deadline::never());
  }
  place_.end_task();
  in_task_.store(false, std::memory_order_seq_cst);  // [T37] before submits are counted; pairs with T36
  const auto under_way = [this] { return submits_.load(std::memory_order_seq_cst); };  // [T37] as above; pairs with T36
  for (std::uint32_t submits = under_way(); submits != 0; submits = under_way()) submits_.wait(submits);
}

void WorkerPool::leave() noexcept {
  if (!used_.load(std::memory_order_relaxed)) return;
  client_->impl_->completions().stop();
  table_.abandon_all_of(layout::WorkerLane::from(table_.worker(start_.index).lane.load(std::memory_order_relaxed)));
}

std::shared_ptr<PoolClient> WorkerPool::client() {
  const std::scoped_lock lock(mutex_);
  if (client_ == nullptr) {
    auto impl = std::make_unique<PoolClient::Impl>(table_.attachment().shared_from_this(), start_.control, *this);
    client_ = std::shared_ptr<PoolClient>(new PoolClient(std::move(impl)));
    used_ = true;
  }
  return client_;
}

WorkerPool::Submit::Submit(WorkerPool* pool) noexcept : pool_(pool) {
  if (pool_ != nullptr)
    pool_->submits_.fetch_add(1, std::memory_order_seq_cst);  // [T36] before the task's end is looked for
}
WorkerPool::Submit::~Submit() {
  if (pool_ == nullptr) return;
  if (pool_->submits_.fetch_sub(1, std::memory_order_seq_cst) == 1) pool_->submits_.notify_all();  // [T36] as above
}

}  // namespace warren::detail
