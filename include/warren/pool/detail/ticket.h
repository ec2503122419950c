// Ticket: a task of a Pool, as the application holds it.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/time.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/task_core.h>
#include <warren/pool/task.h>

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace warren::detail {

class PoolClient;

class Ticket final : public TaskCore {
 public:
  // Never got a slot: the status says why.
  explicit Ticket(absl::Status refused) : settled_(Settled{.status = std::move(refused)}) {}
  // A chunk's ticket keeps the arguments of a lost task, for submit_again().
  Ticket(std::shared_ptr<PoolClient> client, std::uint32_t slot, std::uint32_t generation, bool chunk)
      : client_(std::move(client)), slot_(slot), generation_(generation), chunk_(chunk) {}
  ~Ticket() override;  // the task goes on, its result is thrown away
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  [[nodiscard]] bool ended() const override;
  [[nodiscard]] bool poll() const override;  // notices the supervisor's death
  [[nodiscard]] bool running() const override;
  [[nodiscard]] bool successful() const override;
  [[nodiscard]] double progress() const noexcept override;
  bool cancel() override;
  bool kill() override;
  // A chunk gives the results that it had committed in any case, behind them the error with which it failed, and the
  // loss where it is lost.
  absl::Status read(absl::FunctionRef<void(Reader&)> decode) const override;
  // Submits the arguments of this lost chunk once more, with other bytes in front. Its own slot is given back first.
  std::shared_ptr<Ticket> submit_again(const TaskOptions& options, bool after_backoff,
                                       std::span<const std::byte> front) const;
  [[nodiscard]] TaskId id() const noexcept override;
  [[nodiscard]] const std::shared_ptr<PoolClient>& client() const noexcept { return client_; }
  bool wait_until_ended(Deadline deadline) const override;

 private:
  friend class PoolClient;
  struct Settled {
    absl::Status status = {};           // why there is no result
    std::vector<std::byte> bytes = {};  // the result
    double progress = 0;
    FunctionId function = {};  // of a lost chunk
    std::vector<std::byte> arguments = {};
  };
  [[nodiscard]] bool foreign() const noexcept override;  // the parent may have given the slot to another task
  void be_seen() override;
  void let_go() noexcept override;  // of the slot
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
