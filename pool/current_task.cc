#include "current_task.h"

namespace warren {
namespace {

struct Current {
  TaskId id;
  std::uint32_t attempt = 0;
};
constinit thread_local Current current;

}  // namespace

CurrentTask current_task() noexcept { return {}; }

std::uint32_t CurrentTask::attempt() const noexcept { return current.attempt; }

TaskId CurrentTask::id() const noexcept { return current.id; }

namespace detail {

CurrentTaskScope::CurrentTaskScope(TaskId id, std::uint32_t attempt) noexcept {
  current = {.id = id, .attempt = attempt};
}

CurrentTaskScope::~CurrentTaskScope() { current = {}; }

void CurrentTaskScope::set_attempt(std::uint32_t attempt) noexcept { current.attempt = attempt; }

}  // namespace detail
}  // namespace warren
