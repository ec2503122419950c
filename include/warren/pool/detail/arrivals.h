// Arrivals: which of several tasks have ended, in that order. For as_completed() and wait().
#pragma once
#include <warren/ipc/time.h>
#include <warren/pool/detail/task_core.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace warren::detail {

class Arrivals {
 public:
  // Null: there is no task; it has arrived.
  explicit Arrivals(std::vector<std::shared_ptr<TaskCore>> tasks);
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;
  ~Arrivals();

  // The place of the next one among the tasks. nullopt: none is left, or the time is up.
  std::optional<std::size_t> next(Deadline deadline);
  [[nodiscard]] std::size_t left() const noexcept { return left_; }

 private:
  struct Queue {  // tasks may arrive when nobody waits any more
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<std::size_t> arrived;
  };

  bool await_one(Deadline deadline);
  void find_ended();
  std::optional<std::size_t> take();

  std::vector<std::shared_ptr<TaskCore>> tasks_;  // that have not been given
  std::vector<bool> given_;
  std::size_t left_;
  std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

}  // namespace warren::detail
