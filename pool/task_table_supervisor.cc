// The table of tasks, for the supervisor: what dead workers left, and what is lost.
#include <warren/ipc/detail/crash_point.h>

#include "task_table.h"
#include "task_words.h"

namespace warren::detail {
namespace {

using layout::BlockOwner;
using layout::TaskSlot;
using State = TaskTable::State;
using Phase = TaskTable::Phase;

}  // namespace

// One attempt from phase to phase, whether abandoned or not.
bool TaskTable::change_phase(const Claim& attempt, Phase phase) noexcept {
  std::atomic<std::uint64_t>& word = slots_[attempt.slot].state;
  std::uint64_t now = attempt.state.word();
  for (;;) {
    State state = State::from(now);
    const bool abandoned = state.abandoned;
    state.abandoned = attempt.state.abandoned;
    if (state.word() != attempt.state.word()) return false;
    state.abandoned = abandoned;
    state.phase = phase;
    if (word.compare_exchange_weak(now, state.word(), std::memory_order_acq_rel)) return true;  // [T22] pairs with T12
  }
}

bool TaskTable::condemn(const Claim& attempt) noexcept {
  if (attempt.state.phase != Phase::kRunning || !change_phase(attempt, Phase::kCondemned)) return false;
  WARREN_CRASH_POINT(task_condemned);  // nobody is rung: the worker leaves by itself when it has run the task
  header_->condemned.store(1, std::memory_order_release);  // [T23] after the state; pairs with T24
  return true;
}

bool TaskTable::lose(const Claim& expected, layout::Loss loss) noexcept {
  return finish(expected, Phase::kLost, static_cast<std::uint16_t>(loss));
}

// Of a worker that is dead. A kill() that comes while it is settled finds a state that it can change, or has changed
// the one that is to be settled: it is asked for `cancelled` after each of its own steps.
void TaskTable::settle_attempt(Claim attempt, const WorkerEnd& how) noexcept {
  TaskSlot& slot = slots_[attempt.slot];
  layout::Loss loss = layout::Loss::kWorkerDied;
  if (attempt.state.phase == Phase::kCondemned) {
    const auto cancelled = [&slot] { return slot.cancelled.load(std::memory_order_relaxed) != 0; };
    loss = layout::Loss::kDeadline;
    if (!cancelled()) {
      if (!change_phase(attempt, Phase::kRunning)) return;
      attempt.state.phase = Phase::kRunning;
    }
    if (cancelled()) loss = layout::Loss::kCancelled;
  }
  if (loss != layout::Loss::kCancelled && attempt.state.attempt <= slot.retries) return void(try_again(attempt));
  slot.worker = how.pid;
  slot.ending = how.signal != 0 ? -how.signal : how.exit_code;
  (void)lose(attempt, loss);
}

void TaskTable::settle_dead_worker(layout::WorkerLane lane, const WorkerEnd& how) noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    State state = this->state(index);
    for (; state.claimed() && state.lane == lane.index &&
           state.lane_generation == static_cast<std::uint8_t>(lane.generation);
         state = this->state(index)) {
      settle_attempt({.slot = index, .state = state}, how);
    }
    // By somebody who may have died before that was told.
    if (state.phase == Phase::kCondemned) header_->condemned.store(1, std::memory_order_relaxed);
  }
  abandon_all_of(lane);
  WARREN_CRASH_POINT(dead_worker_settled);
  hint_all();
  (void)heap_.reclaim([this](std::uint64_t owner, std::uint64_t ref) { return in_use(BlockOwner::from(owner), ref); });
}

// Blocks of a slot that was being written are found by reclaim(): what it says of them may be of its life before.
void TaskTable::abandon_all_of(layout::WorkerLane lane) noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    TaskSlot& slot = slots_[index];
    const State state = this->state(index);
    if (state.phase == Phase::kFree) continue;
    if (state.phase == Phase::kAlloc) {
      if (state.lane != lane.index || state.lane_generation != static_cast<std::uint8_t>(lane.generation)) continue;
      free_draft(index, state);
    } else if (slot.submitter.load(std::memory_order_relaxed) == lane.word()) {
      (void)abandon({.slot = index, .generation = state.generation});
    }
  }
}

void TaskTable::free_draft(std::uint32_t slot, State draft) noexcept {
  std::uint64_t word = draft.word();
  if (!slots_[slot].state.compare_exchange_strong(word, freed(draft).word(), std::memory_order_acq_rel))
    return;  // [T31] as T10; pairs with T2, T5
  notify(header_->completions, attachment_->wait_mode(), kWakeAll);
}

void TaskTable::hint_all() noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    const State state = this->state(index);
    if (state.phase == Phase::kPending) push_hint({.slot = index, .generation = state.generation}, 1);
  }
}

// Follows from the owner's task. Arguments: while that life of the slot lasts. A result: while its attempt runs, and
// then only if the slot names it.
bool TaskTable::in_use(BlockOwner owner, std::uint64_t ref) const noexcept {
  if (owner.slot >= committed()) return false;
  const State state = this->state(owner.slot);
  if (state.generation != owner.generation || state.phase == Phase::kFree) return false;
  if (owner.role == BlockOwner::Role::kArguments) return true;
  if (state.attempt != owner.attempt || state.phase == Phase::kPending) return false;
  return state.claimed() || slots_[owner.slot].result_block.load(std::memory_order_relaxed) == ref;
}

std::uint32_t TaskTable::pid_of_worker(State claimed) const noexcept {
  for (std::uint32_t i = 0; i < worker_count(); ++i) {
    if (is_of(workers_[i], claimed)) return workers_[i].pid.load(std::memory_order_relaxed);
  }
  return 0;
}

void TaskTable::lose_all(layout::Loss loss) noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    // What a worker was writing: nobody ends it.
    if (const State state = this->state(index); state.phase == Phase::kAlloc && pid_of_worker(state) != 0)
      free_draft(index, state);
    for (State state = this->state(index); state.phase == Phase::kPending || state.claimed();
         state = this->state(index)) {
      const bool cancelled = slots_[index].cancelled.load(std::memory_order_relaxed) != 0;
      if (state.claimed()) slots_[index].worker = pid_of_worker(state);  // it ran
      (void)lose({.slot = index, .state = state}, cancelled ? layout::Loss::kCancelled : loss);
    }
  }
}

// A task may have submitted another one into a slot that was seen free already, and have ended before it was seen:
// then that was counted meanwhile.
bool TaskTable::unfinished() const noexcept {
  const std::uint64_t nested =
      header_->nested_submits.load(std::memory_order_seq_cst);  // [T30] around the look; pairs with T29
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    const State state = State::from(
        slots_[index].state.load(std::memory_order_seq_cst));  // [T6] after the phase was set; pairs with T5
    if (state.phase != Phase::kFree && !state.ended()) return true;
  }
  return header_->nested_submits.load(std::memory_order_seq_cst) != nested;  // [T30] as above; pairs with T29
}

void TaskTable::wake_everybody() noexcept {
  notify(hints_.not_empty(), attachment_->wait_mode(), kWakeAll);
  notify(header_->completions, attachment_->wait_mode(), kWakeAll);
  notify(header_->lent, attachment_->wait_mode(), kWakeAll);
}

}  // namespace warren::detail
