#include <warren/pool/detail/arrivals.h>
#include <warren/pool/detail/thread_crew.h>

#include <utility>

#include "completions.h"
#include "place_lent.h"

namespace warren::detail {

Arrivals::Arrivals(std::vector<std::shared_ptr<TaskCore>> tasks)
    : tasks_(std::move(tasks)), given_(tasks_.size()), left_(tasks_.size()) {
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
  while (await_one(deadline)) {
    if (const std::optional<std::size_t> index = take()) return index;
  }
  find_ended();
  return take();
}

// False: the time is up.
bool Arrivals::await_one(Deadline deadline) {
  Queue& queue = *queue_;
  const auto any = [&queue] { return !queue.arrived.empty(); };
  if (Completions* const here = Completions::current(); here != nullptr) {
    return here->help(deadline, [&queue, any] {
      const std::scoped_lock lock(queue.mutex);
      return any();
    });
  }
  std::unique_lock lock(queue.mutex);
  if (any()) return true;
  lock.unlock();
  const StandIn stand_in;
  const PlaceLent lent;
  lock.lock();
  if (!deadline.forever()) return queue.filled.wait_until(lock, deadline.time(), any);
  queue.filled.wait(lock, any);
  return true;
}

// The time is up: who has ended need not have been told of yet. It arrives again, then.
void Arrivals::find_ended() {
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i] == nullptr || !tasks_[i]->poll()) continue;
    const std::scoped_lock lock(queue_->mutex);
    queue_->arrived.push_back(i);
  }
}

std::optional<std::size_t> Arrivals::take() {
  const std::scoped_lock lock(queue_->mutex);
  while (!queue_->arrived.empty()) {
    const std::size_t index = queue_->arrived.front();
    queue_->arrived.pop_front();
    if (given_[index]) continue;
    given_[index] = true;
    tasks_[index].reset();
    --left_;
    return index;
  }
  return std::nullopt;
}

}  // namespace warren::detail
