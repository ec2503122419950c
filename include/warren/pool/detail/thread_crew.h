// ThreadCrew: the threads of a ThreadPool, and what waits for them. Shared by the pool, its tasks and its threads.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/time.h>
#include <warren/pool/task.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>

namespace warren {
struct ThreadPoolOptions;
}

namespace warren::detail {

class ThreadCrew;

// What current_task() says in this thread from now on.
void begin_attempt(std::uint32_t attempt, Timeout soft_deadline) noexcept;

// A task as its crew sees it.
class ThreadWork {
 public:
  ThreadWork() noexcept;
  ThreadWork(const ThreadWork&) = delete;
  ThreadWork& operator=(const ThreadWork&) = delete;
  virtual ~ThreadWork() = default;

  [[nodiscard]] TaskId work_id() const noexcept { return id_; }
  [[nodiscard]] double reported() const noexcept { return progress_.load(std::memory_order_relaxed) / 4294967295.0; }
  [[nodiscard]] bool being_run() const noexcept { return state_.load(std::memory_order_relaxed) == State::kRunning; }

 private:
  friend class ThreadCrew;
  friend class ReadyQueue;
  enum class State : std::uint8_t { kNew, kQueued, kRunning, kCancelled };

  // One of these two, once; it keeps the result, and lets go of the function and its arguments.
  virtual void run() noexcept = 0;
  virtual void fail(const absl::Status& why) noexcept = 0;
  virtual void tell() = 0;  // behind them: the result is the future's, and callbacks run

  const TaskId id_;
  std::atomic<State> state_ = State::kNew;   // changed under the crew's mutex
  std::atomic<std::uint32_t> progress_ = 0;  // of 2^32 - 1
  std::size_t level_ = 0;                    // while it is queued, and the next
  std::list<std::shared_ptr<ThreadWork>>::iterator place_;
};

class ThreadCrew : public std::enable_shared_from_this<ThreadCrew> {
 public:
  static absl::StatusOr<std::shared_ptr<ThreadCrew>> start(ThreadPoolOptions options);
  ThreadCrew(const ThreadCrew&) = delete;
  ThreadCrew& operator=(const ThreadCrew&) = delete;
  ~ThreadCrew();

  // A place among those that have not ended, for one enqueue(). Waits while there is none, but never in a task or a
  // callback of this crew: its own end may be what is waited for. False: none, and not to wait. A refusal is told by
  // enqueue().
  bool take_place(bool wait);
  void give_place();
  // Runs the task, or fails it: never itself. A chunk belongs to a map that was accepted.
  void enqueue(const std::shared_ptr<ThreadWork>& work, const TaskOptions& options, bool chunk);
  // True: it will never run.
  bool cancel(ThreadWork& work);

  // While it is there, close() does not keep chunks out. FailedPrecondition: the pool is closed already.
  using MapUnderWay = std::unique_ptr<ThreadCrew, void (*)(ThreadCrew*)>;
  absl::StatusOr<MapUnderWay> begin_map(const TaskOptions& options);
  // Asks `test` again whenever a task ends. False: the time is up.
  bool wait_for_completions(Deadline deadline, absl::FunctionRef<bool()> test);

  // Between two attempts, in the thread of the task. False: the pool was terminated.
  bool pause(Timeout d);

  [[nodiscard]] std::uint32_t workers() const noexcept;
  [[nodiscard]] std::uint32_t most_workers() const noexcept { return workers(); }
  // Only of the process that made the pool: a forked child has none of the threads.
  [[nodiscard]] bool mine() const noexcept;
  [[nodiscard]] bool terminated() const noexcept;
  void close();
  void cancel_pending();  // and close
  void terminate();
  absl::Status join(Deadline deadline);

 private:
  friend class StandIn;
  struct Impl;
  explicit ThreadCrew(ThreadPoolOptions options);

  std::unique_ptr<Impl> impl_;
};

// While a thread of a crew waits for a task: another one takes its place, so that tasks that wait for tasks never wait
// for a thread. In other threads it does nothing.
class StandIn {
 public:
  StandIn();
  ~StandIn();
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

 private:
  ThreadCrew* crew_;
};

}  // namespace warren::detail
