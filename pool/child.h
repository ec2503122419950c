// A process that Process::start forked, as its parent sees it.
#pragma once
#include <sys/types.h>
#include <warren/ipc/detail/process.h>
#include <warren/ipc/time.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace warren::detail {

// Between SIGTERM and SIGKILL of a daemon.
inline constexpr std::chrono::seconds kDaemonGrace{5};

class Child {
 public:
  Child(pid_t pid, int pidfd, std::string name, bool daemon, Timeout grace = kDaemonGrace)
      : pid_(pid), pidfd_(pidfd), name_(std::move(name)), daemon_(daemon), grace_(grace) {}
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::optional<int> join_until(Deadline deadline);
  std::optional<int> exit_code() { return join_until(Deadline::after(std::chrono::nanoseconds::zero())); }
  int finish();  // terminates a daemon; joins
  void signal(int signal) noexcept;

  [[nodiscard]] bool mine() const noexcept { return epoch_ == process_epoch(); }  // not a forked child's copy
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool daemon() const noexcept { return daemon_; }

 private:
  int reap();

  const pid_t pid_;
  const int pidfd_;
  const std::string name_;
  const bool daemon_;
  const Timeout grace_;  // of a daemon
  const std::uint64_t epoch_ = process_epoch();
  std::mutex mutex_;
  std::optional<int> code_;
};

// The children of this process that nobody has joined. When the program exits, daemons are terminated and all joined.
class ChildList {
 public:
  static ChildList& instance();

  void add(std::shared_ptr<Child> child);
  void remove(const Child& child) noexcept;
  [[nodiscard]] std::vector<std::shared_ptr<Child>> all() const;

 private:
  ChildList() = default;
  static void at_exit() noexcept;

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Child>> children_;
};

}  // namespace warren::detail
