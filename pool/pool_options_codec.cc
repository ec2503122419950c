#include "pool_options_codec.h"

#include <tuple>

namespace warren::detail {
namespace {

// Every field by its place, so that one more does not compile until it is named here.
template <class Options>
auto fields_of(Options& options) {
  auto& [workers, initializer, max_tasks_per_worker, max_worker_rss, start_method, max_pending, name, min_workers,
         idle_timeout, cpus, pin_workers, nice, rlimits, environment, working_directory, keep_fds] = options;
  (void)initializer;   // code
  (void)start_method;  // it has been started
  (void)idle_timeout;  // its own type; below
  return std::tie(workers, max_tasks_per_worker, max_worker_rss, max_pending, name, min_workers, cpus, pin_workers,
                  nice, rlimits, environment, working_directory, keep_fds);
}

template <class T>
void get_into(Reader& in, T& field) {
  if (auto value = in.get<T>(); value.ok()) field = *std::move(value);
}

}  // namespace

void put_options(Writer& out, const PoolOptions& options) {
  std::apply([&out](const auto&... field) { (out.put(field), ...); }, fields_of(options));
  out.put(options.idle_timeout.ns().count());
  out.put(options.idle_timeout.forever());
}

absl::StatusOr<PoolOptions> get_options(Reader& in) {
  PoolOptions options;
  std::apply([&in](auto&... field) { (get_into(in, field), ...); }, fields_of(options));
  const auto idle = in.get<std::chrono::nanoseconds::rep>();
  const auto forever = in.get<bool>();
  if (!in.ok()) return in.status();
  options.idle_timeout = *forever ? kForever : Timeout(std::chrono::nanoseconds(*idle));
  return options;
}

}  // namespace warren::detail
