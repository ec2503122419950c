#include <warren/pool/process.h>

#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>
#include <warren/ipc/detail/check.h>
#include <warren/ipc/detail/connections.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

#include "child.h"
#include "child_process.h"
#include "current_process.h"
#include "pidfd.h"
#include "run_target.h"
#include "spawn_process.h"
#include "spawn_self.h"
#include "usable_cpus.h"

namespace warren {
namespace {

absl::Status no_process(const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat("a process ", what, ": ", std::generic_category().message(errno)));
}

std::string name_of(const ProcessOptions& options) {
  static std::atomic<std::uint32_t> started{0};
  const std::uint32_t number = started.fetch_add(1, std::memory_order_relaxed) + 1;
  return options.name.empty() ? absl::StrCat("Process-", number) : options.name;
}

absl::StatusOr<detail::ForkedChild> fork_target(const ProcessInfo& info, std::span<const Connection* const> passed,
                                                const detail::Target& target) {
  detail::warn_of_threads("Process::start");
  const int self_pidfd = info.daemon ? detail::open_pidfd(::getpid()) : -1;
  if (info.daemon && self_pidfd < 0) return no_process("cannot watch its parent");
  const absl::Cleanup close_self = [self_pidfd] {
    if (self_pidfd >= 0) ::close(self_pidfd);
  };
  const detail::ForkedChild forked = detail::fork_watched([&] {
    detail::keep_connections(passed);
    detail::run_as(info, self_pidfd, target);
  });
  if (forked.pid < 0) return no_process("cannot be forked");
  if (forked.pidfd < 0) return no_process("cannot be watched, and was killed");
  return forked;
}

}  // namespace

absl::StatusOr<Process> Process::begin(const ProcessOptions& options, std::span<const Connection* const> passed,
                                       const detail::Target& target, const detail::StartBytes& bytes) {
  if (absl::Status status = detail::refuse_before_enter("Process::start"); !status.ok()) return status;
  detail::ChildList& children = detail::ChildList::instance();
  ProcessInfo info{.pid = 0, .name = name_of(options), .daemon = options.daemon};
  const absl::StatusOr<detail::ForkedChild> started = options.start_method == StartMethod::kSpawn
                                                          ? detail::spawn_target(info, bytes)
                                                          : fork_target(info, passed, target);
  if (!started.ok()) return started.status();
  auto child = std::make_shared<detail::Child>(started->pid, started->pidfd, std::move(info.name), info.daemon);
  children.add(child);
  return Process(std::move(child));
}

int Sentinel::fileno() const noexcept { return child_->pidfd(); }

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    end();
    child_ = std::move(other.child_);
  }
  return *this;
}

Process::~Process() { end(); }

void Process::end() noexcept {
  if (child_ != nullptr && child_->mine()) (void)child_->finish();
}

int Process::join() { return *child().join_until(Deadline::never()); }
std::optional<int> Process::join_for(Timeout d) { return join_until(Deadline::after(d)); }
std::optional<int> Process::join_until(Deadline t) { return child().join_until(t); }
std::optional<int> Process::exit_code() const { return child().exit_code(); }
bool Process::is_alive() const { return !exit_code().has_value(); }
void Process::send_signal(int signal) noexcept { child().signal(signal); }
void Process::detach() noexcept { child_.reset(); }  // the list of children keeps it
pid_t Process::pid() const noexcept { return child().pid(); }
std::string_view Process::name() const noexcept { return child().name(); }
bool Process::daemon() const noexcept { return child().daemon(); }
Sentinel Process::sentinel() const { return Sentinel(child_); }

detail::Child& Process::child() const noexcept {
  WARREN_CHECK(child_ != nullptr, "this Process was moved from, or detached");
  return *child_;
}

std::vector<ProcessInfo> active_children() {
  std::vector<ProcessInfo> active;
  for (const auto& child : detail::ChildList::instance().all()) {
    if (child->exit_code()) continue;
    active.push_back({.pid = child->pid(), .name = child->name(), .daemon = child->daemon()});
  }
  return active;
}

std::uint32_t cpu_count() noexcept { return detail::usable_cpus(); }

}  // namespace warren
