// What a spawned process has found, and who does it.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>
#include <warren/ipc/codec.h>
#include <warren/pool/detail/start_target.h>

#include "start_record.h"

namespace warren::detail {

struct Arrival {
  StartKind kind;
  Reader in;
  int application_pidfd;
  int answers;
  Luggage luggage{};

  // To be said when nothing can fail any more: the parent goes on, and what was inherited is closed.
  void begins() noexcept;
};

// Function and arguments, made of the id and the bytes that come next.
absl::StatusOr<Target> get_target(Reader& in);
// The other side of it. `id` is known.
void put_target(Writer& out, Luggage& luggage, const StartBytes& bytes);

// They do not return where they could begin.
absl::Status run_spawned_pool(Arrival& arrival);
absl::Status run_spawned_process(Arrival& arrival);

}  // namespace warren::detail
