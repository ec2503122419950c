// Where a task's result goes: the slot, or a block once it outgrows that. What an invoker writes to.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/codec.h>

#include <cstdint>

namespace warren::detail {

// What stands before a status, and before each item's result in a chunk.
enum class ItemTag : std::uint8_t {
  kFailed = 0,      // the item's status follows
  kValue = 1,       // its value follows
  kTriedAgain = 2,  // an attempt of the next item has failed: it counts, should the worker die in a later one
  kTaskFailed = 3,  // the status of the task follows, and holds for every item that has no result before it
};

class ResultSink {
 public:
  ResultSink(const ResultSink&) = delete;
  ResultSink& operator=(const ResultSink&) = delete;

  virtual Writer& writer() noexcept = 0;
  // Publishes what was written so far: it outlives this process. A chunk calls it after every item.
  virtual void commit() noexcept = 0;
  // The task failed: the error goes behind what was committed.
  virtual void fail(const absl::Status& status) = 0;
  // 1 for the first attempt; and what a chunk says of the item that runs.
  [[nodiscard]] virtual std::uint32_t attempt() const noexcept = 0;
  virtual void set_attempt(std::uint32_t attempt) noexcept = 0;
  // Where a chunk tries an item again at once.
  virtual void wait_before_next_attempt() noexcept = 0;

 protected:
  ResultSink() = default;
  ~ResultSink() = default;
};

}  // namespace warren::detail
