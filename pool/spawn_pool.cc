#include "spawn_pool.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>
#include <warren/ipc/detail/process.h>
#include <warren/pool/detail/start_target.h>

#include <functional>
#include <utility>
#include <vector>

#include "arrival.h"
#include "pool_options_codec.h"
#include "spawn_self.h"
#include "supervisor.h"
#include "task_table.h"

namespace warren::detail {
namespace {

// By a descriptor that this process has inherited: who is the segment's peer by /proc may not be looked into.
absl::StatusOr<Attachment::Pointer> attach_inherited(HandleValue value) {
  const ProcessIdentity& self = this_process();
  value.pid = static_cast<std::uint32_t>(self.pid);
  value.start_time = self.start_time;
  value.pid_namespace = self.pid_namespace;
  absl::StatusOr<Attachment::Pointer> attachment = Attachment::open(value, {.kind = layout::ObjectKind::kPool});
  ::close(value.descriptor);
  return attachment;
}

}  // namespace

absl::StatusOr<ForkedChild> spawn_supervisor(const Attachment& segment, int control, const PoolOptions& options) {
  const absl::StatusOr<HandleValue> value = segment.value();
  if (!value.ok()) return value.status();
  std::vector<int> descriptors{value->descriptor, control};
  if (options.keep_fds) descriptors.insert(descriptors.end(), options.keep_fds->begin(), options.keep_fds->end());
  return spawn({.kind = StartKind::kPool,
                .encode =
                    [&](Writer& out) {
                      out.put(*value);
                      out.put(control);
                      put_options(out, options);
                      out.put(static_cast<bool>(options.initializer));
                      if (options.initializer) put_target(out, FunctionAccess::bytes(options.initializer));
                    },
                .descriptors = descriptors,
                .deaf = true});
}

absl::Status run_spawned_pool(Arrival& arrival) {
  Reader& in = arrival.in;
  const auto value = in.get<HandleValue>();
  const auto control = in.get<int>();
  const absl::StatusOr<PoolOptions> options = get_options(in);
  const auto has_initializer = in.get<bool>();
  if (!in.ok()) return in.status();
  std::function<void()> initializer;
  if (*has_initializer) {
    absl::StatusOr<Target> target = get_target(in);
    if (!target.ok()) {
      return {target.status().code(),
              absl::StrCat("the pool's initializer: ", std::string(target.status().message()))};
    }
    initializer = [target = *std::move(target)] { (void)target(); };
  }
  (void)::fcntl(*control, F_SETFD, FD_CLOEXEC);
  const absl::StatusOr<Attachment::Pointer> attachment = attach_inherited(*value);
  if (!attachment.ok()) return attachment.status();
  TaskTable table(**attachment);
  arrival.begins();
  run_supervisor(table, {.application = arrival.application,
                         .application_pidfd = arrival.application_pidfd,
                         .control = *control,
                         .initializer = initializer,
                         .options = *options});
}

}  // namespace warren::detail
