// Supervisor, as the program has it: the process behind it is worker_group_process.cc.
#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_cat.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <warren/ipc/detail/check.h>
#include <warren/pool/supervisor.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <system_error>
#include <utility>

#include "awaited_signals.h"
#include "child.h"
#include "child_process.h"
#include "pidfd.h"
#include "spawn_self.h"
#include "usable_cpus.h"
#include "worker_group_process.h"

namespace warren {
namespace detail {

constexpr std::chrono::seconds kPatience{5};  // with a supervisor that is asked for a report

class WorkerGroup {
 public:
  WorkerGroup(std::shared_ptr<Child> child, int reloads, int reports)
      : child_(std::move(child)), reloads_{.socket = reloads}, reports_{.socket = reports} {}
  ~WorkerGroup() {
    stop();
    ::close(reloads_.socket);
    ::close(reports_.socket);
  }
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  [[nodiscard]] Child& child() const noexcept { return *child_; }
  // False: the supervisor is gone.
  [[nodiscard]] bool reload(GroupOutcome& outcome) {
    if (!child_->mine()) return false;
    const std::scoped_lock lock(reloads_.mutex);
    return ask(reloads_, 0) && answer(reloads_, outcome, Deadline::never());
  }
  // Or it does not answer, since it is stopped.
  [[nodiscard]] bool report(GroupReport& report) {
    if (!child_->mine()) return false;
    const std::scoped_lock lock(reports_.mutex);
    if (!ask(reports_, ++last_report_)) return false;
    const Deadline deadline = Deadline::after(kPatience);
    do {
      if (!answer(reports_, report, deadline)) return false;
    } while (report.request != last_report_);
    return true;
  }
  [[nodiscard]] absl::Status started() {
    return answer(reloads_, outcome_, Deadline::never()) ? outcome_.status() : gone();
  }
  void stop() noexcept {
    if (child_->mine()) (void)child_->finish();
  }
  // Of a supervisor that has ended.
  [[nodiscard]] absl::Status gone() {
    if (!child_->mine())
      return absl::FailedPreconditionError("only the process that started the supervisor may use it");
    if (child_->join_until(Deadline::never()) == 0) return absl::FailedPreconditionError("the group was stopped");
    return absl::UnavailableError("the supervisor was killed, and its workers with it");
  }

 private:
  struct Channel {
    int socket;
    std::mutex mutex{};
  };
  // Never blocks: of one that is stopped, in the end not even requests are taken any more.
  static bool ask(const Channel& channel, std::uint64_t number) {
    return ::send(channel.socket, &number, sizeof number, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof number;
  }
  template <class Answer>
  static bool answer(const Channel& channel, Answer& answer_to, Deadline deadline) {
    for (;;) {
      const ssize_t got = ::recv(channel.socket, &answer_to, sizeof answer_to, MSG_DONTWAIT);
      if (got >= 0) return got == sizeof answer_to;
      if (errno == EINTR) continue;
      if (errno != EAGAIN || deadline.expired()) return false;
      pollfd entry{.fd = channel.socket, .events = POLLIN, .revents = 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining().ns());
      (void)::poll(&entry, 1, deadline.forever() ? -1 : static_cast<int>(left.count()));
    }
  }

  const std::shared_ptr<Child> child_;
  Channel reloads_, reports_;
  GroupOutcome outcome_;
  std::uint64_t last_report_ = 0;
};

}  // namespace detail

namespace {

constexpr std::chrono::seconds kFarewell{5};  // for the supervisor itself, once the grace is over

absl::Status no_group(const char* what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("a supervisor ", what, ": ", std::generic_category().message(errno)));
}

}  // namespace

absl::StatusOr<Supervisor> Supervisor::fork_group(const SupervisorOptions& options, bool takes_shutdown,
                                                  std::span<const Connection* const> passed,
                                                  const detail::WorkerTarget& target) {
  const std::uint32_t workers = options.workers != 0 ? options.workers : detail::usable_cpus();
  if (workers > detail::kMostGroupWorkers) {
    return absl::InvalidArgumentError(
        absl::StrCat(workers, " workers: a supervisor has at most ", detail::kMostGroupWorkers));
  }
  if (absl::Status status = detail::refuse_before_enter("Supervisor::start"); !status.ok()) return status;
  detail::warn_of_threads("Supervisor::start");
  detail::ChildList& children = detail::ChildList::instance();
  std::array<int, 5> theirs{-1, -1, -1, -1, -1};  // of the supervisor; and what is left of ours where it fails
  auto& [application, reloads, reports, our_reloads, our_reports] = theirs;
  const absl::Cleanup close_theirs = [&theirs] {
    for (const int fd : theirs) {
      if (fd >= 0) ::close(fd);
    }
  };
  application = detail::open_pidfd(::getpid());
  std::array<int, 2> pair{-1, -1};
  if (application < 0 || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return no_group("has no descriptors");
  our_reloads = pair[0], reloads = pair[1];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return no_group("has no descriptors");
  our_reports = pair[0], reports = pair[1];
  const std::string name = options.name.empty() ? "supervisor" : options.name;
  const detail::ForkedChild forked = detail::fork_watched([&] {
    ::close(our_reloads);
    ::close(our_reports);
    detail::run_worker_group({.name = name,
                              .worker_name = options.name.empty() ? "worker" : options.name,
                              .workers = workers,
                              .restart_backoff = options.restart_backoff.ns(),
                              .grace = options.grace.ns(),
                              .application_pidfd = application,
                              .reloads = reloads,
                              .reports = reports,
                              .takes_shutdown = takes_shutdown,
                              .target = &target,
                              .passed = passed});
  });
  if (forked.pid < 0) return no_group("cannot be forked");
  if (forked.pidfd < 0) return no_group("cannot be watched, and was killed");
  const Timeout grace = options.grace.ns() < kForever - kFarewell ? options.grace.ns() + kFarewell : kForever;
  auto child = std::make_shared<detail::Child>(forked.pid, forked.pidfd, name, /*daemon=*/true, grace);
  children.add(child);
  ::close(std::exchange(reloads, -1));  // so that its end is seen
  ::close(std::exchange(reports, -1));
  auto group = std::make_shared<detail::WorkerGroup>(std::move(child), std::exchange(our_reloads, -1),
                                                     std::exchange(our_reports, -1));
  if (absl::Status status = group->started(); !status.ok()) return status;
  return Supervisor(std::move(group));
}

Supervisor& Supervisor::operator=(Supervisor&& other) noexcept {
  group_ = std::move(other.group_);
  return *this;
}
Supervisor::~Supervisor() = default;

absl::Status Supervisor::reload() {
  detail::GroupOutcome outcome;
  return group().reload(outcome) ? outcome.status() : group().gone();
}

absl::Status Supervisor::run_until_signal() {
  detail::AwaitedSignals signals;
  if (!signals.installed())
    return absl::FailedPreconditionError("somebody else waits for the program's signals, or no descriptor is left");
  detail::Child& supervisor = group().child();
  for (;;) {
    std::array<pollfd, 2> fds{{{.fd = signals.fileno(), .events = POLLIN, .revents = 0},
                               {.fd = supervisor.pidfd(), .events = POLLIN, .revents = 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    while (const std::optional<int> signal = signals.next()) {
      if (*signal != SIGHUP) return stop(), absl::OkStatus();
      supervisor.signal(SIGHUP);  // which reloads, and tells where that fails
    }
    if (fds[1].revents != 0) {
      const absl::Status end = group().gone();
      return absl::IsFailedPrecondition(end) ? absl::OkStatus() : end;
    }
  }
}

void Supervisor::stop() noexcept { group().stop(); }
pid_t Supervisor::pid() const noexcept { return group().child().pid(); }
std::string_view Supervisor::name() const noexcept { return group().child().name(); }

std::vector<pid_t> Supervisor::workers() const {
  const auto report = std::make_unique<detail::GroupReport>();
  if (!group().report(*report)) return {};
  const std::size_t count = std::min<std::size_t>(report->count, report->pids.size());
  return {report->pids.begin(), report->pids.begin() + static_cast<std::ptrdiff_t>(count)};
}
std::uint64_t Supervisor::restarts() const {
  const auto report = std::make_unique<detail::GroupReport>();
  return group().report(*report) ? report->restarts : 0;
}

detail::WorkerGroup& Supervisor::group() const noexcept {
  WARREN_CHECK(group_ != nullptr, "this Supervisor was moved from: it may only be assigned to or destroyed");
  return *group_;
}

}  // namespace warren
