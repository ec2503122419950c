// A pool's supervisor in a process that is spawned.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/pool/pool.h>

#include "child_process.h"

namespace warren::detail {

absl::StatusOr<ForkedChild> spawn_supervisor(const Attachment& segment, int control, const PoolOptions& options);

}  // namespace warren::detail
