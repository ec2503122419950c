#include "worker_places.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "pidfd.h"

namespace warren::detail {

bool WorkerPlaces::nobody() const noexcept {
  return leaving_.empty() && std::ranges::all_of(here_, [](const Process& each) { return each.pid == 0; });
}

void WorkerPlaces::put(std::uint32_t place, pid_t pid) { here_[place] = {.pid = pid, .pidfd = open_pidfd(pid)}; }

void WorkerPlaces::let_leave(std::uint32_t place) {
  leaving_.push_back(here_[place]);
  here_[place] = {};
}

// A child not yet reaped: the pid is its own.
void WorkerPlaces::kill(std::uint32_t place) const noexcept {
  if (here_[place].pid != 0) ::kill(here_[place].pid, SIGKILL);
}

void WorkerPlaces::kill_all() {
  const auto end = [](Process& process) {
    if (process.pid == 0) return;
    while (::waitpid(process.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (process.pidfd >= 0) ::close(process.pidfd);
    process = {};
  };
  for (auto* const list : {&here_, &leaving_}) {
    for (const Process& each : *list) {
      if (each.pid != 0) ::kill(each.pid, SIGKILL);
    }
  }
  std::ranges::for_each(here_, end);
  std::ranges::for_each(leaving_, end);
  leaving_.clear();
}

void WorkerPlaces::close_all() const noexcept {
  for (const auto* const list : {&here_, &leaving_}) {
    for (const Process& each : *list) {
      if (each.pidfd >= 0) ::close(each.pidfd);
    }
  }
}

void WorkerPlaces::add_to(std::vector<pollfd>& fds) const {
  for (const auto* const list : {&here_, &leaving_}) {
    for (const Process& each : *list) {
      if (each.pidfd >= 0) fds.push_back({.fd = each.pidfd, .events = POLLIN, .revents = 0});
    }
  }
}

std::optional<WorkerEnd> WorkerPlaces::reap(Process& process) {
  siginfo_t info{};
  if (process.pid == 0) return std::nullopt;
  if (::waitid(P_PID, static_cast<id_t>(process.pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
    return std::nullopt;
  if (process.pidfd >= 0) ::close(process.pidfd);
  const bool exited = info.si_code == CLD_EXITED;
  const WorkerEnd end{.pid = static_cast<std::uint32_t>(process.pid),
                      .signal = exited ? 0 : info.si_status,
                      .exit_code = exited ? info.si_status : 0};
  process = {};
  return end;
}

std::vector<WorkerPlaces::Ended> WorkerPlaces::take_ended(const pollfd* fds) {
  std::vector<Ended> ended;
  const auto look = [&](Process& process, std::optional<std::uint32_t> place) {
    if (process.pidfd >= 0 && fds != nullptr && (fds++)->revents == 0) return;
    if (const std::optional<WorkerEnd> end = reap(process)) ended.push_back({.place = place, .end = *end});
  };
  for (std::uint32_t i = 0; i < here_.size(); ++i) look(here_[i], i);
  for (Process& each : leaving_) look(each, std::nullopt);
  std::erase_if(leaving_, [](const Process& each) { return each.pid == 0; });
  return ended;
}

}  // namespace warren::detail
