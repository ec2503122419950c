#include "spawn_pool.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <warren/ipc/detail/first_descriptor.h>
#include <warren/ipc/detail/passage.h>
#include <warren/pool/detail/start_target.h>

#include <functional>
#include <span>
#include <utility>

#include "arrival.h"
#include "child_process.h"
#include "pool_options_codec.h"
#include "spawn_self.h"
#include "supervisor.h"
#include "task_table.h"

namespace warren::detail {
absl::StatusOr<ForkedChild> spawn_supervisor(const Attachment& segment, int control, const PoolOptions& options) {
  std::span<const int> keep;
  if (options.keep_fds) keep = *options.keep_fds;
  return spawn({.kind = StartKind::kPool,
                .encode =
                    [&](Writer& out, Luggage& luggage) {
                      if (absl::Status status = pass(out, segment, luggage); !status.ok()) return out.fail(status);
                      out.put(control);
                      luggage.push_back(control);
                      put_options(out, options);
                      out.put(static_cast<bool>(options.initializer));
                      if (options.initializer) put_target(out, luggage, FunctionAccess::bytes(options.initializer));
                    },
                .keep = keep,
                .deaf = true});
}

absl::Status run_spawned_pool(Arrival& arrival) {
  Reader& in = arrival.in;
  const absl::StatusOr<Attachment::Pointer> segment = arrived_attachment(in, {.kind = layout::ObjectKind::kPool});
  if (!segment.ok()) return segment.status();
  const auto inherited = in.get<int>();
  const absl::StatusOr<PoolOptions> options = get_options(in);
  const auto has_initializer = in.get<bool>();
  if (!in.ok()) return in.status();
  std::function<void()> initializer;
  if (*has_initializer) {
    absl::StatusOr<Target> target = get_target(in);
    if (!target.ok()) {
      return {target.status().code(), absl::StrCat("the pool's initializer: ", std::string(target.status().message()))};
    }
    initializer = [target = *std::move(target)] { (void)target(); };
  }
  const int control = ::fcntl(*inherited, F_DUPFD_CLOEXEC, kFirstDescriptor);
  if (control < 0) return absl::ResourceExhaustedError("a pool's supervisor has no descriptor left");
  TaskTable table(**segment);
  warn_of_threads("a spawned supervisor");  // of constructors
  flush_streams();                          // what they wrote: each worker would write it again
  arrival.begins();
  run_supervisor(table, {.application_pidfd = arrival.application_pidfd,
                         .control = control,
                         .initializer = initializer,
                         .options = *options});
}

}  // namespace warren::detail
