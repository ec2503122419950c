// Ticket: one submitted task, as the application holds it behind a Future.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/time.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/task.h>

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace warren::detail {

class PoolClient;

class Ticket {
 public:
  // Never got a slot: the status says why.
  explicit Ticket(absl::Status refused) : settled_(Settled{.status = std::move(refused)}) {}
  // A chunk's ticket keeps the arguments of a lost task, for submit_again().
  Ticket(std::shared_ptr<PoolClient> client, std::uint32_t slot, std::uint32_t generation, bool chunk)
      : client_(std::move(client)), slot_(slot), generation_(generation), chunk_(chunk) {}
  ~Ticket();  // the task goes on, its result is thrown away
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  // False: the time is up. True also when the task failed, was lost, or the pool is gone.
  bool wait(Deadline deadline) const;
  [[nodiscard]] bool ended() const;
  [[nodiscard]] bool poll() const;  // ended(), for who asks again and again: notices the supervisor's death
  [[nodiscard]] bool running() const;
  [[nodiscard]] bool successful() const;
  bool cancel();  // true: it was cancelled, and will not run
  bool kill();    // true: it was cancelled, and whoever runs it is killed
  // Of an ended task: hands the bytes of its result to `decode`, or says why there is none. A chunk gives the results
  // that it had committed in any case, behind them the error with which it failed, and the loss where it is lost. The
  // bytes are valid during `decode`.
  absl::Status read(absl::FunctionRef<void(Reader&)> decode) const;
  // Submits the arguments of this lost chunk once more, with other bytes in front. Its own slot is given back first.
  std::unique_ptr<Ticket> submit_again(const TaskOptions& options, bool after_backoff,
                                       std::span<const std::byte> front) const;
  [[nodiscard]] TaskId id() const noexcept;

 private:
  friend class PoolClient;
  struct Settled {
    absl::Status status = {};           // why there is no result
    std::vector<std::byte> bytes = {};  // the result
    FunctionId function = {};           // of a lost chunk
    std::vector<std::byte> arguments = {};
  };
  // In a forked child: the task is the parent's, which may have given the slot to another one.
  [[nodiscard]] bool foreign() const noexcept;
  [[nodiscard]] std::optional<TaskError> cancelled_locked() const;
  void settle_locked() const;  // moves what there is of an ended task here; the slot is the caller's to free
  const Settled& settle() const;

  std::shared_ptr<PoolClient> client_;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
  bool chunk_ = false;
  mutable std::mutex mutex_;  // of the slot's result; a holder may lock the client's mutex, not the reverse
  mutable std::optional<Settled> settled_;  // set: there is no slot any more
};

}  // namespace warren::detail
