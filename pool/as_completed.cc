#include <warren/pool/as_completed.h>

namespace warren::detail {
namespace {

bool ended(const std::shared_ptr<TaskCore>& task) { return task == nullptr || task->poll(); }
bool failed(const std::shared_ptr<TaskCore>& task) { return task != nullptr && !task->successful(); }

// Whether nobody has to wait for the others.
bool suffices(const std::shared_ptr<TaskCore>& task, ReturnWhen when) {
  if (when == ReturnWhen::kFirstCompleted) return ended(task);
  return when == ReturnWhen::kFirstException && ended(task) && failed(task);
}

}  // namespace

Waited wait_for_tasks(std::vector<std::shared_ptr<TaskCore>> tasks, ReturnWhen when, Deadline deadline) {
  const auto enough = [when](const auto& task) { return suffices(task, when); };
  if (when == ReturnWhen::kAllCompleted) {
    for (const auto& task : tasks) {
      if (task != nullptr && !task->wait(deadline)) break;
    }
  } else if (std::ranges::none_of(tasks, enough)) {
    Arrivals arrivals(tasks);
    while (const std::optional<std::size_t> next = arrivals.next(deadline)) {
      if (enough(tasks[*next])) break;
    }
  }
  Waited result;
  for (std::size_t i = 0; i < tasks.size(); ++i) (ended(tasks[i]) ? result.done : result.not_done).push_back(i);
  return result;
}

}  // namespace warren::detail
