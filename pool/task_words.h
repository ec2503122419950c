// The words that a step of a task writes: who owns a block, and a slot that is free again.
#pragma once
#include <warren/layout/pool.h>

#include "task_table.h"

namespace warren::detail {

inline std::uint64_t arguments_owner(TaskRef task) {
  return layout::BlockOwner{
      .role = layout::BlockOwner::Role::kArguments, .generation = task.generation, .slot = task.slot}
      .word();
}
inline std::uint64_t result_owner(std::uint32_t slot, layout::TaskState state) {
  return layout::BlockOwner{
      .role = layout::BlockOwner::Role::kResult, .attempt = state.attempt, .generation = state.generation, .slot = slot}
      .word();
}
inline layout::TaskState freed(layout::TaskState state) {
  return {.generation = (state.generation + 1) & layout::TaskState::kGenerationMask,
          .phase = layout::TaskState::Phase::kFree};
}

}  // namespace warren::detail
