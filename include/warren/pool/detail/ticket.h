// Ticket: one submitted task, as the application holds it behind a Future.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/time.h>
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
  explicit Ticket(absl::Status refused) : settled_(Settled{.status = std::move(refused), .bytes = {}}) {}
  // A chunk's ticket keeps its arguments when the task is lost, for submit_again().
  Ticket(std::shared_ptr<PoolClient> client, std::uint32_t slot, std::uint32_t generation, bool chunk)
      : client_(std::move(client)), slot_(slot), generation_(generation), chunk_(chunk) {}
  ~Ticket();  // the task goes on, its result is thrown away
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  // False: the time is up. True also when the task failed, was lost, or the pool is gone.
  bool wait(Deadline deadline) const;
  [[nodiscard]] bool ended() const;
  [[nodiscard]] bool running() const;
  [[nodiscard]] bool successful() const;
  // Of an ended task: hands the bytes of its result to `decode`, or says why there is none. A lost chunk gives both: the
  // results that it had committed, and the loss. The bytes are valid during `decode`.
  absl::Status read(absl::FunctionRef<void(Reader&)> decode) const;
  // Submits the arguments of this lost chunk once more, with other bytes in front.
  std::unique_ptr<Ticket> submit_again(std::span<const std::byte> front) const;
  [[nodiscard]] TaskId id() const noexcept;

 private:
  friend class PoolClient;
  struct Settled {
    absl::Status status;           // why there is no result
    std::vector<std::byte> bytes;  // the result
  };
  [[nodiscard]] bool movable_locked() const;  // its result may be taken out of the slot
  void settle_locked() const;               // moves it here; the slot is the caller's to free

  std::shared_ptr<PoolClient> client_;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
  bool chunk_ = false;
  mutable std::mutex mutex_;                // of the slot's result; a holder may lock the client's mutex, not the reverse
  mutable std::optional<Settled> settled_;  // set: there is no slot any more
};

}  // namespace warren::detail
