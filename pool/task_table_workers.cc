// The table of tasks, for workers: to claim the next one, and to end it.
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "monotonic.h"
#include "task_table.h"
#include "task_words.h"

namespace warren::detail {
namespace {

using layout::TaskSlot;
using State = TaskTable::State;
using Phase = TaskTable::Phase;

}  // namespace

std::optional<TaskTable::Claim> TaskTable::claim_next(Seat& seat, Front& front, std::uint32_t place) noexcept {
  for (;;) {
    Words<1> hint{};
    const bool beside = side_.any(place);
    const Front own = beside ? pop_own(seat, place, hint) : Front::kEmpty;
    if (beside && own != Front::kItem) [[unlikely]] {
      if (const std::optional<Claim> claimed = claim_overflow(seat, place)) return claimed;
    }
    const Front before = beside && own != Front::kItem ? pop_before(seat, own, hint) : own;
    front = before == Front::kItem ? before : hints_.try_pop(seat, hint);
    if (beside && front != Front::kItem) [[unlikely]]
      front = pop_after(seat, before == Front::kStalled ? before : front, hint);
    if (front != Front::kItem) {
      if (header_->rescan.load(std::memory_order_relaxed) == 0) return std::nullopt;
      return claim_by_scan(seat, place);
    }
    WARREN_CRASH_POINT(hint_taken);  // still pending: settle_dead_worker() gives another hint
    const TaskRef task{.slot = static_cast<std::uint32_t>(hint[0]),
                       .generation = static_cast<std::uint32_t>(hint[0] >> 32)};
    if (const std::optional<Claim> claimed = claim(task, seat, place)) return claimed;
  }
}

// Before all others the worker's own, those that its ring had no room for included. kStalled: who pushed one may be
// dead.
Front TaskTable::pop_own(Seat& seat, std::uint32_t place, Words<1>& hint) noexcept {
  return place == SideHints::kAnyPlace ? Front::kEmpty : side_.pop_place(seat, place, hint);
}
std::optional<TaskTable::Claim> TaskTable::claim_overflow(const Seat& seat, std::uint32_t place) noexcept {
  if (place == SideHints::kAnyPlace || !side_.take_overflow(place)) return std::nullopt;
  std::optional<Claim> claimed = scan(seat, place, true);
  if (claimed) side_.note_overflow(place);  // there may be more
  return claimed;
}
Front TaskTable::pop_bands(Seat& seat, bool above, Words<1>& hint) noexcept {
  return side_.pop_bands(seat, above, hint,
                         [&](std::int32_t priority, Words<1>& found) { return find_in_band(seat, priority, found); });
}
// In the table, since their ring had no room for all: the first one, and the others into the ring, as far as they fit.
// So the table is looked through once for as many as the ring holds.
bool TaskTable::find_in_band(Seat& seat, std::int32_t priority, Words<1>& hint) noexcept {
  bool found = false;
  const std::uint64_t end = committed(), now = monotonic_ns();
  for (std::uint32_t index = 0; index < end; ++index) {
    const State state = this->state(index);
    if (state.phase != Phase::kPending || !has_extras(index)) continue;
    const layout::TaskExtras& extras = extras_[index];
    if (extras.priority.load(std::memory_order_relaxed) != priority) continue;
    if (slots_[index].depth.load(std::memory_order_relaxed) != 0) continue;
    if (extras.not_before_ns.load(std::memory_order_relaxed) > now) continue;
    const std::uint32_t only = extras.place.load(std::memory_order_relaxed);
    if (only != 0 && only <= most_workers()) continue;
    const Words<1> task{std::uint64_t{state.generation} << 32 | index};
    if (!std::exchange(found, true)) {
      hint = task;
    } else if (!side_.push_band(seat, priority, task)) {
      break;
    }
  }
  return found;
}

// Then the deepest of tasks' tasks, the priorities above 0, the main ring, and those below 0. `found` is what was found
// so far.
Front TaskTable::pop_before(Seat& seat, Front found, Words<1>& hint) noexcept {
  if (const Front nested = side_.pop_nested(seat, hint); nested != Front::kEmpty) {
    if (nested == Front::kItem) return nested;
    found = nested;
  }
  const Front band = pop_bands(seat, true, hint);
  return band == Front::kEmpty ? found : band;
}
Front TaskTable::pop_after(Seat& seat, Front found, Words<1>& hint) noexcept {
  const Front band = pop_bands(seat, false, hint);
  return band == Front::kEmpty ? found : band;
}

// A hint may be stale or double: the state word decides.
std::optional<TaskTable::Claim> TaskTable::claim(TaskRef task, const Seat& seat, std::uint32_t place) noexcept {
  if (task.slot >= committed()) return std::nullopt;
  std::atomic<std::uint64_t>& state = slots_[task.slot].state;
  std::uint64_t word = state.load(std::memory_order_acquire);  // [T28] its extras; pairs with T1, T21
  for (;;) {
    State mine = State::from(word);
    if (mine.phase != Phase::kPending || mine.generation != task.generation) return std::nullopt;
    if (has_extras(task.slot) && !may_take(task, place)) [[unlikely]]
      return std::nullopt;
    mine.phase = Phase::kRunning;
    mine.attempt = mine.attempt + 1;
    mine.lane = static_cast<std::uint16_t>(seat.lane_index);
    mine.lane_generation = static_cast<std::uint8_t>(seat.generation);
    if (state.compare_exchange_weak(word, mine.word(), std::memory_order_acq_rel)) {  // [T7] pairs with T1
      WARREN_CRASH_POINT(task_claimed);  // running by a dead worker: tried again or lost
      return Claim{.slot = task.slot, .state = mine};
    }
  }
}

// A hint to it may be in the wrong place: a double one that came too early, or of before resize().
bool TaskTable::may_take(TaskRef task, std::uint32_t place) noexcept {
  const layout::TaskExtras& extras = extras_[task.slot];
  if (extras.not_before_ns.load(std::memory_order_relaxed) > monotonic_ns()) return false;  // the supervisor has it
  const std::uint32_t only = extras.place.load(std::memory_order_relaxed);
  if (only == 0 || only > most_workers() || place == SideHints::kAnyPlace || only == place + 1) return true;
  push_hint(task, 1);
  return false;
}

std::optional<TaskTable::Claim> TaskTable::claim_by_scan(const Seat& seat, std::uint32_t place) noexcept {
  if (header_->rescan.exchange(0, std::memory_order_acquire) == 0) return std::nullopt;  // [T9] pairs with T8
  std::optional<Claim> claimed = scan(seat, place, false);
  if (!claimed) return std::nullopt;
  ask_for_scan();  // there may be more
  notify(hints_.not_empty(), attachment_->wait_mode(), 1);
  return claimed;
}

std::optional<TaskTable::Claim> TaskTable::scan(const Seat& seat, std::uint32_t place, bool pinned_only) noexcept {
  const std::uint64_t end = committed();
  for (std::uint32_t index = 0; index < end; ++index) {
    const State state = this->state(index);
    if (state.phase != Phase::kPending) continue;
    const std::uint32_t only = has_extras(index) ? extras_[index].place.load(std::memory_order_relaxed) : 0;
    if (pinned_only && only != place + 1) continue;
    // Another's, whose ring may hold it: claim() would push one hint more at each look.
    if (only != 0 && only <= most_workers() && only != place + 1 && side_.any_of(only - 1)) continue;
    if (const auto claimed = claim({.slot = index, .generation = state.generation}, seat, place)) return claimed;
  }
  return std::nullopt;
}

std::uint32_t TaskTable::working(std::uint32_t end) const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < std::min(end, worker_count()); ++i) {
    switch (workers_[i].state.load(std::memory_order_seq_cst)) {  // [T33] pairs with T32
      case layout::WorkerRecord::State::kStarting:
      case layout::WorkerRecord::State::kIdle:
      case layout::WorkerRecord::State::kBusy: ++count; break;
      default: break;
    }
  }
  return count;
}

std::size_t TaskTable::approx_ready() const noexcept { return hints_.approx_size() + side_.approx_size(); }

std::span<std::byte> TaskTable::grow_result(const Claim& claim, std::size_t used, std::size_t needed) noexcept {
  TaskSlot& slot = slots_[claim.slot];
  const std::uint64_t owner = result_owner(claim.slot, claim.state);
  const auto block = heap_.allocate(std::max(needed, 2 * used), owner);
  if (!block) return {};
  const std::uint64_t old = slot.result_block.load(std::memory_order_relaxed);
  std::memcpy(block->memory.data(), old == 0 ? slot.result : heap_.memory(old).data(), used);
  slot.result_block.store(block->ref.word(),
                          std::memory_order_release);  // [T19] it holds what was committed; pairs with T18
  WARREN_CRASH_POINT(result_grown);                    // the old block is nobody's: reclaim() frees it
  if (old != 0) heap_.free(old, owner);
  return block->memory;
}

bool TaskTable::end(const Claim& claim, Phase phase) noexcept { return finish(claim, phase, claim.state.lane); }

bool TaskTable::finish(const Claim& claim, Phase phase, std::uint16_t lane) noexcept {
  TaskSlot& slot = slots_[claim.slot];
  std::uint64_t word = claim.state.word();
  for (;;) {
    State state = State::from(word);
    const bool abandoned = state.abandoned;
    state.abandoned = claim.state.abandoned;
    if (state.word() != claim.state.word()) return false;  // given up: another attempt has it, or nobody
    const std::uint64_t arguments = slot.arguments_block;
    const std::uint64_t result = slot.result_block.load(std::memory_order_relaxed);
    State next = state;
    next.phase = phase;
    next.lane = lane;
    if (abandoned) next = freed(state);
    if (!slot.state.compare_exchange_weak(word, next.word(), std::memory_order_acq_rel))
      continue;                      // [T12] COMMIT: the result is whole; pairs with T2, T11, T13, T14
    WARREN_CRASH_POINT(task_ended);  // the future's slice sees it
    if (abandoned) {
      free_blocks(claim.slot, state, arguments, result);
    } else {
      notify(slot.waiters, attachment_->wait_mode(), kWakeAll);
      if (header_->followed.load(std::memory_order_relaxed) != 0) note_ending(claim.slot);
    }
    notify(header_->completions, attachment_->wait_mode(), kWakeAll);
    return true;
  }
}

void TaskTable::note_ending(std::uint32_t slot) noexcept {
  const std::uint64_t ending = header_->endings.fetch_add(1, std::memory_order_relaxed);
  WARREN_CRASH_POINT(ending_counted);  // who follows waits for the note no longer than a slice
  header_->ended[ending % layout::kEndings].store(lap_of(ending) << kSlotBits | slot,
                                                  std::memory_order_release);  // [T27] after the state; pairs with T26
}

// Whoever ends a task from now on and does not note it has ended it before what its caller sees next.
std::uint64_t TaskTable::listen_to_endings() noexcept {
  // Counted first: a worker that dies between leaves one too many, which costs a little, and not one too few.
  if (!follows_.exchange(true, std::memory_order_relaxed)) {
    header_->followed.fetch_add(1, std::memory_order_seq_cst);  // [TF6] before the tasks are looked at; pairs with T12
    if (own_ != nullptr) own_->follows.store(1, std::memory_order_relaxed);
  }
  await_barrier(attachment_->wait_mode());
  return header_->endings.load(std::memory_order_relaxed);
}

void TaskTable::ignore_endings() noexcept {
  if (!follows_.exchange(false, std::memory_order_relaxed)) return;
  if (own_ != nullptr) own_->follows.store(0, std::memory_order_relaxed);
  header_->followed.fetch_sub(1, std::memory_order_relaxed);
}

bool TaskTable::try_again(const Claim& claim) noexcept {
  TaskSlot& slot = slots_[claim.slot];
  std::uint64_t word = claim.state.word();
  const std::uint64_t result = slot.result_block.load(std::memory_order_relaxed);
  for (;;) {
    State state = State::from(word);
    const bool abandoned = state.abandoned;
    state.abandoned = claim.state.abandoned;
    if (state.word() != claim.state.word()) return false;
    slot.result_block.store(0, std::memory_order_relaxed);
    slot.result_bytes.store(0, std::memory_order_relaxed);
    slot.progress.store(0, std::memory_order_relaxed);
    if (has_extras(claim.slot)) {
      layout::TaskExtras& extras = extras_[claim.slot];
      extras.not_before_ns.store(extras.backoff_ns == 0 ? 0 : after(extras.backoff_ns), std::memory_order_relaxed);
    }
    const State pending{
        .generation = state.generation, .attempt = state.attempt, .abandoned = abandoned, .phase = Phase::kPending};
    if (!slot.state.compare_exchange_weak(word, pending.word(), std::memory_order_acq_rel))
      continue;  // [T21] as T1; pairs with T7
    if (result != 0) heap_.free(result, result_owner(claim.slot, claim.state));
    push_hint({.slot = claim.slot, .generation = state.generation}, 1);
    return true;
  }
}

}  // namespace warren::detail
