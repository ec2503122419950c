// The table of tasks: who may do what to a slot, each step one CAS of its state word. docs/algorithms/task_table.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/block_heap.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/layout/pool.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "side_hints.h"

namespace warren::detail {

// A slot in one of its lives.
struct TaskRef {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

// How a worker ended.
struct WorkerEnd {
  std::uint32_t pid = 0;
  int signal = 0;  // 0: it exited
  int exit_code = 0;
};

// How many tasks may lie in a table.
struct TableSize {
  TableSize(std::size_t most, std::size_t nested = 0) noexcept : max_pending(most), reserve(nested) {}  // NOLINT
  std::size_t max_pending;
  std::size_t reserve;  // more, for what tasks submit
  [[nodiscard]] std::size_t slots() const noexcept {
    return std::min<std::size_t>(max_pending + reserve, layout::kMaxTasks);
  }
};

class TaskTable {
 public:
  using State = layout::TaskState;
  using Phase = layout::TaskState::Phase;

  // `scale` divides the address space that is reserved for large arguments and results.
  static SegmentPlan plan(std::uint32_t workers, TableSize size, const std::string& name, std::uint64_t scale);
  static std::size_t reserved_bytes(TableSize size, std::uint64_t scale);
  explicit TaskTable(Attachment& attachment) noexcept;
  // From now on it is that of a worker, whose tasks submit: what it holds is let go when that one dies.
  void be_of(layout::WorkerRecord& worker) noexcept;
  [[nodiscard]] bool is_of_worker() const noexcept { return own_ != nullptr; }

  [[nodiscard]] layout::PoolHeader& header() const noexcept { return *header_; }
  [[nodiscard]] layout::WorkerRecord& worker(std::uint32_t index) const noexcept { return workers_[index]; }
  // Records that were ever used: all that matter.
  [[nodiscard]] std::uint32_t worker_count() const noexcept {
    return std::min(header_->worker_count.load(std::memory_order_relaxed), layout::kMaxWorkers);
  }
  [[nodiscard]] std::uint32_t most_workers() const noexcept {
    return std::clamp(header_->most_workers.load(std::memory_order_seq_cst), 1u,
                      layout::kMaxWorkers);  // [SH8] after the task is pending; pairs with SH9
  }
  // Less those that left for want of work.
  [[nodiscard]] std::uint32_t staying() const noexcept {
    const std::uint32_t most = most_workers();
    return most - std::min(most, header_->retired.load(std::memory_order_relaxed));
  }
  // Of the places before `end` those whose worker runs a task, or would: not those that wait for one.
  [[nodiscard]] std::uint32_t working(std::uint32_t end) const noexcept;
  [[nodiscard]] layout::TaskSlot& slot(std::uint32_t index) const noexcept { return slots_[index]; }
  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  // Slots that the application uses: those behind are for tasks of tasks.
  [[nodiscard]] std::uint64_t max_pending() const noexcept { return max_pending_; }
  [[nodiscard]] std::uint64_t committed() const noexcept;
  // More slots. A new table has none.
  absl::Status commit_more() noexcept;
  // Memory for the records of so many workers. A new table has none.
  absl::Status commit_workers(std::uint32_t count) noexcept;
  // Memory for the extras of this slot and of all before it.
  absl::Status commit_extras(std::uint32_t slot) noexcept;
  [[nodiscard]] layout::TaskExtras& extras(std::uint32_t slot) const noexcept { return extras_[slot]; }
  [[nodiscard]] bool has_extras(std::uint32_t slot) const noexcept {
    return slots_[slot].has_extras.load(std::memory_order_relaxed) != 0;
  }
  [[nodiscard]] Attachment& attachment() const noexcept { return *attachment_; }
  [[nodiscard]] State state(std::uint32_t slot) const noexcept {
    return State::from(
        slots_[slot].state.load(std::memory_order_acquire));  // [T2] what was written before the step; pairs with T1
  }

  // --- submitters
  // FREE -> ALLOC; nullopt: somebody else has it.
  std::optional<TaskRef> allocate(std::uint32_t index) noexcept;
  // In a worker: the task under way is not over yet, and unfinished() is to see this one.
  void count_nested() noexcept;
  // A block for the arguments of a slot that is being written.
  std::span<std::byte> grow_arguments(TaskRef task, std::size_t used, std::size_t needed) noexcept;
  // ALLOC -> PENDING, and a hint to a worker.
  void publish(TaskRef task) noexcept;
  // ALLOC -> FREE: it was not to be.
  void withdraw(TaskRef task) noexcept;
  // Nobody waits any more. True: the slot is free now; false: whoever ends the task frees it.
  bool abandon(TaskRef task) noexcept;
  // Ended -> FREE.
  void free(TaskRef task) noexcept;
  // PENDING -> LOST: no worker takes it any more. False: one has it, or it has ended. The caller's future holds the
  // slot.
  bool cancel(TaskRef task) noexcept;
  // cancel(), or asks for the end of the worker that has it: the task ends as cancelled once that one is dead. The
  // caller's future holds the slot.
  enum class Kill { kTooLate, kCancelled, kCondemned };  // kCondemned: the supervisor is to be rung
  Kill kill(TaskRef task) noexcept;
  [[nodiscard]] std::span<const std::byte> arguments(std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<const std::byte> result(std::uint32_t index) const noexcept;

  // --- workers
  struct Claim {
    std::uint32_t slot;
    State state;
  };
  // The hints do not tell all: the next worker that finds none looks at the table.
  void ask_for_scan() noexcept;
  // Takes the next ready task for the worker of `place` that sits in `seat`: PENDING -> RUNNING. Front: why there was
  // none.
  std::optional<Claim> claim_next(Seat& seat, Front& front, std::uint32_t place = SideHints::kAnyPlace) noexcept;
  std::span<std::byte> grow_result(const Claim& claim, std::size_t used, std::size_t needed) noexcept;
  // RUNNING -> DONE or FAILED, or FREE where it was abandoned. False: the task is no longer this attempt's; if it is
  // CONDEMNED, or lost, the worker has to leave.
  bool end(const Claim& claim, Phase phase) noexcept;
  // RUNNING -> PENDING: it may be tried again, after its backoff. Where it has one the supervisor is to be rung.
  bool try_again(const Claim& claim) noexcept;
  // Ready tasks: approximate, and not of one worker alone.
  [[nodiscard]] std::size_t approx_ready() const noexcept;

  // --- the supervisor
  // Whether this worker has, or had, the claimed task.
  [[nodiscard]] static bool is_of(const layout::WorkerRecord& record, State claimed) noexcept {
    const auto lane = layout::WorkerLane::from(record.lane.load(std::memory_order_relaxed));
    return lane.index == claimed.lane && static_cast<std::uint8_t>(lane.generation) == claimed.lane_generation;
  }
  // RUNNING -> CONDEMNED: this attempt will not end the task, and its worker is to be killed. False: it has ended.
  bool condemn(const Claim& attempt) noexcept;
  // Calls `found` with each condemned attempt, if there may be any since the last call.
  template <class Found>
  void each_condemned(Found&& found) noexcept {
    if (header_->condemned.exchange(0, std::memory_order_acquire) == 0) return;  // [T24] pairs with T23
    const std::uint64_t end = committed();
    for (std::uint32_t index = 0; index < end; ++index) {
      if (const State state = this->state(index); state.phase == Phase::kCondemned) found(Claim{index, state});
    }
  }
  // After a worker's death: its task is tried again or lost, what its tasks had submitted is abandoned, every pending
  // task gets a hint (it may have taken one along), blocks that nobody uses are freed.
  void settle_dead_worker(layout::WorkerLane lane, const WorkerEnd& how) noexcept;
  // Of a worker that is dead, or about to leave: the slots that its tasks were writing are free, and nobody waits for
  // what they submitted.
  void abandon_all_of(layout::WorkerLane lane) noexcept;
  // Every task that has not ended is lost. No worker may be alive.
  void lose_all(layout::Loss loss) noexcept;
  [[nodiscard]] bool unfinished() const noexcept;
  // A hint for every pending task: those of who died are gone, and those of a place that went stand in its ring.
  void hint_all() noexcept;
  // Hints to tasks whose time has not come go to `wait(TaskRef, not_before_ns)`. Why there are no more; `overflow`:
  // some did not fit, the table has them.
  template <class Wait>
  Front take_delayed(bool& overflow, Wait&& wait) noexcept;
  // Those in the table whose time is `since` or later.
  template <class Wait>
  void each_delayed(std::uint64_t since, Wait&& wait) noexcept;
  // Of a task whose time has come, or that may be in the wrong ring.
  void hint_again(TaskRef task) noexcept { push_hint(task, 1); }

  // The wait words.
  [[nodiscard]] std::atomic<std::uint32_t>& ready() const noexcept { return hints_.not_empty(); }
  [[nodiscard]] std::atomic<std::uint32_t>& completions() const noexcept { return header_->completions; }
  [[nodiscard]] std::atomic<std::uint32_t>& lent() const noexcept { return header_->lent; }
  void wake_everybody() noexcept;

  // Which tasks end, for the one thread that follows many. From now on they are noted; returns how many there were.
  std::uint64_t listen_to_endings() noexcept;
  void ignore_endings() noexcept;
  // Calls `found` with the slots noted since `seen`, which it moves on. False: some were overlooked.
  template <class Found>
  bool each_ending(std::uint64_t& seen, Found&& found) noexcept {
    const std::uint64_t end = header_->endings.load(std::memory_order_relaxed);
    if (end - seen > layout::kEndings) return seen = end, false;
    for (; seen != end; ++seen) {
      const std::uint32_t entry =
          header_->ended[seen % layout::kEndings].load(std::memory_order_acquire);  // [T26] pairs with T27
      if (entry >> kSlotBits != lap_of(seen)) break;  // not written yet: its writer will notify
      found(entry & ((1u << kSlotBits) - 1));
    }
    return true;
  }
  // Those that were noted last, in order: `found(slot, number)`. For nothing but the order.
  template <class Found>
  void each_late_ending(Found&& found) const noexcept {
    const std::uint64_t end = header_->endings.load(std::memory_order_relaxed);
    for (std::uint64_t n = end - std::min(end, layout::kEndings); n < end; ++n) {
      const std::uint32_t entry = header_->ended[n % layout::kEndings].load(std::memory_order_relaxed);
      if (entry >> kSlotBits == lap_of(n)) found(entry & ((1u << kSlotBits) - 1), n);
    }
  }

 private:
  static constexpr std::uint32_t kSlotBits = 20;
  static std::uint32_t lap_of(std::uint64_t ending) noexcept {
    return static_cast<std::uint32_t>(ending / layout::kEndings + 1) & 0xfffu;
  }
  void note_ending(std::uint32_t slot) noexcept;
  template <class Wait>
  void see_delayed(std::uint32_t index, Wait&& wait) noexcept;
  void push_hint(TaskRef task, int wake) noexcept;
  // Out of the way of tasks that have no options.
  [[gnu::noinline, gnu::cold]] bool is_for_main_ring(TaskRef task) noexcept;
  bool is_for_main_ring(TaskRef task, std::int32_t priority) noexcept;
  [[gnu::noinline, gnu::cold]] Front pop_own(Seat& seat, std::uint32_t place, Words<1>& hint) noexcept;
  [[gnu::noinline, gnu::cold]] std::optional<Claim> claim_overflow(const Seat& seat, std::uint32_t place) noexcept;
  Front pop_bands(Seat& seat, bool above, Words<1>& hint) noexcept;
  bool find_in_band(Seat& seat, std::int32_t priority, Words<1>& hint) noexcept;
  [[gnu::noinline, gnu::cold]] Front pop_before(Seat& seat, Front found, Words<1>& hint) noexcept;
  [[gnu::noinline, gnu::cold]] Front pop_after(Seat& seat, Front found, Words<1>& hint) noexcept;
  std::optional<Claim> claim(TaskRef task, const Seat& seat, std::uint32_t place) noexcept;
  [[nodiscard]] [[gnu::noinline, gnu::cold]] bool may_take(TaskRef task, std::uint32_t place) noexcept;
  std::optional<Claim> claim_by_scan(const Seat& seat, std::uint32_t place) noexcept;
  std::optional<Claim> scan(const Seat& seat, std::uint32_t place, bool pinned_only) noexcept;
  void free_blocks(std::uint32_t slot, State last, std::uint64_t arguments, std::uint64_t result) noexcept;
  bool finish(const Claim& claim, Phase phase, std::uint16_t lane) noexcept;
  bool lose(const Claim& expected, layout::Loss loss) noexcept;
  void tell_of_room(std::uint32_t slot) noexcept;
  void free_draft(std::uint32_t slot, State draft) noexcept;
  bool change_phase(const Claim& attempt, Phase phase) noexcept;
  [[nodiscard]] std::uint32_t pid_of_worker(State claimed) const noexcept;
  void settle_attempt(Claim attempt, const WorkerEnd& how) noexcept;
  [[nodiscard]] bool in_use(layout::BlockOwner owner, std::uint64_t ref) const noexcept;

  Attachment* attachment_;
  layout::PoolHeader* header_;
  layout::WorkerRecord* workers_;
  layout::TaskSlot* slots_;
  layout::TaskExtras* extras_;
  std::atomic<std::uint64_t> extras_committed_{0};  // by this process
  std::uint64_t capacity_, max_pending_;
  layout::WorkerRecord* own_ = nullptr;  // null: the application, or the supervisor
  std::atomic<bool> follows_{false};
  MpmcRing<1> hints_;
  SideHints side_;
  BlockHeap heap_;
};

// --- bodies ----------------------------------------------------------------------------------------------------------

template <class Wait>
Front TaskTable::take_delayed(bool& overflow, Wait&& wait) noexcept {
  if (!side_.any_delayed()) return Front::kEmpty;
  Words<1> hint{};
  for (;;) {
    if (const Front front = side_.pop_delayed(attachment_->seat(), hint, overflow); front != Front::kItem) return front;
    see_delayed(static_cast<std::uint32_t>(hint[0]), wait);
  }
}

template <class Wait>
void TaskTable::each_delayed(std::uint64_t since, Wait&& wait) noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    see_delayed(index, [&](TaskRef task, std::uint64_t not_before) {
      if (not_before >= since) wait(task, not_before);
    });
  }
}

template <class Wait>
void TaskTable::see_delayed(std::uint32_t index, Wait&& wait) noexcept {
  if (index >= committed()) return;
  const State state = this->state(index);
  if (state.phase != Phase::kPending || !has_extras(index)) return;
  wait(TaskRef{.slot = index, .generation = state.generation},
       extras_[index].not_before_ns.load(std::memory_order_relaxed));
}

}  // namespace warren::detail
