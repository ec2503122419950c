// Where a task's result goes: the slot, or a block once it outgrows that. What an invoker writes to.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/codec.h>

#include <cstdint>

namespace warren::detail {

class ResultSink {
 public:
  virtual Writer& writer() noexcept = 0;
  // Publishes what was written so far: it outlives this process. A chunk calls it after every item.
  virtual void commit() noexcept = 0;
  // The task failed: the error takes the place of what was written.
  virtual void fail(const absl::Status& status) = 0;
  // 1 for the first attempt; and what a chunk says of the item that runs.
  [[nodiscard]] virtual std::uint32_t attempt() const noexcept = 0;
  virtual void set_attempt(std::uint32_t attempt) noexcept = 0;

 protected:
  ResultSink() = default;
  ~ResultSink() = default;
  ResultSink(const ResultSink&) = delete;
  ResultSink& operator=(const ResultSink&) = delete;
};

}  // namespace warren::detail
