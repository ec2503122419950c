// Starting this program anew, as a process that runs something of ours: the parent's side. enter.cc is the child's.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/luggage.h>

#include <span>
#include <string>
#include <vector>

#include "child_process.h"
#include "start_record.h"

namespace warren::detail {

struct SpawnRequest {
  StartKind kind;
  absl::FunctionRef<void(Writer&, Luggage&)> encode;  // what it is to run
  std::span<const int> keep;                          // descriptors that it has too, under the same numbers
  bool deaf = false;  // what the terminal and `kill` say is held back until it has come to enter()
};

// Returns when it has answered that it begins. Else it has ended, and the status says why: see StartMethod::kSpawn.
absl::StatusOr<ForkedChild> spawn(const SpawnRequest& request);

// In a spawned process whose main() has not come to enter(): FailedPrecondition, and its parent is told that `what` was
// asked for. OK everywhere else. To be asked by all that makes processes.
absl::Status refuse_before_enter(const char* what);

// enter.cc. What main() was called with; null: enter() was not called.
const std::vector<std::string>* entered_with() noexcept;

}  // namespace warren::detail
