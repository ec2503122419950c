// Future<R>: the result of one task.
#pragma once
#include <warren/ipc/time.h>
#include <warren/pool/detail/local_task.h>
#include <warren/pool/detail/task_core.h>
#include <warren/pool/task.h>

#include <memory>
#include <utility>

namespace warren {

template <class R>
class Future;

namespace detail {
// The result of an ended task, decoded; its failure in one layer.
template <class R>
Result<R> decode_result(const TaskCore& task) {
  if constexpr (std::is_void_v<R>) {
    return task.read([](Reader&) {});
  } else {
    absl::StatusOr<R> result = absl::DataLossError("the task gave no result");
    const absl::Status status = task.read([&](Reader& r) { result = r.get<R>(); });
    if (!status.ok()) return status;
    return result;
  }
}

// A container says that it can be copied whatever it holds.
template <class T>
inline constexpr bool kCopies = std::copy_constructible<T>;
template <class T>
  requires(std::copy_constructible<T> && requires { typename T::value_type; })
inline constexpr bool kCopies<T> = std::same_as<T, typename T::value_type> || kCopies<typename T::value_type>;

// What one that was never encoded gives: a copy where that is possible, else itself, once.
template <class R>
Result<R> take_value(void* value) {
  auto& result = *static_cast<Result<R>*>(value);
  if constexpr (std::is_void_v<R> || kCopies<R>) {
    return result;
  } else {
    if (!result.ok()) return result.status();
    return std::exchange(result, absl::FailedPreconditionError("this result cannot be copied, and was got already"));
  }
}

template <class R>
Result<R> result_of(const TaskCore& task) {
  void* const value = task.value();
  if constexpr (Carriable<R> || std::is_void_v<R>) {
    if (value == nullptr) return decode_result<R>(task);
  } else {
    if (value == nullptr) return task.read([](Reader&) {});  // not encoded, and it has failed
  }
  return take_value<R>(value);
}

// For who follows: what a type of the user's throws as it is decoded or copied is a failure, which can be passed on.
template <class R>
Result<R> result_to_pass_on(const TaskCore& task) {
  try {
    return result_of<R>(task);
  } catch (...) {
    return status_of_current_exception(0);
  }
}

// What then() makes of a result.
template <class F, class R>
struct Continuation {
  static constexpr bool ok = false;
};
template <class F, class R>
  requires std::invocable<F&, R>
struct Continuation<F, R> {
  static constexpr bool ok = true;
  using value = typename ResultOf<std::decay_t<std::invoke_result_t<F&, R>>>::value;
};
template <std::invocable F>
struct Continuation<F, void> {
  static constexpr bool ok = true;
  using value = typename ResultOf<std::decay_t<std::invoke_result_t<F&>>>::value;
};

template <class V, class R, class F>
Result<V> continue_with(F& f, Result<R> result) {
  if (!result.ok()) return status_of(result);
  if constexpr (std::is_void_v<R>) {
    return call_here<V>(f);
  } else {
    return call_here<V>(f, *std::move(result));
  }
}
}  // namespace detail

namespace detail {
struct FutureAccess {
  template <class R>
  static const std::shared_ptr<TaskCore>& task(const Future<R>& future) noexcept {
    return future.task_;
  }
};
}  // namespace detail

// Move-only. Dropped: the task still runs, its result is thrown away. Outlives its pool. Const calls are thread-safe.
//
// Codes of a failed task: Unknown it threw; what it returned; Aborted its worker died; DeadlineExceeded an attempt took
// longer than TaskOptions::deadline; Cancelled by cancel() or kill(), or the pool was terminated; FailedPrecondition
// the pool was closed, or cannot start workers; InvalidArgument it is for a worker that the pool does not have;
// DataLoss its bytes could not be decoded; ResourceExhausted no memory; Unavailable the pool's supervisor is gone.
// task_error(status) says more.
template <class R>
class Future {
 public:
  using value_type = R;

  Future() noexcept = default;
  explicit Future(std::shared_ptr<detail::TaskCore> task) noexcept : task_(std::move(task)) {}
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;
  ~Future() = default;

  // Blocks; may be called again: it decodes afresh, so R need not be copyable. An rvalue's get() also frees the slot.
  // Without a task (default made, moved from, got as an rvalue): FailedPrecondition.
  Result<R> get() const& { return get_until(Deadline::never()); }
  Result<R> get() && {
    Result<R> result = get_until(Deadline::never());
    task_.reset();
    return result;
  }
  // DeadlineExceeded without a task_error(): not yet, or its callbacks run still.
  Result<R> get_for(Timeout d) const { return get_until(Deadline::after(d)); }
  Result<R> get_until(Deadline t) const {
    if (!valid()) return absl::FailedPreconditionError("this future has no task: it was moved from, or got already");
    if (!task_->wait(t)) return absl::DeadlineExceededError("the task has not ended yet");
    return detail::result_of<R>(*task_);
  }
  void wait() const { (void)wait_until(Deadline::never()); }
  bool wait_for(Timeout d) const { return wait_until(Deadline::after(d)); }  // false: the time is up
  bool wait_until(Deadline t) const { return !valid() || task_->wait(t); }

  [[nodiscard]] bool valid() const noexcept { return task_ != nullptr; }
  [[nodiscard]] bool ready() const { return valid() && task_->poll(); }  // its callbacks may run still
  [[nodiscard]] bool running() const { return valid() && task_->running(); }
  [[nodiscard]] bool successful() const { return valid() && task_->successful(); }  // false while not ready
  // True: it will never run (again). False: it runs, or has ended.
  bool cancel() { return valid() && task_->cancel(); }
  // cancel(), and kills the worker that runs it. True: it ends as Cancelled, once that worker is dead. False: it has
  // ended by itself.
  bool kill() { return valid() && task_->kill(); }
  // Why it failed; nullopt while not ready, and when it did not.
  [[nodiscard]] std::optional<TaskError> error() const {
    return ready() ? task_error(task_->read([](Reader&) {})) : std::nullopt;
  }
  [[nodiscard]] TaskId id() const noexcept { return valid() ? task_->id() : TaskId{}; }

  // f(Result<R>), in this process, any captures; of one that was dropped too. In order of registration, in a thread
  // that the pool has for it (of a ThreadPool, the one that ran the task), or at once in this one if the task has ended
  // and the others have run. Other calls of this future that wait return after the callbacks ran, but in a callback
  // they do not wait for callbacks. What f throws is logged. The slot is given back first, so that a callback that
  // takes long holds nothing up but the callbacks behind.
  template <class F>
  Future& on_done(F f) & {
    follow(std::move(f));
    return *this;
  }
  template <class F>
  Future on_done(F f) && {
    follow(std::move(f));
    return std::move(*this);
  }
  // f(R) on success, in the thread of on_done(); a failure passes through. What f throws or returns is a task's: Status
  // and StatusOr are taken off. cancel() and kill() go to the task.
  template <class F>
  auto then(F f) &&;

  // What the task last reported with current_task().report(), 0 to 1; 1 where it was successful. Of map_async: how many
  // of its chunks have ended.
  [[nodiscard]] double progress() const noexcept { return valid() ? task_->progress() : 0; }

  // An eventfd that is readable once the task has ended, for poll, epoll, asio and warren::wait (ipc/pipe.h); callbacks
  // may run still. It belongs to the future. -1: no descriptor is left.
  [[nodiscard]] int fileno() const { return valid() ? task_->fileno() : -1; }

 private:
  friend struct detail::FutureAccess;
  template <class F>
  void follow(F f);

  std::shared_ptr<detail::TaskCore> task_;
};

// --- bodies ----------------------------------------------------------------------------------------------------------

template <class R>
template <class F>
void Future<R>::follow(F f) {
  static_assert(
      std::invocable<F&, Result<R>>,
      "on_done() calls f with the result, a StatusOr<R> (a Status, where the task returns void). Remedy: take "
      "that, or use then(), whose f gets the value alone");
  if constexpr (std::invocable<F&, Result<R>>) {
    if (!valid()) {
      (void)std::invoke(f, get());
      return;
    }
    task_->on_done([f = std::move(f)](detail::TaskCore& task) mutable {
      (void)std::invoke(f, detail::result_to_pass_on<R>(task));
    });
  }
}

template <class R>
template <class F>
auto Future<R>::then(F f) && {
  using Calls = detail::Continuation<F, R>;
  static_assert(
      Calls::ok,
      "then() calls f with the value of the task, and without anything where that is void. Remedy: take R, or "
      "use on_done(), whose f gets a StatusOr<R>");
  if constexpr (Calls::ok) {
    using V = typename Calls::value;
    if (!valid()) {
      auto none = std::make_shared<detail::ThenTask<V>>(nullptr);
      none->give(detail::status_of(get()));
      return Future<V>(std::move(none));
    }
    const std::shared_ptr<detail::TaskCore> task = std::move(task_);
    auto next = std::make_shared<detail::ThenTask<V>>(task);
    task->on_done([next, f = std::move(f)](detail::TaskCore& done) mutable {
      next->give(detail::continue_with<V, R>(f, detail::result_to_pass_on<R>(done)));
    });
    return Future<V>(std::move(next));
  } else {
    return Future<void>();  // told above
  }
}

}  // namespace warren

#include <warren/pool/as_completed.h>  // IWYU pragma: export
