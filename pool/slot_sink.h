// What an invoker writes to in a worker: the slot's own bytes, then blocks. Each attempt of each item has its
// deadlines.
#pragma once
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/pool/detail/result_sink.h>
#include <warren/pool/detail/task_error.h>

#include <chrono>
#include <optional>
#include <span>
#include <thread>

#include "attempt_clock.h"
#include "current_task.h"
#include "task_table.h"
#include "worker.h"

namespace warren::detail {

class SlotSink final : public ResultSink {
 public:
  SlotSink(TaskTable& table, const TaskTable::Claim& claim, AttemptClock& clock)
      : table_(table), claim_(claim), slot_(table.slot(claim.slot)), clock_(clock), attempt_(claim.state.attempt) {
    go_on_behind(0);
    clock_.start(table_, claim_.slot);
  }

  Writer& writer() noexcept override {
    leave_if_forked();
    return *writer_;
  }
  void commit() noexcept override {
    leave_if_forked();
    clock_.stop();
    if (!writer_->ok()) return;
    committed_ = writer_->size();
    slot_.result_bytes.store(committed_, std::memory_order_release);  // [T16] after the bytes; pairs with T17
    WARREN_CRASH_POINT(chunk_committed);  // what was committed is delivered, the rest is run again or lost
  }
  void fail(const absl::Status& status) override {
    leave_if_forked();
    failed_ = true;
    go_on_behind(committed_);
    writer_->put(ItemTag::kTaskFailed);
    put_status(*writer_, status);
    commit();
  }
  [[nodiscard]] std::uint32_t attempt() const noexcept override { return attempt_; }
  void set_attempt(std::uint32_t attempt) noexcept override {
    leave_if_forked();
    attempt_ = attempt;
    CurrentTaskScope::set_attempt(attempt);
    clock_.stop();
    clock_.start(table_, claim_.slot);
  }

  void wait_before_next_attempt() noexcept override {
    leave_if_forked();
    if (table_.has_extras(claim_.slot))
      std::this_thread::sleep_for(std::chrono::nanoseconds(table_.extras(claim_.slot).backoff_ns));
  }

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // After the invoker: what it wrote is the result.
  void finish() {
    leave_if_forked();
    if (failed_) return;
    if (writer_->ok()) return commit();
    fail(absl::Status(writer_->status()));  // a copy: a new writer takes the place of this one
  }

 private:
  // A task may fork, and its child come out of the function too. It is no second worker.
  void leave_if_forked() const noexcept {
    if (process_epoch() != epoch_) [[unlikely]]
      ::_exit(kWorkerDone);
  }
  static std::span<std::byte> grow(void* context, std::size_t used, std::size_t needed) {
    auto& sink = *static_cast<SlotSink*>(context);
    const std::span<std::byte> larger = sink.table_.grow_result(sink.claim_, used, needed);
    if (!larger.empty()) sink.memory_ = larger;
    return larger;
  }
  void go_on_behind(std::size_t used) { writer_.emplace(memory_, &grow, this, used); }

  TaskTable& table_;
  const TaskTable::Claim& claim_;
  layout::TaskSlot& slot_;
  AttemptClock& clock_;
  const std::uint64_t epoch_ = process_epoch();
  std::uint32_t attempt_;
  std::span<std::byte> memory_{slot_.result};
  std::size_t committed_ = 0;
  std::optional<Writer> writer_;
  bool failed_ = false;
};

}  // namespace warren::detail
