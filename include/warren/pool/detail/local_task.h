// LocalTask<R>: a result that this process makes of others: then(), map_async().
#pragma once
#include <warren/ipc/detail/process.h>
#include <warren/pool/detail/task_core.h>
#include <warren/pool/detail/task_error.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace warren::detail {

class LocalCore : public TaskCore {
 public:
  [[nodiscard]] bool ended() const override;

 protected:
  bool wait_until_ended(Deadline deadline) const override;
  [[nodiscard]] bool foreign() const noexcept override { return epoch_ != process_epoch(); }
  void be_seen() override;
  // The result is there. Once.
  void finish();

 private:
  const std::uint64_t epoch_ = process_epoch();
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool ended_ = false;
  bool followed_ = false;  // finish() tells
};

template <class R>
class LocalTask : public LocalCore {
 public:
  [[nodiscard]] bool successful() const override { return ended() && !foreign() && result_->ok(); }
  absl::Status read(absl::FunctionRef<void(Reader&)>) const override {
    if (foreign()) return absl::FailedPreconditionError("this future belongs to the process that made it");
    return status_of(*result_);
  }
  [[nodiscard]] void* value() const noexcept override { return foreign() ? nullptr : &*result_; }

 protected:
  void set(Result<R> result) {
    result_.emplace(std::move(result));
    finish();
  }

 private:
  mutable std::optional<Result<R>> result_;
};

// Calls f here; what it throws becomes a failure.
template <class V, class F, class... A>
Result<V> call_here(F& f, A&&... a) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, A...>>) {
      std::invoke(f, std::forward<A>(a)...);
      return absl::OkStatus();
    } else {
      return std::invoke(f, std::forward<A>(a)...);
    }
  } catch (...) {
    return status_of_current_exception(0);
  }
}

// What f makes of the result of another task.
template <class V>
class ThenTask final : public LocalTask<V> {
 public:
  explicit ThenTask(std::shared_ptr<TaskCore> source) noexcept : source_(std::move(source)) {}

  void give(Result<V> result) { this->set(std::move(result)); }
  [[nodiscard]] bool poll() const override { return this->ended() || (source_->poll() && this->ended()); }
  [[nodiscard]] bool running() const override { return !this->ended(); }
  [[nodiscard]] double progress() const noexcept override { return source_ != nullptr ? source_->progress() : 0; }
  bool cancel() override { return source_ != nullptr && source_->cancel(); }
  bool kill() override { return source_ != nullptr && source_->kill(); }
  [[nodiscard]] TaskId id() const noexcept override { return source_ != nullptr ? source_->id() : TaskId{}; }
  [[nodiscard]] TaskCore* source() const noexcept override { return source_.get(); }

 private:
  std::shared_ptr<TaskCore> source_;
};

}  // namespace warren::detail
