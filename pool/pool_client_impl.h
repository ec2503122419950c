// What PoolClient hides: the table, and what this process remembers of its slots.
#pragma once
#include <warren/pool/detail/pool_client.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "place_lent.h"
#include "task_table.h"

namespace warren::detail {

class Completions;
class WorkerPool;

class PoolClient::Impl {
 public:
  Impl(Attachment::Pointer attachment, int control);
  // For the tasks of this worker: it has no slots of its own, and no thread but for callbacks.
  Impl(Attachment::Pointer attachment, int control, WorkerPool& worker);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Forks the supervisor.
  absl::Status start(const PoolOptions& options);

  [[nodiscard]] TaskTable& table() noexcept { return table_; }
  [[nodiscard]] Completions& completions() noexcept { return *completions_; }
  [[nodiscard]] bool mine() const noexcept { return epoch_ == process_epoch(); }
  // Null: this is the application's side.
  [[nodiscard]] WorkerPool* worker() const noexcept { return worker_; }
  // Why a submit is refused now; OK: it is not.
  [[nodiscard]] absl::Status refusal(bool of_map = false);
  // A slot in ALLOC. nullopt: the table is full, or `refused` says why.
  std::optional<TaskRef> acquire(bool wait, bool of_map, absl::Status& refused);
  // `ticket` waits for the task in its slot: its result may be moved out of the way.
  void remember(const Ticket& ticket);
  // A slot that was acquired and not used.
  void give_back(std::uint32_t slot) noexcept;
  // The ticket lets go of its slot, which is free unless the task goes on.
  void forget(const Ticket& ticket, bool slot_is_free) noexcept;

  // Waits on `word`, and looks after the supervisor meanwhile.
  template <class Test>
  bool wait(std::atomic<std::uint32_t>& word, Deadline deadline, Test&& test) {
    const auto progress = [&test] { return test() ? Progress::kDone : Progress::kBlocked; };
    thread_local Spinner spinner;
    if (progress() == Progress::kDone) return true;
    if (!deadline.expired()) {
      if (spin_until_done(spinner, progress)) return true;
      const PlaceLent lent;
      if (sleep_until_done(
              word, table_.attachment().wait_mode(), deadline, progress, [] { return kLookAfterSupervisor; },
              [this] { look_after_supervisor(); })) {
        return true;
      }
    }
    return look_now_and_then() && test();  // who waits in short turns never sleeps for a slice
  }
  // For who polls. True: it is a while since the last look.
  bool look_now_and_then();

  // A map under way was accepted with all that it has still to submit: the pool closes when the last one has ended.
  void close();
  void cancel_pending();  // and close
  absl::Status begin_map();
  void end_map();
  void change_phase(layout::PoolHeader::Phase phase);
  void ring_supervisor() noexcept;
  absl::Status join(Deadline deadline);
  absl::Status resize(std::uint32_t workers);
  // After a task became pending: whom it needs is told.
  void published(TaskRef task, const Submission* with_extras) noexcept;
  // Of a task in LOST.
  [[nodiscard]] absl::Status loss(std::uint32_t index, layout::TaskState state);

 private:
  static constexpr std::chrono::nanoseconds kLookAfterSupervisor = std::chrono::milliseconds(250);

  std::optional<TaskRef> acquire_locked();
  std::optional<TaskRef> acquire_in_task(bool beyond, absl::Status& refused);
  std::optional<TaskRef> acquire_beyond_locked();
  bool find_free_slots_locked();
  void harvest_locked();
  bool await_supervisor(Deadline deadline);
  void look_after_supervisor();
  [[nodiscard]] bool supervisor_was_killed() const;
  void supervisor_died();
  void lose_unfinished();
  [[nodiscard]] std::string diagnosis();

  Attachment::Pointer attachment_;
  TaskTable table_;
  WorkerPool* worker_ = nullptr;
  int control_;
  std::uint64_t epoch_;  // the process that made the pool
  int supervisor_pidfd_ = -1;

  std::mutex mutex_;                        // of the slots below
  std::vector<std::uint32_t> free_;         // hints: the state words decide
  std::vector<std::uint32_t> free_beyond_;  // likewise, of those for tasks of tasks
  std::uint64_t next_beyond_ = 0;           // where the search for one goes on
  std::uint64_t fresh_ = 0;                 // slots below were used before
  std::vector<const Ticket*> tickets_;      // by slot

  std::mutex maps_mutex_;
  std::atomic<bool> closing_ = false;     // close() was called
  std::atomic<bool> cancelling_ = false;  // cancel_pending() was called
  std::size_t maps_ = 0;                  // under way

  std::shared_ptr<Completions> completions_;

  std::mutex join_mutex_;
  std::atomic<bool> reaped_ = false;
  std::atomic<std::int64_t> next_look_ns_ = 0;
  std::mutex death_mutex_;
  std::atomic<bool> supervisor_dead_ = false;
};

}  // namespace warren::detail
