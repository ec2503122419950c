// Pool: preforked worker processes that run ordinary functions and give back futures.
//
// A worker's death fails only the task that it ran (or that is tried again, where its options allow); a new worker
// takes its place. Workers see the program's memory as it was when the pool was made: what they need later goes in as
// arguments. Make the pool before the program has threads: a fork copies only the thread that calls it, and whatever
// locks the others hold (a warning says so once). With StartMethod::kSpawn it may have them, and workers see the
// program as it is when it comes to enter() (start_method.h).
//
// Thread-safe. Only the process that made the pool uses it; a forked child's copy does nothing. A moved-from pool may
// only be assigned to or destroyed.
//
// Workers ignore Ctrl-C (it is the application's to handle) and write to the same stdout and stderr. They hold every
// descriptor that was open when the pool was made (kSpawn: that is not close-on-exec): a pipe or a socket of that time
// has its end of file only when they are gone too. A SIGTERM to the whole process group or service kills busy workers,
// and their tasks fail: who wants to finish them has it sent to the application alone (systemd: KillMode=mixed), and
// closes the pool then. std::exit() in a task runs the program's atexit handlers in the worker, and fails the task. The
// supervisor tells on stderr what breaks a pool; WARREN_LOG=info also tells each worker's death, WARREN_LOG=off
// nothing.
#pragma once
#include <sys/resource.h>
#include <warren/pool/detail/on_processes.h>
#include <warren/pool/future.h>
#include <warren/pool/start_method.h>
#include <warren/pool/verbs.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace warren {

struct PoolOptions {
  std::uint32_t workers = 0;               // 0: one per usable processor; at most 1024
  Function<void()> initializer = {};       // run first in every worker; if it throws, the pool breaks and says why
  std::uint64_t max_tasks_per_worker = 0;  // then another one takes its place, and nothing is lost; 0: no limit. A
                                           // chunk of map and imap is one task
  std::uint64_t max_worker_rss = 0;        // likewise, of bytes of memory as ps shows them (RSS), asked for between two
                                           // tasks; 0: no limit. What is shared with the application counts
  StartMethod start_method = StartMethod::kFork;  // kSpawn: for programs that have threads (start_method.h)
  std::size_t max_pending = 65536;  // tasks that have not ended; then submit waits, try_submit refuses. Results
                                    // that are not yet got do not count: they move out of the way
  std::string name = {};            // shown by ipc-inspect; at most 63 characters

  // A worker that has been idle for so long leaves, as long as min_workers stay. One comes back for a task that finds
  // all others busy.
  std::uint32_t min_workers = 1;
  Timeout idle_timeout = kForever;

  // What workers are like, from before the initializer on. If it cannot be done, the pool breaks and says why.
  std::vector<std::uint32_t> cpus = {};                // the processors that they may run on; empty: as the application
  bool pin_workers = false;                            // each on one of those, in turn
  int nice = 0;                                        // added to the application's; less than 0 needs privileges
  std::vector<std::pair<int, ::rlimit>> rlimits = {};  // {RLIMIT_AS, {soft, hard}}; setrlimit(2)
  std::map<std::string, std::optional<std::string>> environment = {};  // beside what is there; nullopt: without
  std::string working_directory = {};                                  // empty: the application's
  std::optional<std::vector<int>> keep_fds = {};  // of the descriptors open now these and 0 to 2 alone: all others
                                                  // become /dev/null; nullopt: all, with kSpawn those that are not
                                                  // close-on-exec. Handles and pipes of Warren see to theirs
};

// Its calls stand in verbs.h: submit, try_submit, apply, apply_async; map, map_async, starmap, starmap_async, imap,
// imap_unordered, for_each; workers; close, terminate, join, shutdown.
class Pool : public detail::PoolOwner<detail::OnProcesses> {
 public:
  // InvalidArgument for what cannot be; ResourceExhausted for memory, descriptors, processes; those of kSpawn. Returns
  // before the workers have started: what hinders them, an initializer that throws included, the first future says.
  static absl::StatusOr<Pool> create(const PoolOptions& options = {});
  Pool(Pool&&) noexcept = default;
  Pool& operator=(Pool&& other) noexcept = default;
  ~Pool() = default;  // close(), join(): what was accepted is finished

  // Returns at once. More: they are started. Fewer: those of the highest numbers finish their task, and leave; tasks
  // that only they were to run (TaskOptions::worker) go to any. InvalidArgument for 0 and for more than 1024.
  absl::Status resize(std::uint32_t workers);

 private:
  using PoolOwner::PoolOwner;
};

namespace detail {
extern template class PoolOwner<OnProcesses>;
}

}  // namespace warren
