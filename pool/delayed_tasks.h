// Tasks that are tried again after a time, as the supervisor remembers them. Only a memory: the table has the times.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "monotonic.h"
#include "task_table.h"

namespace warren::detail {

class DelayedTasks {
 public:
  explicit DelayedTasks(TaskTable& table) noexcept : table_(table) {}

  // Takes in what came, and gives those whose time has come back to the workers.
  void look() {
    table_.take_delayed([this](TaskRef task, std::uint64_t not_before) {
      waiting_.push_back({.not_before = not_before, .task = task});
      std::ranges::push_heap(waiting_, std::greater<>(), &Entry::not_before);
    });
    const std::uint64_t now = monotonic_ns();
    while (!waiting_.empty() && waiting_.front().not_before <= now) {
      std::ranges::pop_heap(waiting_, std::greater<>(), &Entry::not_before);
      table_.hint_again(waiting_.back().task);
      waiting_.pop_back();
    }
  }
  // Before every pending task is given a hint anew.
  void forget() noexcept { waiting_.clear(); }
  [[nodiscard]] std::uint64_t next_ns() const noexcept {
    return waiting_.empty() ? UINT64_MAX : waiting_.front().not_before;
  }

 private:
  struct Entry {
    std::uint64_t not_before;
    TaskRef task;
  };

  TaskTable& table_;
  std::vector<Entry> waiting_;  // a heap, the earliest in front
};

}  // namespace warren::detail
