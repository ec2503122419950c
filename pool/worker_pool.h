// The pool of the worker that this process is, as its tasks use it: for current_pool().
#pragma once
#include <warren/pool/detail/pool_client.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "place_lent.h"
#include "worker.h"

namespace warren::detail {

class WorkerPool {
 public:
  WorkerPool(TaskTable& table, const WorkerStart& start) noexcept;
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // That of this process; null: it is no worker, or its forked child.
  static WorkerPool* here() noexcept;

  [[nodiscard]] WorkerPlace& place() noexcept { return place_; }
  [[nodiscard]] std::uint32_t index() const noexcept { return start_.index; }
  [[nodiscard]] pid_t supervisor() const noexcept { return start_.supervisor; }

  void begin_task(std::uint32_t slot) noexcept;
  // Waits until the callbacks of its futures have run. From then on nothing is submitted.
  void end_task() noexcept;
  // No task comes any more: nobody waits for what they submitted.
  void leave() noexcept;

  // Made with its first use.
  std::shared_ptr<PoolClient> client();
  [[nodiscard]] bool in_task() const noexcept {
    return in_task_.load(std::memory_order_seq_cst);  // [T36] after it is counted; pairs with T37
  }
  // That of what is submitted now: 1 for a task of a task of the application.
  [[nodiscard]] std::uint8_t depth() const noexcept { return depth_.load(std::memory_order_relaxed); }

  // A submit under way: its task has not ended, or it is refused.
  class Submit {
   public:
    explicit Submit(WorkerPool* pool) noexcept;
    ~Submit();
    Submit(const Submit&) = delete;
    Submit& operator=(const Submit&) = delete;

   private:
    WorkerPool* pool_;
  };

 private:
  TaskTable& table_;
  const WorkerStart& start_;
  const std::uint64_t epoch_ = process_epoch();
  WorkerPlace place_;
  std::mutex mutex_;
  std::shared_ptr<PoolClient> client_;
  std::atomic<bool> used_{false};
  std::atomic<bool> in_task_{false};
  std::atomic<std::uint8_t> depth_{0};
  std::atomic<std::uint32_t> submits_{0};
};

}  // namespace warren::detail
