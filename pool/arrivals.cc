#include <warren/pool/detail/arrivals.h>
#include <warren/pool/detail/thread_crew.h>

#include <utility>

#include "completions.h"
#include "place_lent.h"

namespace warren::detail {

Arrivals::Arrivals(std::vector<std::shared_ptr<TaskCore>> tasks) : tasks_(std::move(tasks)), left_(tasks_.size()) {
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i] == nullptr) {
      const std::scoped_lock lock(queue_->mutex);
      queue_->arrived.push_back(i);
      continue;
    }
    tasks_[i]->watch(queue_.get(), [queue = queue_, i](TaskCore&) {
      const std::scoped_lock lock(queue->mutex);
      queue->arrived.push_back(i);
      queue->filled.notify_one();
    });
  }
}

Arrivals::~Arrivals() {
  for (const std::shared_ptr<TaskCore>& task : tasks_) {
    if (task != nullptr) task->unwatch(queue_.get());
  }
}

std::optional<std::size_t> Arrivals::next(Deadline deadline) {
  if (left_ == 0) return std::nullopt;
  Queue& queue = *queue_;
  if (Completions* const here = Completions::current(); here != nullptr) {
    const auto any = [&queue] {
      const std::scoped_lock lock(queue.mutex);
      return !queue.arrived.empty();
    };
    if (!here->help(deadline, any)) return std::nullopt;
  }
  std::unique_lock lock(queue.mutex);
  const auto any = [&queue] { return !queue.arrived.empty(); };
  if (!any()) {
    lock.unlock();
    const StandIn stand_in;
    const PlaceLent lent;
    lock.lock();
    if (deadline.forever()) queue.filled.wait(lock, any);
    if (!deadline.forever() && !queue.filled.wait_until(lock, deadline.time(), any)) return std::nullopt;
  }
  const std::size_t index = queue.arrived.front();
  queue.arrived.pop_front();
  tasks_[index].reset();
  --left_;
  return index;
}

}  // namespace warren::detail
