#include "task_table.h"

#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

#include "monotonic.h"

namespace warren::detail {
namespace {

using layout::BlockOwner;
using layout::TaskSlot;
using State = TaskTable::State;
using Phase = TaskTable::Phase;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) { return (bytes + to - 1) / to * to; }

// Where the parts lie.
struct Plan {
  std::uint64_t capacity, max_pending, workers, hints, slots, extras, bands, places, heap;
};
// Twice as many as tasks: duplicates and stale ones find room. Tasks of tasks have other rings. Where that is much its
// memory comes as it fills, in chunks: to have it all from the start is most of what making a pool takes.
MpmcGeometry hint_geometry(std::uint64_t max_pending) {
  constexpr std::uint64_t kChunkSlots = 1024;
  MpmcGeometry geometry = MpmcGeometry::of(2 * max_pending, MpmcRing<1>::kSlotBytes);
  if (geometry.slot_count <= 2 * kChunkSlots) return geometry;
  geometry.elastic = {.chunk_count = std::bit_ceil(geometry.slot_count / kChunkSlots + 2), .chunk_slots = kChunkSlots};
  geometry.capacity = geometry.elastic.capacity();
  geometry.slot_count = 0;
  return geometry;
}
Plan plan_of(TableSize size) {
  Plan plan{};
  plan.capacity = size.slots();
  plan.max_pending = size.max_pending;
  plan.hints = layout::kPage;
  plan.workers = round_up(plan.hints + hint_geometry(plan.max_pending).bytes(MpmcRing<1>::kSlotBytes), layout::kPage);
  plan.slots = round_up(plan.workers + layout::kMaxWorkers * sizeof(layout::WorkerRecord), layout::kPage);
  plan.extras = round_up(plan.slots + plan.capacity * sizeof(TaskSlot), layout::kPage);
  plan.bands = round_up(plan.extras + plan.capacity * sizeof(layout::TaskExtras), layout::kPage);
  plan.places = plan.bands + SideHints::bands_bytes(plan.capacity);
  plan.heap = plan.places + SideHints::places_bytes();
  return plan;
}

std::uint64_t arguments_owner(TaskRef task) {
  return BlockOwner{.role = BlockOwner::Role::kArguments, .generation = task.generation, .slot = task.slot}.word();
}
std::uint64_t result_owner(std::uint32_t slot, State state) {
  return BlockOwner{
      .role = BlockOwner::Role::kResult, .attempt = state.attempt, .generation = state.generation, .slot = slot}
      .word();
}
BlockHeapPlan heap_plan(std::uint64_t scale) {
  BlockHeapPlan plan;
  plan.small_span /= scale;
  plan.large_span /= scale;
  return plan;
}
State freed(State state) {
  return {.generation = (state.generation + 1) & State::kGenerationMask, .phase = Phase::kFree};
}

}  // namespace

std::size_t TaskTable::reserved_bytes(TableSize size, std::uint64_t scale) {
  std::array<layout::BlockClass, layout::kBlockClasses> classes{};
  return BlockHeap::plan(classes, plan_of(size).heap, heap_plan(scale));
}

SegmentPlan TaskTable::plan(std::uint32_t workers, TableSize size, const std::string& name, std::uint64_t scale) {
  const Plan plan = plan_of(size);
  return {.kind = layout::ObjectKind::kPool,
          .size = plan.hints + hint_geometry(plan.max_pending).committed_bytes(MpmcRing<1>::kSlotBytes),
          .element = {},
          .wait_words = {static_cast<std::uint32_t>(plan.hints + offsetof(layout::MpmcRingHeader, not_empty)),
                         offsetof(layout::PoolHeader, completions), offsetof(layout::PoolHeader, lent)},
          .initialise = [=](std::span<std::byte> object) {
            auto& header = *reinterpret_cast<layout::PoolHeader*>(object.data());
            header.table_capacity = plan.capacity;
            header.max_pending = plan.max_pending;
            header.workers_offset = plan.workers;
            header.hints_offset = plan.hints;
            header.slots_offset = plan.slots;
            header.extras_offset = plan.extras;
            header.bands_offset = plan.bands;
            header.places_offset = plan.places;
            header.worker_count.store(workers, std::memory_order_relaxed);
            header.most_workers.store(workers, std::memory_order_relaxed);
            header.next_look_ns.store(UINT64_MAX, std::memory_order_relaxed);
            BlockHeap::plan(header.classes, plan.heap, heap_plan(scale));
            std::memcpy(header.name, name.data(), std::min(name.size(), sizeof header.name - 1));
            header.phase.store(layout::PoolHeader::Phase::kOpen, std::memory_order_relaxed);
            MpmcRing<1>::initialise(*reinterpret_cast<layout::MpmcRingHeader*>(object.data() + plan.hints),
                                    hint_geometry(plan.max_pending), sizeof(std::uint64_t));
          }};
}

TaskTable::TaskTable(Attachment& attachment) noexcept
    : attachment_(&attachment),
      header_(reinterpret_cast<layout::PoolHeader*>(attachment.object())),
      workers_(reinterpret_cast<layout::WorkerRecord*>(attachment.object() + header_->workers_offset)),
      slots_(reinterpret_cast<TaskSlot*>(attachment.object() + header_->slots_offset)),
      extras_(reinterpret_cast<layout::TaskExtras*>(attachment.object() + header_->extras_offset)),
      capacity_(header_->table_capacity),
      max_pending_(header_->max_pending),
      hints_(attachment, *reinterpret_cast<layout::MpmcRingHeader*>(attachment.object() + header_->hints_offset)),
      side_(attachment, *header_, workers_),
      heap_(attachment, header_->classes, header_->classes, {}) {}

std::uint64_t TaskTable::committed() const noexcept {
  return std::min(header_->slots_committed.load(std::memory_order_seq_cst), capacity_);  // [T4] pairs with T3
}

absl::Status TaskTable::commit_workers(std::uint32_t count) noexcept {
  const auto offset = static_cast<std::size_t>(reinterpret_cast<std::byte*>(workers_) - attachment_->object());
  return attachment_->commit(offset, count * sizeof(layout::WorkerRecord));
}

absl::Status TaskTable::commit_more() noexcept {
  std::uint64_t old = committed();
  const std::uint64_t more = std::min(old + (old == 0 ? layout::kFirstSlots : layout::kSlotsStep), capacity_);
  if (more == old) return absl::OkStatus();
  const auto offset = static_cast<std::size_t>(reinterpret_cast<std::byte*>(slots_ + old) - attachment_->object());
  if (absl::Status status = attachment_->commit(offset, (more - old) * sizeof(TaskSlot)); !status.ok()) return status;
  while (old < more && !header_->slots_committed.compare_exchange_weak(
                           old, more, std::memory_order_seq_cst)) {  // [T3] memory before the count; pairs with T4
  }
  return absl::OkStatus();
}

absl::Status TaskTable::commit_extras(std::uint32_t slot) noexcept {
  const std::uint64_t old = extras_committed_.load(std::memory_order_relaxed);
  if (slot < old) return absl::OkStatus();
  const std::uint64_t more = std::min((slot / layout::kSlotsStep + 1) * layout::kSlotsStep, capacity_);
  const auto offset = static_cast<std::size_t>(reinterpret_cast<std::byte*>(extras_ + old) - attachment_->object());
  if (absl::Status status = attachment_->commit(offset, (more - old) * sizeof(layout::TaskExtras)); !status.ok())
    return status;
  extras_committed_.store(more, std::memory_order_relaxed);  // less than another thread's: committed once more
  return absl::OkStatus();
}

// --- submitters ------------------------------------------------------------------------------------------------------

void TaskTable::be_of(layout::WorkerRecord& worker) noexcept { own_ = &worker; }

std::optional<TaskRef> TaskTable::allocate(std::uint32_t index) noexcept {
  TaskSlot& slot = slots_[index];
  std::uint64_t word = slot.state.load(std::memory_order_relaxed);
  const State state = State::from(word);
  if (state.phase != Phase::kFree) return std::nullopt;
  // Of a worker whichever thread it is: the supervisor knows the worker by one lane.
  const Seat& seat = attachment_->seat();
  const std::uint32_t worker = own_ == nullptr ? 0 : own_->lane.load(std::memory_order_relaxed);
  const layout::WorkerLane lane = own_ == nullptr
                                      ? layout::WorkerLane{.index = seat.lane_index, .generation = seat.generation}
                                      : layout::WorkerLane::from(worker);
  const State mine{.generation = state.generation,
                   .lane_generation = static_cast<std::uint8_t>(lane.generation),
                   .lane = static_cast<std::uint16_t>(lane.index),
                   .phase = Phase::kAlloc};
  if (!slot.state.compare_exchange_strong(word, mine.word(), std::memory_order_seq_cst))
    return std::nullopt;               // [T5] before the pool's phase is read; pairs with T6
  WARREN_CRASH_POINT(task_allocated);  // the application died: so does the pool; a worker: settle_dead_worker()
  slot.arguments_block = 0;
  slot.result_block.store(0, std::memory_order_relaxed);
  slot.result_bytes.store(0, std::memory_order_relaxed);
  slot.submitter.store(worker, std::memory_order_relaxed);
  slot.depth.store(0, std::memory_order_relaxed);
  slot.has_extras.store(0, std::memory_order_relaxed);
  slot.worker = 0;
  slot.cancelled.store(0, std::memory_order_relaxed);
  slot.progress.store(0, std::memory_order_relaxed);
  return TaskRef{.slot = index, .generation = state.generation};
}

void TaskTable::count_nested() noexcept {
  header_->nested_submits.fetch_add(1, std::memory_order_seq_cst);  // [T29] after ALLOC; pairs with T30
}

std::span<std::byte> TaskTable::grow_arguments(TaskRef task, std::size_t used, std::size_t needed) noexcept {
  TaskSlot& slot = slots_[task.slot];
  const auto block = heap_.allocate(std::max(needed, 2 * used), arguments_owner(task));
  if (!block) return {};
  const std::uint64_t old = slot.arguments_block;
  std::memcpy(block->memory.data(), old == 0 ? slot.arguments : heap_.memory(old).data(), used);
  slot.arguments_block = block->ref.word();
  if (old != 0) heap_.free(old, arguments_owner(task));
  return block->memory;
}

void TaskTable::publish(TaskRef task) noexcept {
  TaskSlot& slot = slots_[task.slot];
  const State pending{.generation = task.generation, .phase = Phase::kPending};
  slot.state.store(pending.word(), std::memory_order_release);  // [T1] the task is whole; pairs with T2, T7
  WARREN_CRASH_POINT(task_pending);  // no hint yet: settle_dead_worker() gives one to every pending task
  push_hint(task, 1);
}

void TaskTable::push_hint(TaskRef task, int wake) noexcept {
  const layout::TaskSlot& slot = slots_[task.slot];
  const bool plain =
      (slot.has_extras.load(std::memory_order_relaxed) | slot.depth.load(std::memory_order_relaxed)) == 0;
  if (!plain && !is_for_main_ring(task)) [[unlikely]]
    return;
  const Words<1> hint{std::uint64_t{task.generation} << 32 | task.slot};
  if (hints_.try_push(attachment_->seat(), hint) != Push::kPushed) ask_for_scan();
  notify(hints_.not_empty(), attachment_->wait_mode(), wake);
}

// Else it has been pushed. The extras may be those of the slot's next life by now: then so is the hint's generation
// over.
bool TaskTable::is_for_main_ring(TaskRef task) noexcept {
  if (!has_extras(task.slot)) return is_for_main_ring(task, 0);
  const layout::TaskExtras& extras = extras_[task.slot];
  const Words<1> hint{std::uint64_t{task.generation} << 32 | task.slot};
  Seat& seat = attachment_->seat();
  if (extras.not_before_ns.load(std::memory_order_relaxed) > monotonic_ns()) {
    side_.push_delayed(seat, hint);
    return false;
  }
  if (const std::uint32_t place = extras.place.load(std::memory_order_relaxed); place != 0 && place <= most_workers()) {
    side_.push_place(seat, place - 1, hint);
    notify(hints_.not_empty(), attachment_->wait_mode(), kWakeAll);  // which of them is asleep nobody knows
    return false;
  }
  const std::int32_t priority =
      std::clamp(extras.priority.load(std::memory_order_relaxed), -layout::kMostPriority, layout::kMostPriority);
  return is_for_main_ring(task, priority);
}
// A task of a task goes before those that nobody has begun, whatever its priority: what has been begun ends first, so
// that few wait.
bool TaskTable::is_for_main_ring(TaskRef task, std::int32_t priority) noexcept {
  const std::uint32_t depth = slots_[task.slot].depth.load(std::memory_order_relaxed);
  if (priority == 0 && depth == 0) return true;
  const Words<1> hint{std::uint64_t{task.generation} << 32 | task.slot};
  Seat& seat = attachment_->seat();
  if (depth == 0) {
    (void)side_.push_band(seat, priority, hint);
  } else if (!side_.push_nested(seat, depth, hint)) {
    ask_for_scan();
  }
  notify(hints_.not_empty(), attachment_->wait_mode(), 1);
  return false;
}

// An exchange, not a store: it goes on with the release sequence of who asked before.
void TaskTable::ask_for_scan() noexcept {
  (void)header_->rescan.exchange(1, std::memory_order_release);  // [T8] after the task is pending; pairs with T9
}

void TaskTable::withdraw(TaskRef task) noexcept {
  TaskSlot& slot = slots_[task.slot];
  const std::uint64_t block = slot.arguments_block;
  slot.state.store(freed({.generation = task.generation}).word(),
                   std::memory_order_release);  // [T10] as T1; pairs with T2
  if (block != 0) heap_.free(block, arguments_owner(task));
  tell_of_room(task.slot);
}

// The application may wait for a slot, and knows of those only that it frees itself.
void TaskTable::tell_of_room(std::uint32_t slot) noexcept {
  if (own_ != nullptr && slot < max_pending_) notify(header_->completions, attachment_->wait_mode(), kWakeAll);
}

bool TaskTable::abandon(TaskRef task) noexcept {
  TaskSlot& slot = slots_[task.slot];
  std::uint64_t word = slot.state.load(std::memory_order_acquire);  // [T11] pairs with T12
  for (;;) {
    State state = State::from(word);
    if (state.generation != task.generation || state.phase == Phase::kFree) return true;
    if (state.ended()) {
      free(task);
      return true;
    }
    state.abandoned = true;
    if (slot.state.compare_exchange_weak(word, state.word(), std::memory_order_acq_rel))
      return false;  // [T13] pairs with T12
  }
}

void TaskTable::free(TaskRef task) noexcept {
  TaskSlot& slot = slots_[task.slot];
  std::uint64_t word = slot.state.load(std::memory_order_acquire);  // [T14] pairs with T12
  const State state = State::from(word);
  if (state.generation != task.generation || !state.ended()) return;
  const std::uint64_t arguments = slot.arguments_block;
  const std::uint64_t result = slot.result_block.load(std::memory_order_relaxed);
  if (!slot.state.compare_exchange_strong(word, freed(state).word(), std::memory_order_acq_rel))
    return;                        // [T15] pairs with T5
  WARREN_CRASH_POINT(task_freed);  // its blocks name a generation that is over: reclaim() frees them
  free_blocks(task.slot, state, arguments, result);
  tell_of_room(task.slot);
}

bool TaskTable::cancel(TaskRef task) noexcept {
  for (;;) {
    const State state = this->state(task.slot);
    if (state.generation != task.generation || state.phase != Phase::kPending) return false;
    if (lose({.slot = task.slot, .state = state}, layout::Loss::kCancelled)) return true;
  }
}

TaskTable::Kill TaskTable::kill(TaskRef task) noexcept {
  TaskSlot& slot = slots_[task.slot];
  slot.cancelled.store(1, std::memory_order_relaxed);
  for (;;) {
    if (cancel(task)) return Kill::kCancelled;
    const State state = this->state(task.slot);
    if (state.generation != task.generation || state.ended()) return Kill::kTooLate;
    const Claim attempt{.slot = task.slot, .state = state};
    if (state.phase == Phase::kRunning && condemn(attempt)) return Kill::kCondemned;
    // Condemned for another reason, after which it might be tried again: a step that changes nothing, but comes before
    // the next one, which sees that the task is cancelled.
    std::uint64_t word = state.word();
    if (state.phase == Phase::kCondemned && slot.state.compare_exchange_strong(word, word, std::memory_order_acq_rel))
      return Kill::kCondemned;  // [T25] after `cancelled`; pairs with T22
  }
}

void TaskTable::free_blocks(std::uint32_t slot, State last, std::uint64_t arguments, std::uint64_t result) noexcept {
  if (arguments != 0) heap_.free(arguments, arguments_owner({.slot = slot, .generation = last.generation}));
  if (result != 0) heap_.free(result, result_owner(slot, last));
}

std::span<const std::byte> TaskTable::arguments(std::uint32_t index) const noexcept {
  const TaskSlot& slot = slots_[index];
  const std::uint64_t block = slot.arguments_block;
  const std::span<const std::byte> memory =
      block == 0 ? std::span<const std::byte>(slot.arguments) : std::span<const std::byte>(heap_.memory(block));
  const std::uint64_t bytes = slot.arguments_bytes;
  return memory.first(std::min<std::uint64_t>(bytes, memory.size()));
}

std::span<const std::byte> TaskTable::result(std::uint32_t index) const noexcept {
  const TaskSlot& slot = slots_[index];
  const std::uint64_t bytes = slot.result_bytes.load(std::memory_order_acquire);  // [T17] pairs with T16
  const std::uint64_t block = slot.result_block.load(std::memory_order_acquire);  // [T18] pairs with T19
  const std::span<const std::byte> memory =
      block == 0 ? std::span<const std::byte>(slot.result) : std::span<const std::byte>(heap_.memory(block));
  return memory.first(std::min<std::uint64_t>(bytes, memory.size()));
}

// --- workers ---------------------------------------------------------------------------------------------------------

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

// --- the supervisor --------------------------------------------------------------------------------------------------

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
