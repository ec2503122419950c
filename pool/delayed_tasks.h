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
    const auto remember = [this](TaskRef task, std::uint64_t not_before) {
      waiting_.push_back({.not_before = not_before, .task = task});
      std::ranges::push_heap(waiting_, std::greater<>(), &Entry::not_before);
    };
    bool table_has_more = false;
    const Front front = table_.take_delayed(table_has_more, remember);
    const std::uint64_t now = monotonic_ns();
    if (behind_stall(front, now) || table_has_more) {
      waiting_.clear();
      table_.each_delayed(looked_at_, remember);
      looked_at_ = now;  // what was due before has been given back
    }
    while (!waiting_.empty() && waiting_.front().not_before <= now) {
      std::ranges::pop_heap(waiting_, std::greater<>(), &Entry::not_before);
      table_.hint_again(waiting_.back().task);
      waiting_.pop_back();
    }
  }
  // Before every pending task is given a hint anew.
  void forget() noexcept { waiting_.clear(); }
  [[nodiscard]] std::uint64_t next_ns() const noexcept {
    return waiting_.empty() ? look_again_ : std::min(look_again_, waiting_.front().not_before);
  }

 private:
  // Who stands in the way of the hints is dead, which shows after a while, or stopped, for as long as it likes. True:
  // for long already.
  bool behind_stall(Front front, std::uint64_t now) noexcept {
    if (front != Front::kStalled) return look_again_ = UINT64_MAX, false;
    const bool for_long = look_again_ <= now;
    if (for_long || look_again_ == UINT64_MAX) look_again_ = now + kLongStall;
    return for_long;
  }

  static constexpr std::uint64_t kLongStall = 20'000'000;

  struct Entry {
    std::uint64_t not_before;
    TaskRef task;
  };

  TaskTable& table_;
  std::vector<Entry> waiting_;                // a heap, the earliest in front
  std::uint64_t look_again_ = UINT64_MAX;     // behind a stall
  std::uint64_t looked_at_ = monotonic_ns();  // the table, as a whole
};

}  // namespace warren::detail
