// A Process's target in a process that is spawned.
#pragma once
#include <absl/status/statusor.h>
#include <warren/pool/process.h>

#include "child_process.h"

namespace warren::detail {

absl::StatusOr<ForkedChild> spawn_target(const ProcessInfo& info, const StartBytes& bytes);

}  // namespace warren::detail
