#include "task_table.h"

#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "monotonic.h"
#include "task_words.h"

namespace warren::detail {
namespace {

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

BlockHeapPlan heap_plan(std::uint64_t scale) {
  BlockHeapPlan plan;
  plan.small_span /= scale;
  plan.large_span /= scale;
  return plan;
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

}  // namespace warren::detail
