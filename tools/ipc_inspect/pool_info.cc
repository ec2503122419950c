#include "pool_info.h"

#include <warren/layout/pool.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

namespace warren::tools {
namespace {

using layout::PoolHeader;
using layout::TaskExtras;
using layout::TaskSlot;
using layout::TaskState;
using layout::WorkerRecord;

std::string text_of(const char* bytes, std::size_t size) { return {bytes, ::strnlen(bytes, size)}; }

std::string phase_name(PoolHeader::Phase phase) {
  switch (phase) {
    case PoolHeader::Phase::kOpen: return "open";
    case PoolHeader::Phase::kClosing: return "closing";
    case PoolHeader::Phase::kTerminating: return "terminating";
    case PoolHeader::Phase::kBroken: return "broken";
    case PoolHeader::Phase::kStopped: return "stopped";
  }
  return "unknown";
}

std::string state_name(WorkerRecord::State state) {
  switch (state) {
    case WorkerRecord::State::kNone: return "none";
    case WorkerRecord::State::kStarting: return "starting";
    case WorkerRecord::State::kIdle: return "idle";
    case WorkerRecord::State::kBusy: return "busy";
    case WorkerRecord::State::kGone: return "gone";
    case WorkerRecord::State::kLeaving: return "leaving";
    case WorkerRecord::State::kWaiting: return "waiting";
  }
  return "unknown";
}

double seconds_since(std::uint64_t monotonic_ns) {
  const auto now = static_cast<double>(std::chrono::steady_clock::now().time_since_epoch().count());
  return std::max(0.0, (now - static_cast<double>(monotonic_ns)) / 1e9);
}

// The places of a pool's parts in its file, checked against each other once.
class PoolReader {
 public:
  PoolReader(const RawFile& file, const Peers& peers, const PoolHeader& header)
      : file_(file),
        peers_(peers),
        header_(header),
        slots_(std::min(header.slots_committed.load(std::memory_order_relaxed), header.table_capacity)) {}

  [[nodiscard]] const char* trouble() const {
    if (header_.worker_count > layout::kMaxWorkers) return "it has more workers than a pool can have";
    if (header_.table_capacity > layout::kMaxTasks) return "its table is larger than a table can be";
    if (!fits(header_.workers_offset, header_.worker_count * sizeof(WorkerRecord))) return "its workers lie outside";
    if (!fits(header_.slots_offset, slots_ * sizeof(TaskSlot))) return "its tasks lie outside";
    if (!fits(header_.extras_offset, slots_ * sizeof(TaskExtras))) return "the options of its tasks lie outside";
    return nullptr;
  }

  PoolInfo read() const {
    PoolInfo info{.name = text_of(header_.name, sizeof header_.name),
                  .phase = phase_name(header_.phase.load(std::memory_order_relaxed)),
                  .application = static_cast<pid_t>(header_.application_pid),
                  .supervisor = static_cast<pid_t>(header_.supervisor_pid.load(std::memory_order_relaxed)),
                  .worker_deaths = header_.worker_deaths.load(std::memory_order_relaxed),
                  .diagnosis = {},
                  .capacity = std::min(header_.max_pending, header_.table_capacity),
                  .workers = {}};
    info.application_dead = peers_.is_dead(info.application);
    info.supervisor_dead = peers_.is_dead(info.supervisor);
    if (header_.diagnosed.load(std::memory_order_relaxed) != 0) {
      info.diagnosis = text_of(header_.diagnosis, sizeof header_.diagnosis);
    }
    count_tasks(info);
    for (std::uint32_t index = 0; index < header_.worker_count; ++index) {
      if (const auto record = file_.read<WorkerRecord>(place(header_.workers_offset + index * sizeof(WorkerRecord)))) {
        info.workers.push_back(worker(index, **record));
      }
    }
    return info;
  }

 private:
  static std::uint64_t place(std::uint64_t offset) { return layout::kObjectOffset + offset; }

  [[nodiscard]] bool fits(std::uint64_t offset, std::uint64_t bytes) const {
    const std::uint64_t size = file_.size() > layout::kObjectOffset ? file_.size() - layout::kObjectOffset : 0;
    return offset <= size && bytes <= size - offset;
  }

  void count_tasks(PoolInfo& info) const {
    constexpr std::uint64_t kAtOnce = 1024;
    std::vector<Copy<TaskSlot>> slots(std::min(kAtOnce, slots_));
    for (std::uint64_t first = 0; first < slots_; first += slots.size()) {
      const std::size_t wanted = std::min<std::uint64_t>(slots.size(), slots_ - first);
      const std::size_t got = file_.read(place(header_.slots_offset + first * sizeof(TaskSlot)),
                                         {slots.front().bytes().data(), wanted * sizeof(TaskSlot)});
      for (std::size_t i = 0; i < got / sizeof(TaskSlot); ++i) count_task(info, state_of(*slots[i]));
    }
  }

  static TaskState state_of(const TaskSlot& slot) {
    return TaskState::from(slot.state.load(std::memory_order_relaxed));
  }

  static void count_task(PoolInfo& info, TaskState state) {
    switch (state.phase) {
      case TaskState::Phase::kFree: break;
      case TaskState::Phase::kAlloc:
      case TaskState::Phase::kPending: ++info.pending; break;
      case TaskState::Phase::kRunning: ++info.running; break;
      default: ++info.ended;
    }
  }

  [[nodiscard]] WorkerInfo worker(std::uint32_t index, const WorkerRecord& record) const {
    const WorkerRecord::State state = record.state.load(std::memory_order_relaxed);
    WorkerInfo info{.index = index,
                    .pid = static_cast<pid_t>(record.pid.load(std::memory_order_relaxed)),
                    .state = state_name(state),
                    .task = {},
                    .tasks_done = record.tasks_done.load(std::memory_order_relaxed),
                    .restarts = record.restarts.load(std::memory_order_relaxed),
                    .age_seconds = {}};
    if (const std::uint64_t started = record.started_ns.load(std::memory_order_relaxed); started != 0)
      info.age_seconds = seconds_since(started);
    const bool at_work = state == WorkerRecord::State::kIdle || state == WorkerRecord::State::kBusy ||
                         state == WorkerRecord::State::kWaiting;
    if (at_work && peers_.is_dead(info.pid)) info.state = "dead";
    add_task(info, record.current.load(std::memory_order_relaxed));
    return info;
  }

  // `current` may be older than what the slot says by now.
  void add_task(WorkerInfo& info, std::uint64_t current) const {
    if (current == 0 || current > slots_) return;
    const std::uint64_t index = current - 1;
    const auto slot = file_.read<TaskSlot>(place(header_.slots_offset + index * sizeof(TaskSlot)));
    if (!slot) return;
    const TaskState state = state_of(**slot);
    if (!state.claimed()) return;
    info.task = std::uint64_t{state.generation} << 32 | index;
    info.attempt = state.attempt;
    if ((*slot)->has_extras.load(std::memory_order_relaxed) == 0) return;
    const auto extras = file_.read<TaskExtras>(place(header_.extras_offset + index * sizeof(TaskExtras)));
    if (extras) info.task_name = text_of((*extras)->name, sizeof(*extras)->name);
  }

  const RawFile& file_;
  const Peers& peers_;
  const PoolHeader& header_;
  std::uint64_t slots_;
};

}  // namespace

std::optional<PoolInfo> read_pool(const RawFile& file, const Peers& peers, std::string& trouble) {
  const auto header = file.read<PoolHeader>(layout::kObjectOffset);
  if (!header) {
    trouble = "it ends before its pool does";
    return std::nullopt;
  }
  const PoolReader reader(file, peers, **header);
  if (const char* why = reader.trouble(); why != nullptr) {
    trouble = why;
    return std::nullopt;
  }
  return reader.read();
}

}  // namespace warren::tools
