#include "current_task.h"

#include <algorithm>
#include <array>

#include "monotonic.h"

namespace warren {
namespace {

struct Current {
  TaskId id;
  std::uint32_t attempt = 0;
  std::atomic<std::uint32_t>* progress = nullptr;
  layout::WorkerRecord* record = nullptr;  // null: a thread
  bool reported = false;                   // a text
  std::uint64_t soft_deadline_ns = 0;      // 0: none
  const std::atomic<bool>* stop = nullptr;
};
constinit thread_local Current current;

// Who reads it meanwhile sees a mixture.
void write_report(layout::WorkerRecord& record, std::string_view text) noexcept {
  std::array<std::uint64_t, std::size(layout::WorkerRecord{}.report)> words{};
  text.copy(reinterpret_cast<char*>(words.data()), sizeof words - 1);
  for (std::size_t i = 0; i < words.size(); ++i) record.report[i].store(words[i], std::memory_order_relaxed);
}

}  // namespace

CurrentTask current_task() noexcept { return {}; }

std::uint32_t CurrentTask::attempt() const noexcept { return current.attempt; }

bool CurrentTask::stop_requested() const noexcept {
  if (current.stop != nullptr && current.stop->load(std::memory_order_relaxed)) return true;
  return current.soft_deadline_ns != 0 && detail::monotonic_ns() >= current.soft_deadline_ns;
}

TaskId CurrentTask::id() const noexcept { return current.id; }

void CurrentTask::report(double fraction, std::string_view text) const noexcept {
  if (current.progress == nullptr) return;
  const double within = fraction > 0 ? std::min(fraction, 1.0) : 0;  // NaN: 0
  current.progress->store(static_cast<std::uint32_t>(within * UINT32_MAX), std::memory_order_relaxed);
  if (current.record == nullptr || (text.empty() && !current.reported)) return;
  write_report(*current.record, text);
  current.reported = true;
}

namespace detail {

CurrentTaskScope::CurrentTaskScope(TaskId id, std::uint32_t attempt, layout::TaskSlot& slot,
                                   layout::WorkerRecord& record) noexcept {
  current = {.id = id, .attempt = attempt, .progress = &slot.progress, .record = &record};
}

CurrentTaskScope::CurrentTaskScope(TaskId id, std::atomic<std::uint32_t>& progress,
                                   const std::atomic<bool>& stop) noexcept {
  current = {.id = id, .attempt = 1, .progress = &progress, .stop = &stop};
}

CurrentTaskScope::~CurrentTaskScope() {
  if (current.reported) write_report(*current.record, {});
  current = {};
}

void CurrentTaskScope::set_attempt(std::uint32_t attempt) noexcept {
  current.attempt = attempt;
  current.soft_deadline_ns = 0;
}

void CurrentTaskScope::set_soft_deadline(std::uint64_t monotonic_ns) noexcept {
  current.soft_deadline_ns = monotonic_ns;
}

}  // namespace detail
}  // namespace warren
