// Process: a function that runs in a process of its own.
//
//     auto p = warren::Process::start({.name = "consumer"}, consume, queue).value();
//     int code = p.join();
//
// start() forks, unless ProcessOptions::start_method says otherwise (start_method.h); what follows of memory and
// threads is of forks. The child has a copy of the program's memory, runs the target and ends with _exit(), after it
// has flushed stdout and std::cout. It does not come back to the caller, and runs neither the program's atexit handlers
// nor the destructors of its objects; a target returns rather than calls exit(). Of the program's threads only the
// caller is copied, with whatever locks the others held: start processes before threads, or with StartMethod::kSpawn (a
// warning says so once; the threads behind fileno() of queues, events and the like do not count).
//
// The child's signal handlers are the default ones, and nothing is blocked: terminate() ends it, and so does Ctrl-C at
// the terminal, unless the target arranges for something else. A child that is killed, or exits, costs nobody else
// anything but itself: what it held of Warren's is given back (docs/failure_model.md).
#pragma once
#include <absl/status/statusor.h>
#include <signal.h>
#include <sys/types.h>
#include <warren/ipc/time.h>
#include <warren/pool/detail/process_task.h>
#include <warren/pool/detail/target.h>
#include <warren/pool/pool.h>
#include <warren/pool/supervisor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren {

namespace detail {
class Child;
}

struct ProcessOptions {
  std::string name = {};  // told by current_process(), active_children(), ps -T; default: "Process-1" and so on
  // Ended with its parent, however that ends, and not waited for: SIGTERM, 5 s later SIGKILL. Else a child outlives a
  // parent that is killed; one that waits for a queue that nobody closes any more then waits for ever.
  bool daemon = false;
  StartMethod start_method = StartMethod::kFork;  // kSpawn: for programs that have threads (start_method.h)
};

// Becomes readable when the process has ended: for poll, epoll and warren::wait. Holds the descriptor, not the process.
class Sentinel {
 public:
  [[nodiscard]] int fileno() const noexcept;  // a pidfd

 private:
  friend class Process;
  explicit Sentinel(std::shared_ptr<detail::Child> child) noexcept : child_(std::move(child)) {}
  std::shared_ptr<detail::Child> child_;
};

// Move-only. Destroyed: joined; a daemon is terminated first. Thread-safe but for move and destruction. A moved-from
// process may only be assigned to or destroyed. A forked child's copy does nothing when it is destroyed.
class Process {
 public:
  // `target` may be what a task may be (task.h), or an object with run(), and is called with decayed copies of the
  // arguments, which are what a task's may be, and handles too, also in vectors, tuples and optionals. A Connection is
  // moved: the child holds it, and of all others lets go; this process does not hold it any longer. Its int is the
  // exit code (& 255); void and OK are 0; an exception or a bad Status is 1, and told on stderr. What it may return is
  // void, int, absl::Status or absl::StatusOr<int>: results go through a queue, a pipe, a value, or Pool::submit.
  // Errors: ResourceExhausted (processes, memory, descriptors); those of StartMethod::kSpawn.
  template <detail::NotProcessOptions F, class... A>
  static absl::StatusOr<Process> start(F&& target, A&&... a) {
    return start(ProcessOptions{}, std::forward<F>(target), std::forward<A>(a)...);
  }
  template <detail::Asked F, class... A>
  static absl::StatusOr<Process> start(const ProcessOptions& options, F&& target, A&&... a);

  Process(Process&&) noexcept = default;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  // The exit code, or minus the signal that ended it; may be asked again. 255: nobody knows, since the program itself
  // has waited for the child, or ignores SIGCHLD.
  int join();                                          // blocks
  std::optional<int> join_for(Timeout d);              // nullopt: still alive
  std::optional<int> join_until(Deadline t);           // likewise
  [[nodiscard]] std::optional<int> exit_code() const;  // nullopt: still alive
  [[nodiscard]] bool is_alive() const;                 // a stopped process is
  void terminate() noexcept { send_signal(SIGTERM); }  // nothing, where it has ended
  void kill() noexcept { send_signal(SIGKILL); }       // likewise
  void send_signal(int signal) noexcept;               // never to another process that got its pid
  void detach() noexcept;                              // joined when the program exits instead of here
  [[nodiscard]] pid_t pid() const noexcept;
  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] bool daemon() const noexcept;
  [[nodiscard]] Sentinel sentinel() const;

 private:
  explicit Process(std::shared_ptr<detail::Child> child) noexcept : child_(std::move(child)) {}
  static absl::StatusOr<Process> begin(const ProcessOptions& options, std::span<const Connection* const> passed,
                                       const detail::Target& target, const detail::StartBytes& bytes);
  void end() noexcept;
  [[nodiscard]] detail::Child& child() const noexcept;

  std::shared_ptr<detail::Child> child_;
};

struct ProcessInfo {
  pid_t pid = 0;
  std::string name;
  bool daemon = false;
};
// The calling process: as Process::start named it, a pool's worker by its number, else "MainProcess".
[[nodiscard]] ProcessInfo current_process();
// Those that this process has started and that have not ended. When it exits, by return from main or exit(), daemons
// are terminated, and the others joined.
[[nodiscard]] std::vector<ProcessInfo> active_children();
// Processors that this process may use: by its affinity, and by its cgroup's quota, rounded up. At least 1.
[[nodiscard]] std::uint32_t cpu_count() noexcept;

template <detail::Asked F, class... A>
absl::StatusOr<Process> Process::start(const ProcessOptions& options, F&& target, A&&... a) {
  if constexpr (detail::check_target<F, A...>()) {
    std::decay_t<F> function(std::forward<F>(target));
    std::tuple<typename detail::Carried<A>::type...> arguments(std::forward<A>(a)...);
    std::vector<const Connection*> passed;
    std::apply([&passed](const auto&... each) { (detail::find_connections(each, passed), ...); }, arguments);
    return begin(
        options, passed, [&] { return detail::run_target(function, arguments); },
        detail::process_bytes(function, arguments));
  } else {
    return absl::InternalError("");  // told above
  }
}

}  // namespace warren
