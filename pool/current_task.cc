#include "current_task.h"

#include "monotonic.h"

namespace warren {
namespace {

struct Current {
  TaskId id;
  std::uint32_t attempt = 0;
  std::uint64_t soft_deadline_ns = 0;  // 0: none
};
constinit thread_local Current current;

}  // namespace

CurrentTask current_task() noexcept { return {}; }

std::uint32_t CurrentTask::attempt() const noexcept { return current.attempt; }

bool CurrentTask::stop_requested() const noexcept {
  return current.soft_deadline_ns != 0 && detail::monotonic_ns() >= current.soft_deadline_ns;
}

TaskId CurrentTask::id() const noexcept { return current.id; }

namespace detail {

CurrentTaskScope::CurrentTaskScope(TaskId id, std::uint32_t attempt) noexcept {
  current = {.id = id, .attempt = attempt, .soft_deadline_ns = 0};
}

CurrentTaskScope::~CurrentTaskScope() { current = {}; }

void CurrentTaskScope::set_attempt(std::uint32_t attempt) noexcept {
  current.attempt = attempt;
  current.soft_deadline_ns = 0;
}

void CurrentTaskScope::set_soft_deadline(std::uint64_t monotonic_ns) noexcept {
  current.soft_deadline_ns = monotonic_ns;
}

}  // namespace detail
}  // namespace warren
