// Supervisor: a group of long-running workers that is kept at its size. For servers that fork before they serve:
//
//     auto group = warren::Supervisor::start({.workers = 4, .name = "server"}, serve, port).value();
//     return group.run_until_signal().ok() ? 0 : 1;      // SIGTERM, SIGINT: drain and end. SIGHUP: reload
//
// start() forks one process, the supervisor, which forks the workers and does nothing but look after them: a worker
// that ends, however it does, is replaced: one that has nothing left to do waits for its Shutdown. All of them see the
// program's memory, and hold its descriptors, as of start(): a socket that listens is made before, and shared by all.
// Start it before the program has threads, as with Process.
//
// A worker that dies takes along what it was doing, and nobody else notices. One that ends early (within a second) is
// replaced after restart_backoff, twice that the next time, and so on up to 10 s, which is told on stderr.
// Workers end with their supervisor: killed, if that is; and drained (SIGTERM, after the grace SIGKILL), if the program
// ends without stop(), however it does. A worker that changes its user is not killed with its supervisor, unless it
// asks for that again: prctl(PR_SET_PDEATHSIG, SIGKILL).
//
// Ctrl-C at the terminal is the program's to handle: supervisor and workers ignore it. SIGTERM to the whole process
// group or service (systemd) drains all of it. SIGTERM and SIGHUP to the supervisor's pid() stop and reload, too.
#pragma once
#include <absl/status/statusor.h>
#include <sys/types.h>
#include <warren/ipc/time.h>
#include <warren/pool/detail/worker_target.h>
#include <warren/pool/shutdown.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace warren {

namespace detail {
class WorkerGroup;
}

struct SupervisorOptions {
  std::uint32_t workers = 0;  // 0: one per usable processor; at most 1024
  std::string name = {};  // of the supervisor; its workers are "name-0" and so on. Default: "supervisor", "worker-0"
  Timeout restart_backoff = std::chrono::milliseconds(10);
  Timeout grace = std::chrono::seconds(10);  // between SIGTERM and SIGKILL
};

// Move-only. Thread-safe but for move and destruction. A moved-from one may only be assigned to or destroyed; a forked
// child's copy does nothing when it is destroyed.
class Supervisor {
 public:
  // `f` and its arguments are what a Process's may be, and f may take a Shutdown& before them, by which it learns that
  // it is to end. Without it SIGTERM ends the worker at once. It returns when the workers have been forked.
  // InvalidArgument: too many workers. ResourceExhausted: processes, memory, descriptors.
  template <detail::NotSupervisorOptions F, class... A>
  static absl::StatusOr<Supervisor> start(F&& f, A&&... a);
  template <detail::Asked F, class... A>
  static absl::StatusOr<Supervisor> start(const SupervisorOptions& options, F&& f, A&&... a);

  Supervisor(Supervisor&&) noexcept = default;
  Supervisor& operator=(Supervisor&& other) noexcept;
  ~Supervisor();  // stop()

  // As many new workers, and when all of them have begun to run f, SIGTERM to the old ones. Returns when these are
  // gone. Aborted: a new one ended before all had begun; ResourceExhausted: they could not be forked. The old ones go
  // on then, and the new ones are gone. FailedPrecondition: stopped. Unavailable: the supervisor was killed. While that
  // is stopped (SIGSTOP) it waits.
  absl::Status reload();
  // Handles SIGTERM, SIGINT and SIGHUP of the program until one of the first two comes: then stop(). One such call at a
  // time in a program (FailedPrecondition); what was there to handle them is there again afterwards. A signal that
  // comes before the call does what it did: where that must not be, block the three before start(); the call lets them
  // in. Unavailable: the supervisor was killed, and its workers with it. OK also when somebody else stopped the group.
  absl::Status run_until_signal();
  // SIGTERM to all workers, SIGKILL after the grace; returns when all are gone. Harmless twice.
  void stop() noexcept;

  [[nodiscard]] pid_t pid() const noexcept;  // of the supervisor
  // Without those that drain. None: the supervisor has ended, or does not answer for 5 s (SIGSTOP).
  [[nodiscard]] std::vector<pid_t> workers() const;
  [[nodiscard]] std::uint64_t restarts() const;  // of workers, since start(), but by reload(); 0: likewise
  [[nodiscard]] std::string_view name() const noexcept;

 private:
  explicit Supervisor(std::shared_ptr<detail::WorkerGroup> group) noexcept : group_(std::move(group)) {}
  static absl::StatusOr<Supervisor> fork_group(const SupervisorOptions& options, bool takes_shutdown,
                                               std::span<const Connection* const> passed,
                                               const detail::WorkerTarget& target);
  [[nodiscard]] detail::WorkerGroup& group() const noexcept;

  std::shared_ptr<detail::WorkerGroup> group_;
};

template <detail::NotSupervisorOptions F, class... A>
absl::StatusOr<Supervisor> Supervisor::start(F&& f, A&&... a) {
  return start(SupervisorOptions{}, std::forward<F>(f), std::forward<A>(a)...);
}

template <detail::Asked F, class... A>
absl::StatusOr<Supervisor> Supervisor::start(const SupervisorOptions& options, F&& f, A&&... a) {
  if constexpr (detail::check_worker_target<F, A...>()) {
    std::decay_t<F> function(std::forward<F>(f));
    std::tuple<typename detail::Carried<A>::type...> arguments(std::forward<A>(a)...);
    std::vector<const Connection*> passed;
    std::apply([&passed](const auto&... each) { (detail::find_connections(each, passed), ...); }, arguments);
    return fork_group(options, detail::kTakesShutdown<F, A...>, passed,
                      [&](Shutdown& shutdown) { return detail::run_worker_target(function, shutdown, arguments); });
  } else {
    return absl::InternalError("");  // told above
  }
}

}  // namespace warren
