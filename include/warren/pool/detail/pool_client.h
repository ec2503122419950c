// PoolClient: the application's side of a pool: slots, tickets, the supervisor's life. Shared by a Pool and its
// Futures.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/ticket.h>

#include <memory>
#include <optional>

namespace warren {
struct PoolOptions;
}

namespace warren::detail {

struct TaskRef;

class PoolClient : public std::enable_shared_from_this<PoolClient> {
 public:
  // Makes the shared memory and forks the supervisor, which forks the workers.
  static absl::StatusOr<std::shared_ptr<PoolClient>> start(const PoolOptions& options);
  // For the tasks of the worker that this process is; elsewhere one that refuses everything. Never null.
  static std::shared_ptr<PoolClient> current();
  PoolClient(const PoolClient&) = delete;
  PoolClient& operator=(const PoolClient&) = delete;
  ~PoolClient();

  struct Submission {
    std::optional<FunctionId> function;  // nullopt: workers do not know it
    const TaskOptions& options;
    absl::FunctionRef<void(Writer&)> encode;
    bool chunk = false;
    bool after_backoff = false;  // its first attempt is another's next
  };
  // Never null, never fails itself: what is wrong is the ticket's status. Waits while the table is full.
  std::shared_ptr<Ticket> submit(const Submission& submission);
  // Null: the table is full.
  std::shared_ptr<Ticket> try_submit(const Submission& submission);

  // While it is there, close() does not keep chunks out: they belong to a map that was accepted. FailedPrecondition:
  // the pool is closed already. InvalidArgument: its chunks are for a worker that the pool does not have.
  using MapUnderWay = std::unique_ptr<PoolClient, void (*)(PoolClient*)>;
  absl::StatusOr<MapUnderWay> begin_map(const TaskOptions& options);

  // Asks `test` again whenever a task ends. False: the time is up.
  bool wait_for_completions(Deadline deadline, absl::FunctionRef<bool()> test);

  [[nodiscard]] std::uint32_t workers() const noexcept;
  [[nodiscard]] std::uint32_t most_workers() const noexcept;  // those that left for want of work included
  absl::Status resize(std::uint32_t workers);
  // Only of the process that made the pool: a forked child leaves it alone.
  [[nodiscard]] bool mine() const noexcept;
  void close();
  void cancel_pending();  // and close
  void terminate();
  absl::Status join(Deadline deadline);

 private:
  friend class Ticket;
  friend class WorkerPool;
  class Impl;
  class NewTask;

  std::shared_ptr<Ticket> submit_if(const Submission& submission, bool wait);
  [[nodiscard]] absl::Status check_worker(const TaskOptions& options) const;
  static bool has_any_extras(const TaskOptions& options) noexcept;
  absl::Status write_extras(TaskRef task, const Submission& submission) noexcept;

  explicit PoolClient(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::detail
