// Future<R>: the result of one task. Stream<R>: the results of many, as they come.
#pragma once
#include <warren/ipc/time.h>
#include <warren/pool/detail/ticket.h>
#include <warren/pool/task.h>

#include <memory>
#include <utility>

namespace warren {

namespace detail {
// Decodes the result of an ended task; its failure in one layer.
template <class R>
Result<R> decode_result(const Ticket& ticket) {
  if constexpr (std::is_void_v<R>) {
    return ticket.read([](Reader&) {});
  } else {
    absl::StatusOr<R> result = absl::DataLossError("the task gave no result");
    const absl::Status status = ticket.read([&](Reader& r) { result = r.get<R>(); });
    if (!status.ok()) return status;
    return result;
  }
}
}  // namespace detail

// Move-only. Dropped: the task still runs, its result is thrown away. Outlives its pool. Const calls are thread-safe.
//
// Codes of a failed task: Unknown it threw; what it returned; Aborted its worker died; Cancelled the pool was
// terminated; FailedPrecondition the pool was closed, or cannot start workers; DataLoss its bytes could not be decoded;
// ResourceExhausted no memory; Unavailable the pool's supervisor is gone. task_error(status) says more.
template <class R>
class Future {
 public:
  using value_type = R;

  Future() noexcept = default;
  explicit Future(std::unique_ptr<detail::Ticket> ticket) noexcept : ticket_(std::move(ticket)) {}
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;
  ~Future() = default;

  // Blocks; may be called again: it decodes afresh, so R need not be copyable. An rvalue's get() also frees the slot.
  // Without a task (default made, moved from, got as an rvalue): FailedPrecondition.
  Result<R> get() const& { return get_until(Deadline::never()); }
  Result<R> get() && {
    Result<R> result = get_until(Deadline::never());
    ticket_.reset();
    return result;
  }
  // DeadlineExceeded without a task_error(): not yet.
  Result<R> get_for(Timeout d) const { return get_until(Deadline::after(d)); }
  Result<R> get_until(Deadline t) const {
    if (!valid()) return absl::FailedPreconditionError("this future has no task: it was moved from, or got already");
    if (!ticket_->wait(t)) return absl::DeadlineExceededError("the task has not ended yet");
    return detail::decode_result<R>(*ticket_);
  }
  void wait() const { (void)wait_until(Deadline::never()); }
  bool wait_for(Timeout d) const { return wait_until(Deadline::after(d)); }  // false: the time is up
  bool wait_until(Deadline t) const { return !valid() || ticket_->wait(t); }

  [[nodiscard]] bool valid() const noexcept { return ticket_ != nullptr; }
  [[nodiscard]] bool ready() const { return valid() && ticket_->poll(); }
  [[nodiscard]] bool running() const { return valid() && ticket_->running(); }
  [[nodiscard]] bool successful() const { return valid() && ticket_->successful(); }  // false while not ready
  // True: it will never run (again). False: it runs, or has ended.
  bool cancel() { return valid() && ticket_->cancel(); }
  // cancel(), and kills the worker that runs it. True: it ends as Cancelled, once that worker is dead. False: it has
  // ended by itself.
  bool kill() { return valid() && ticket_->kill(); }
  // Why it failed; nullopt while not ready, and when it did not.
  [[nodiscard]] std::optional<TaskError> error() const {
    return ready() ? task_error(ticket_->read([](Reader&) {})) : std::nullopt;
  }
  [[nodiscard]] TaskId id() const noexcept { return valid() ? ticket_->id() : TaskId{}; }

 private:
  std::unique_ptr<detail::Ticket> ticket_;
};

}  // namespace warren
