#include "spawn_process.h"

#include <unistd.h>

#include <span>
#include <string>

#include "arrival.h"
#include "child_process.h"
#include "run_target.h"
#include "spawn_self.h"

namespace warren::detail {

absl::StatusOr<ForkedChild> spawn_target(const ProcessInfo& info, const StartBytes& bytes) {
  return spawn({.kind = StartKind::kProcess,
                .encode =
                    [&](Writer& out, Luggage& luggage) {
                      out.put(info.name);
                      out.put(info.daemon);
                      put_target(out, luggage, bytes);
                    },
                .keep = {}});
}

absl::Status run_spawned_process(Arrival& arrival) {
  const auto name = arrival.in.get<std::string>();
  const auto daemon = arrival.in.get<bool>();
  if (!daemon.ok()) return daemon.status();
  const absl::StatusOr<Target> target = get_target(arrival.in);
  if (!target.ok()) return target.status();
  if (!*daemon) ::close(arrival.application_pidfd);
  reset_signals(Interrupts::kEndIt);  // before the parent can send one to a handler of a constructor
  arrival.begins();
  run_as({.pid = 0, .name = *name, .daemon = *daemon}, arrival.application_pidfd, *target);
}

}  // namespace warren::detail
