// One step of the task table in one state, its victim, and the survivors' checks. No pool is around it: the tracer is
// submitter, supervisor and surviving worker at once.
#pragma once
#include <warren/ipc/segment.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <vector>

#include "crash/shared_trial.h"
#include "pool/task_table.h"
#include "support/pool_view.h"

namespace warren::test {

using detail::Front;
using detail::TaskRef;
using detail::TaskTable;
using layout::TaskState;

// Numbers of tasks: from 0 those that wait when the victim begins; then the victim's own, and what others submit.
inline constexpr std::uint64_t kVictims = 20, kInterferers = 30, kLater = 40, kNested = 50, kMostTasks = 64;
inline constexpr std::size_t kTableCapacity = 6;
inline constexpr std::size_t kSmall = 600;                   // in a block that keeps its memory,
inline constexpr std::size_t kLarge = std::size_t{1} << 20;  // and in one that loses it when it is released
using Sizes = std::initializer_list<std::size_t>;

// What arguments and results begin with.
struct Stamp {
  std::uint64_t number, attempt, check;
  static Stamp of(std::uint64_t number, std::uint64_t attempt) { return {number, attempt, ~(number * 1000 + attempt)}; }
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

struct TableState {
  const char* name;
  std::size_t pending = 1;  // tasks
  std::uint32_t retries = 0;
  bool abandoned = false;  // the first one's future is gone
  bool large = false;      // arguments in a block of kLarge
  enum class Hints { kThere, kTwice, kRescan } hints = Hints::kThere;
  enum class Dead { kNobody, kTookHint, kClaimed, kGrew } dead = Dead::kNobody;  // an earlier worker, at the first task
  bool ended = false;  // by the time the victim begins, the first task is done
  enum class Side { kNone, kPriority, kPinned } side = Side::kNone;                // where the hints of all tasks go
  enum class Condemned { kNo, kDeadline, kCancelled } condemned = Condemned::kNo;  // the first attempt of it
  bool followed = false;          // somebody wants to know which tasks end
  bool killed_meanwhile = false;  // while the victim is held, the first task's future kills it
  bool nested = false;  // the dead worker's tasks had submitted some: one waits, one has ended, one is written
};

class TableTrial;
struct TableOperation {
  const char* name;
  void (*run)(TableTrial& trial);
  bool submits = false;     // the victim is a submitter: it may leave a slot that it was writing
  bool supervises = false;  // the victim settles the earlier death
  bool cancels = false;     // the first task
  bool nests = false;       // the victim is a worker whose task submits: whatever it was writing is freed
};

class TableTrial : public Trial {
 public:
  TableTrial(const TableState& state, const TableOperation& operation)
      : state_(state), operation_(operation), attachment_(make_table()), table_(*attachment_) {
    if (!table_.commit_workers(1).ok() || !table_.commit_more().ok()) throw std::runtime_error("no memory for a table");
    set_waits(200us);
    for (std::size_t i = 0; i < state.pending; ++i) {
      tasks_.push_back(*submit(i, state.retries, state.large ? Sizes{kLarge} : Sizes{}));
    }
    if (state.hints != TableState::Hints::kThere) spoil_hints();
    if (state.dead != TableState::Dead::kNobody) die_earlier();
    if (state.ended) run_one();
    if (state.followed) (void)table_.listen_to_endings();
    if (state.condemned == TableState::Condemned::kDeadline)
      (void)table_.condemn({.slot = first().slot, .state = table_.state(first().slot)});
    if (state.condemned == TableState::Condemned::kCancelled) kill_first();
    if (state.abandoned) (void)table_.abandon(tasks_[0]);
    head_before_ = view().hints().head;
    tail_before_ = view().hints().tail;
  }

  // --- steps, for operations and survivors

  TaskTable& table() { return table_; }
  TaskRef first() const { return tasks_[0]; }
  detail::Seat& seat() { return attachment_->seat(); }
  std::optional<TaskTable::Claim> claim() {
    Front front = Front::kEmpty;
    return table_.claim_next(seat(), front, 0);
  }
  // Counts that the task is begun, and looks whether somebody else is in the midst of it.
  void begin(const TaskTable::Claim& claim) {
    const std::uint64_t number = number_of(claim.slot);
    shared_->begun[number].fetch_add(1);
    if (shared_->inside[number].exchange(::getpid()) != 0) shared_->doubled = number + 1;
    if (stamp_in(table_.arguments(claim.slot)) != Stamp::of(number, 0)) shared_->torn = number + 1;
  }
  void write_result(const TaskTable::Claim& claim, Sizes sizes) {
    layout::TaskSlot& slot = table_.slot(claim.slot);
    std::span<std::byte> memory(slot.result);
    put(memory, Stamp::of(number_of(claim.slot), claim.state.attempt));
    for (const std::size_t size : sizes) memory = table_.grow_result(claim, sizeof(Stamp), size);
    if (memory.empty()) shared_->torn = kMostTasks;
    slot.result_bytes.store(sizeof(Stamp), std::memory_order_release);
  }
  void leave(const TaskTable::Claim& claim) { shared_->inside[number_of(claim.slot)] = 0; }
  // A worker's whole turn.
  void work(Sizes sizes, TaskState::Phase end = TaskState::Phase::kDone) {
    const auto task = claim();
    if (!task) return;
    begin(*task);
    write_result(*task, sizes);
    leave(*task);
    (void)table_.end(*task, end);
  }
  void fail_and_try_again(Sizes sizes) {
    const auto task = claim();
    if (!task) return;
    begin(*task);
    write_result(*task, sizes);
    leave(*task);
    const bool again = task->state.attempt <= table_.slot(task->slot).retries;
    (void)(again ? table_.try_again(*task) : table_.end(*task, TaskState::Phase::kFailed));
  }
  // nullopt: no slot is free.
  std::optional<TaskRef> submit(std::uint64_t number, std::uint32_t retries, Sizes sizes, bool withdraw = false) {
    std::optional<TaskRef> task;
    for (std::uint32_t i = 0; i < table_.committed() && !task; ++i) task = table_.allocate(i);
    if (!task) return std::nullopt;
    layout::TaskSlot& slot = table_.slot(task->slot);
    slot.function_offset = number;
    put(slot.arguments, Stamp::of(number, 0));
    for (const std::size_t size : sizes) (void)table_.grow_arguments(*task, sizeof(Stamp), size);
    if (withdraw) return table_.withdraw(*task), std::nullopt;
    slot.arguments_bytes = sizeof(Stamp);
    slot.retries = retries;
    if (table_.is_of_worker()) {
      table_.count_nested();
      slot.depth.store(1);
    }
    if (state_.side != TableState::Side::kNone) {
      const bool pinned = state_.side == TableState::Side::kPinned;
      (void)table_.commit_extras(task->slot);
      layout::TaskExtras& extras = table_.extras(task->slot);
      extras.priority.store(pinned ? 0 : static_cast<std::int32_t>(number % 3) - 1);
      extras.place.store(pinned ? 1 : 0);
      extras.not_before_ns.store(0);
      extras.backoff_ns = 0;
      slot.has_extras.store(1);
    }
    table_.publish(*task);
    return task;
  }
  // From now on as a task of the worker that this process is.
  void become_worker(std::uint32_t lane) {
    table_.worker(0).lane = lane;
    table_.be_of(table_.worker(0));
  }
  void submit_within(Sizes sizes) {
    become_worker(shared_->victim_lane);
    (void)submit(kVictims, 0, sizes);
  }
  void cancel_first() {
    if (table_.cancel(first())) shared_->promised = true;
  }
  void kill_first() {
    if (table_.kill(first()) != TaskTable::Kill::kTooLate) shared_->promised = true;
  }
  void settle_earlier_death() {
    table_.settle_dead_worker(layout::WorkerLane::from(shared_->earlier_lane), killed(shared_->earlier_pid));
  }

  // --- Trial

  void warm() override {
    const detail::Seat& mine = seat();
    shared_->victim_lane = layout::WorkerLane{.index = mine.lane_index, .generation = mine.generation}.word();
    shared_->victim_pid = ::getpid();
  }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t) override;
  // Another worker dies and others go on: hints are pushed again, blocks looked through, taken and written.
  void interfere() override {
    table_.settle_dead_worker({.index = 60'000, .generation = 7}, {});
    if (const auto task = submit(kInterferers, 0, {kLarge})) tasks_.push_back(*task);
    if (const auto task = submit(kInterferers + 1, 0, {kSmall})) tasks_.push_back(*task);
    if (state_.killed_meanwhile) kill_first();
    if (!operation_.supervises) run_one();
  }
  void loosen() override { loose_ = true; }
  // In another process: settles both deaths, then works.
  void rescue() override {
    settle_all();
    warm_as_rescuer();
    while (run_one({kSmall, kLarge})) {
    }
  }
  Verdict survive(bool finished) override;

 protected:
  PoolView view() const { return PoolView(attachment_->object()); }
  virtual void settle(std::uint32_t lane, pid_t pid) {
    if (lane != 0) table_.settle_dead_worker(layout::WorkerLane::from(lane), killed(pid));
  }
  void settle_all() {
    settle(shared_->earlier_lane, shared_->earlier_pid);
    settle(shared_->victim_lane, shared_->victim_pid);
    settle(shared_->rescuer_lane, shared_->rescuer_pid);
    for (auto& inside : shared_->inside) inside = 0;
  }

 private:
  struct Board {
    std::array<std::atomic<std::uint32_t>, kMostTasks> begun;
    std::array<std::atomic<pid_t>, kMostTasks> inside;
    std::atomic<std::uint64_t> doubled, torn;  // number + 1
    std::atomic<bool> promised;                // that the first task ends as cancelled
    std::atomic<std::uint32_t> earlier_lane, victim_lane, rescuer_lane;
    std::atomic<pid_t> earlier_pid, victim_pid, rescuer_pid;
  };

  static detail::Attachment::Pointer make_table() {
    constexpr std::uint64_t kScale = 4096;
    const detail::SegmentPlan plan = TaskTable::plan(1, kTableCapacity, "", kScale);
    return detail::Attachment::create({}, plan, {.max_size = TaskTable::reserved_bytes(kTableCapacity, kScale)})
        .value();
  }
  static detail::WorkerEnd killed(pid_t pid) { return {.pid = static_cast<std::uint32_t>(pid), .signal = SIGKILL}; }
  static void put(std::span<std::byte> memory, const Stamp& stamp) { std::memcpy(memory.data(), &stamp, sizeof stamp); }
  static Stamp stamp_in(std::span<const std::byte> bytes) {
    Stamp stamp{};
    if (bytes.size() == sizeof stamp) std::memcpy(&stamp, bytes.data(), sizeof stamp);
    return stamp;
  }
  std::uint64_t number_of(std::uint32_t slot) { return table_.slot(slot).function_offset % kMostTasks; }
  bool run_one(Sizes sizes = {}) {
    const auto task = claim();
    if (!task) return false;
    begin(*task);
    write_result(*task, sizes);
    leave(*task);
    return table_.end(*task, TaskState::Phase::kDone);
  }
  void warm_as_rescuer() {
    const detail::Seat& mine = seat();
    shared_->rescuer_lane = layout::WorkerLane{.index = mine.lane_index, .generation = mine.generation}.word();
    shared_->rescuer_pid = ::getpid();
  }

  void spoil_hints() {
    detail::MpmcRing<1> hints(*attachment_, view().hints());
    detail::Words<1> hint{};
    const bool twice = state_.hints == TableState::Hints::kTwice;
    for (std::size_t i = 0; i < state_.pending; ++i) {
      if (twice) {
        (void)hints.try_push(seat(), {std::uint64_t{tasks_[i].generation} << 32 | tasks_[i].slot});
      } else {
        (void)hints.try_pop(seat(), hint);
      }
    }
    if (!twice) view().header().rescan = 1;
  }

  void die_earlier() {
    Child worker([&]() -> int {
      const detail::Seat& mine = seat();
      shared_->earlier_lane = layout::WorkerLane{.index = mine.lane_index, .generation = mine.generation}.word();
      shared_->earlier_pid = ::getpid();
      if (state_.nested) {
        become_worker(shared_->earlier_lane);
        (void)submit(kNested, 0, {kSmall});
        const auto ends = submit(kNested + 1, 0, {kLarge});
        TaskTable::State done{.generation = ends->generation, .phase = TaskState::Phase::kDone};
        table_.slot(ends->slot).state.store(done.word());
        const auto draft = table_.allocate(free_slot());
        (void)table_.grow_arguments(*draft, 0, kSmall);
      }
      if (state_.dead == TableState::Dead::kTookHint) {
        detail::Words<1> hint{};
        (void)detail::MpmcRing<1>(*attachment_, view().hints()).try_pop(seat(), hint);
      } else if (const auto task = claim()) {
        begin(*task);
        if (state_.dead == TableState::Dead::kGrew) write_result(*task, {kSmall, kLarge});
      }
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    (void)worker.join();
  }

  std::uint32_t free_slot() const {
    std::uint32_t slot = 0;
    while (table_.state(slot).phase != TaskState::Phase::kFree) ++slot;
    return slot;
  }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }
  void drain();
  void check_task(std::uint32_t slot, const TaskState& state);
  void check_tasks(bool finished);
  void free_all();
  void check_empty(bool finished);
  void serve_on();

  TableState state_;
  TableOperation operation_;
  detail::Attachment::Pointer attachment_;
  TaskTable table_;
  std::vector<TaskRef> tasks_;
  Shared<Board> shared_;
  Verdict verdict_;
  std::uint64_t head_before_ = 0, tail_before_ = 0;
  bool loose_ = false;
};

// --- the window ------------------------------------------------------------------------------------------------------

inline std::string TableTrial::window(pid_t) {
  bool releasing = false, unnamed = false;
  view().each_owned_block([&](layout::BlockOwner owner, layout::BlockRef ref) {
    releasing = releasing || owner.role == layout::BlockOwner::Role::kReleasing;
    const layout::TaskSlot& slot = view().slots()[std::min<std::size_t>(owner.slot, kTableCapacity - 1)];
    unnamed = unnamed || (slot.arguments_block != ref.word() && slot.result_block != ref.word());
  });
  if (releasing) return "releasing";
  if (unnamed) return "block unnamed";
  if (operation_.submits || operation_.nests) {
    for (std::size_t i = 0; i < view().slots().size(); ++i) {
      if (view().state(i).phase == TaskState::Phase::kAlloc) return "writing";
      if (view().slots()[i].function_offset == kVictims && view().state(i).phase == TaskState::Phase::kPending)
        return "published";
    }
  }
  const TaskState state = view().state(first().slot);
  if (state.generation != first().generation) return "freed";
  switch (state.phase) {
    case TaskState::Phase::kPending:
      if (state.attempt != 0) return "pending again";
      if (operation_.supervises && view().hints().tail != tail_before_) return "hinted again";
      return view().hints().head != head_before_ ? "hint taken" : "before";
    case TaskState::Phase::kRunning: return view().slots()[first().slot].result_block != 0 ? "grown" : "claimed";
    case TaskState::Phase::kCondemned: return "condemned";
    case TaskState::Phase::kLost: return state.loss() == layout::Loss::kCancelled ? "cancelled" : "ended";
    default: return state.abandoned ? "abandoned" : "ended";
  }
}

// --- the survivors ---------------------------------------------------------------------------------------------------

inline Verdict TableTrial::survive(bool finished) {
  const auto begin = std::chrono::steady_clock::now();
  settle_all();
  (void)attachment_->sweep();
  drain();
  verdict_.recovery = std::chrono::steady_clock::now() - begin;
  check_tasks(finished && !loose_);
  free_all();
  check_empty(finished);
  serve_on();
  if (shared_->doubled != 0)
    fault(Fault::Kind::kDoubled, "task " + std::to_string(shared_->doubled - 1) + " had two workers at once");
  if (shared_->torn != 0)
    fault(Fault::Kind::kTorn, "task " + std::to_string(shared_->torn - 1) + " had torn arguments, or no memory");
  const bool freed = eventually([&] { return attachment_->sweep(), lanes_of_others(*attachment_) == 0; }, kPatience);
  if (!freed) fault(Fault::Kind::kLeft, "lanes of the dead");
  return verdict_;
}

inline void TableTrial::drain() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (Front front = Front::kEmpty;;) {
    if (const auto task = table_.claim_next(seat(), front, 0)) {
      this->begin(*task);
      write_result(*task, {kSmall});
      leave(*task);
      (void)table_.end(*task, TaskState::Phase::kDone);
    } else if (front != Front::kStalled) {
      break;
    } else if (std::chrono::steady_clock::now() > end) {
      return fault(Fault::Kind::kHung, "a hint of the dead stands in the way");
    }
  }
  for (std::uint32_t i = 0; i < table_.committed(); ++i) {
    const TaskState::Phase phase = table_.state(i).phase;
    if (phase == TaskState::Phase::kPending) fault(Fault::Kind::kHung, "a pending task that no hint names");
    if (table_.state(i).claimed()) fault(Fault::Kind::kHung, "a task runs on by the dead");
  }
}

inline void TableTrial::check_task(std::uint32_t slot, const TaskState& state) {
  const std::uint64_t number = number_of(slot);
  const std::string name = "task " + std::to_string(number);
  const std::uint32_t begun = shared_->begun[number];
  const std::uint32_t most = table_.slot(slot).retries + 1;
  if (begun > state.attempt || state.attempt > most) fault(Fault::Kind::kDoubled, name + " was begun too often");
  if (begun + 3 < state.attempt) fault(Fault::Kind::kOther, name + " was counted too often");
  if (state.abandoned) fault(Fault::Kind::kLeft, name + " was abandoned and is not free");
  switch (state.phase) {
    case TaskState::Phase::kDone:
    case TaskState::Phase::kFailed:
      if (stamp_in(table_.result(slot)) != Stamp::of(number, state.attempt))
        fault(Fault::Kind::kTorn, "the result of " + name);
      if (begun == 0) fault(Fault::Kind::kOther, name + " ended without having begun");
      break;
    case TaskState::Phase::kLost:
      if (state.attempt != most && state.loss() != layout::Loss::kCancelled)
        fault(Fault::Kind::kLost, name + " had attempts left");
      break;
    default: break;
  }
}

inline void TableTrial::check_tasks(bool finished) {
  for (const TaskRef& task : tasks_) {
    const TaskState state = table_.state(task.slot);
    const std::uint64_t number = number_of(task.slot);
    if (state.generation != task.generation) continue;  // the next life of the slot is checked below
    const bool cancelled = state.phase == TaskState::Phase::kLost && state.loss() == layout::Loss::kCancelled;
    if (cancelled != shared_->promised && number == 0 && (shared_->promised || !operation_.cancels))
      fault(Fault::Kind::kOther, cancelled ? "cancelled by nobody" : "not cancelled, though that was promised");
    if (cancelled && number == 0) continue;
    if (finished && state.phase == TaskState::Phase::kLost && state_.dead == TableState::Dead::kNobody) {
      fault(Fault::Kind::kLost, "task " + std::to_string(number) + ", though nobody died");
    }
  }
  for (std::uint32_t i = 0; i < table_.committed(); ++i) {
    const TaskState state = table_.state(i);
    if (state.ended()) check_task(i, state);
  }
  if (finished && operation_.submits && shared_->begun[kVictims] > 1)
    fault(Fault::Kind::kDoubled, "the victim's own task");
  for (std::uint64_t number = 0; number < kMostTasks; ++number) {
    if (shared_->begun[number] > 3)
      fault(Fault::Kind::kDoubled, "task " + std::to_string(number) + " was begun too often");
  }
}

inline void TableTrial::free_all() {
  for (std::uint32_t i = 0; i < table_.committed(); ++i)
    table_.free({.slot = i, .generation = table_.state(i).generation});
}

inline void TableTrial::check_empty(bool finished) {
  std::size_t writing = 0;
  for (std::uint32_t i = 0; i < table_.committed(); ++i) {
    const TaskState::Phase phase = table_.state(i).phase;
    if (phase == TaskState::Phase::kFree) continue;
    const bool allowed = phase == TaskState::Phase::kAlloc && operation_.submits && !finished;
    allowed ? void(++writing) : fault(Fault::Kind::kLeft, "slot " + std::to_string(i) + " is not free");
  }
  if (writing > 1) fault(Fault::Kind::kLeft, "two slots are being written");
  view().each_owned_block([&](layout::BlockOwner owner, layout::BlockRef) {
    const bool allowed = writing != 0 && owner.role == layout::BlockOwner::Role::kArguments;
    if (!allowed) fault(Fault::Kind::kLeft, "a block of slot " + std::to_string(owner.slot));
  });
  if (writing == 0 && table_.unfinished()) fault(Fault::Kind::kOther, "the empty table says that it is not");
}

inline void TableTrial::serve_on() {
  for (std::uint64_t i = 0; i <= kTableCapacity; ++i) {
    const auto task = submit(kLater + i, 0, i == 0 ? Sizes{kSmall, kLarge} : Sizes{});
    if (!task) return fault(Fault::Kind::kLeft, "no slot for a new task");
    drain();
    const TaskState state = table_.state(task->slot);
    if (state.phase != TaskState::Phase::kDone) return fault(Fault::Kind::kHung, "a new task does not end");
    check_task(task->slot, state);
    table_.free(*task);
  }
}

}  // namespace warren::test
