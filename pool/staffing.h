// How many workers a pool keeps, and which: resize(), and the leaving of idle ones between min_workers and the most.
#pragma once
#include <warren/pool/pool.h>

#include <cstdint>
#include <vector>

#include "task_table.h"

namespace warren::detail {

// One decision per look; the supervisor does the forking.
class Staffing {
 public:
  Staffing(TaskTable& table, const PoolOptions& options) noexcept
      : table_(table), options_(options), most_(table.most_workers()), retired_(most_) {}

  // True: resize() was called since the last look.
  bool look();
  [[nodiscard]] std::uint32_t most() const noexcept { return most_; }
  // Whether this place is to have a worker.
  [[nodiscard]] bool wanted(std::uint32_t index) const noexcept { return index < most_ && !retired_[index]; }
  // Lent places that nobody has taken: so many more may be started.
  [[nodiscard]] std::uint32_t vacant() const noexcept;
  // There are ready tasks that no idle worker is there for.
  [[nodiscard]] bool short_of_workers() const noexcept;
  // How long the supervisor may sleep, where idle workers are to leave.
  [[nodiscard]] std::chrono::milliseconds slice(std::chrono::milliseconds most) const noexcept;

 private:
  using Record = layout::WorkerRecord;

  // It takes the next task soon, unless it is stopped.
  [[nodiscard]] bool seems_free(std::uint32_t index) const noexcept;
  void call_back();
  void retire_idle();
  void ask_to_leave(std::uint32_t index) noexcept;
  [[nodiscard]] std::uint32_t staying() const noexcept;

  TaskTable& table_;
  const PoolOptions& options_;
  std::uint32_t most_;
  std::vector<bool> retired_;  // by place: left for want of work
};

}  // namespace warren::detail
