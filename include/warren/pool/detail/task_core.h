// TaskCore: what a Future holds: one task, wherever it runs and however its result lies there, and who follows it.
#pragma once
#include <absl/functional/any_invocable.h>
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/time.h>
#include <warren/pool/task.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace warren::detail {

class TaskCore : public std::enable_shared_from_this<TaskCore> {
 public:
  // Of a task that has ended; nothing is locked. It may be called in another thread than the one that registered it.
  using Follower = absl::AnyInvocable<void(TaskCore&)>;

  TaskCore(const TaskCore&) = delete;
  TaskCore& operator=(const TaskCore&) = delete;
  virtual ~TaskCore();

  // Until it has ended and its callbacks have run; in a callback, until it has ended. False: the time is up. True also
  // when the task failed, was lost, or the pool is gone.
  bool wait(Deadline deadline) const;
  // In order of registration, after the watchers; at once, in this thread, if it has ended and the others have run.
  void on_done(Follower callback);
  // As soon as it has ended, also while a callback waits: not for what users give. `key` is for unwatch().
  void watch(const void* key, Follower watcher);
  void unwatch(const void* key) noexcept;
  // An eventfd that is readable once it has ended; -1: there is none left.
  int fileno();

  [[nodiscard]] virtual bool ended() const = 0;
  [[nodiscard]] virtual bool poll() const { return ended(); }  // ended(), for who asks again and again
  [[nodiscard]] virtual bool running() const = 0;
  [[nodiscard]] virtual bool successful() const = 0;
  [[nodiscard]] virtual double progress() const noexcept = 0;
  virtual bool cancel() = 0;  // true: it was cancelled, and will not run
  virtual bool kill() = 0;    // true: it was cancelled, and whoever runs it is killed
  [[nodiscard]] virtual TaskId id() const noexcept = 0;
  // Of an ended task: hands the bytes of its result to `decode`, or says why there is none. The bytes are valid during
  // `decode`.
  virtual absl::Status read(absl::FunctionRef<void(Reader&)> decode) const = 0;
  // Of an ended task whose result was never encoded: its Result<R>.
  [[nodiscard]] virtual void* value() const noexcept { return nullptr; }

  // Whoever sees it end calls these, once each, in this order.
  void tell_watchers();
  void run_callbacks();
  // In one of its callbacks: runs the one behind. False: it is in none, or there is none.
  bool run_callback_behind();
  // The task whose callback ends this one; null: none.
  [[nodiscard]] virtual TaskCore* source() const noexcept { return nullptr; }

 protected:
  TaskCore() = default;
  // In a forked child: the task is the parent's.
  [[nodiscard]] virtual bool foreign() const noexcept = 0;
  virtual bool wait_until_ended(Deadline deadline) const = 0;
  // From now on somebody sees it end. Called once.
  virtual void be_seen() = 0;
  // Callbacks may take long: what the task holds of its pool is given back.
  virtual void let_go() noexcept {}

 private:
  struct Followers;
  struct Running;
  Followers& followers();
  void follow(std::unique_lock<std::mutex>& lock, absl::FunctionRef<void()> undo);
  bool run_next(std::unique_lock<std::mutex>& lock);

  mutable std::atomic<Followers*> followers_{nullptr};  // none: nobody follows
};

}  // namespace warren::detail
