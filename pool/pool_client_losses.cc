// What the application learns of tasks that nobody ends any more, and of the supervisor's death.
#include <absl/strings/str_cat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/pool/detail/task_error.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <string>

#include "pidfd.h"
#include "pool_client_impl.h"
#include "worker.h"
#include "worker_pool.h"

namespace warren::detail {
namespace {

using PoolPhase = layout::PoolHeader::Phase;

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
}

}  // namespace

void PoolClient::Impl::look_after_supervisor() {
  if (!mine()) return;
  if (worker_ != nullptr) {  // the kernel kills a worker with its supervisor, but not one that has changed its user
    if (::getppid() != worker_->supervisor()) ::_exit(kWorkerDone);
    return;
  }
  if (supervisor_dead_) return lose_unfinished();
  if (reaped_ || !has_ended(supervisor_pidfd_)) return;
  if (supervisor_was_killed()) supervisor_died();
}

bool PoolClient::Impl::look_now_and_then() {
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  if (now < next_look_ns_.load(std::memory_order_relaxed)) return false;
  next_look_ns_.store(now + kLookAfterSupervisor.count(), std::memory_order_relaxed);
  look_after_supervisor();
  return true;
}

// It has ended. One that did so by itself left nothing unfinished.
bool PoolClient::Impl::supervisor_was_killed() const {
  siginfo_t info{};
  const int result = ::waitid(P_PIDFD, static_cast<id_t>(supervisor_pidfd_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (result != 0 || info.si_pid == 0) return table_.unfinished();  // the program has reaped it
  return info.si_code != CLD_EXITED || info.si_status != 0;
}

// Nobody would notice a worker's death any more. The kernel kills the workers with the supervisor (PR_SET_PDEATHSIG);
// they have to be gone before their tasks are given up, since they may still be writing.
void PoolClient::Impl::supervisor_died() {
  const std::scoped_lock lock(death_mutex_);
  if (supervisor_dead_) return;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (std::uint32_t i = 0; i < table_.worker_count(); ++i) {
    const auto lane = layout::WorkerLane::from(table_.worker(i).lane.load(std::memory_order_relaxed));
    while (attachment_->holds_lane(lane.index, lane.generation) && std::chrono::steady_clock::now() < give_up) {
      ::usleep(1000);
    }
  }
  supervisor_dead_ = true;  // before the phase: who reads BROKEN asks for the reason
  table_.header().phase.store(PoolPhase::kBroken, std::memory_order_seq_cst);  // [P15] no more submits; pairs with P12
  table_.lose_all(layout::Loss::kSupervisorGone);
  table_.wake_everybody();
}

// A submitter that looked at the phase before it changed was still writing its task: who waits for it comes here.
void PoolClient::Impl::lose_unfinished() {
  const std::scoped_lock lock(death_mutex_);
  table_.lose_all(layout::Loss::kSupervisorGone);
}

std::string PoolClient::Impl::diagnosis() {
  const layout::PoolHeader& header = table_.header();
  if (header.diagnosed.load(std::memory_order_acquire) != 1)
    return "its workers cannot be started";  // [P9] pairs with P1, P8
  std::array<char, sizeof header.diagnosis> text{};
  std::memcpy(text.data(), header.diagnosis, text.size() - 1);
  return text.data();
}

absl::Status PoolClient::Impl::refusal(bool of_map) {
  if (!mine()) {
    return refused(
        "the pool belongs to the process that made it, not to a child that it forked. Remedy, in a task of it: "
        "warren::current_pool()");
  }
  if (worker_ != nullptr && !worker_->in_task())
    return refused("the task that current_pool() was called in has ended: it submits no more");
  switch (
      table_.header().phase.load(std::memory_order_seq_cst)) {  // [P12] after the slot is ALLOC; pairs with P11, P15
    case PoolPhase::kOpen:
      if (closing_ && (!of_map || cancelling_)) break;
      return absl::OkStatus();
    case PoolPhase::kBroken:
      if (supervisor_dead_) return refused("the pool's supervisor was killed", absl::StatusCode::kUnavailable);
      return refused(absl::StrCat("the pool is broken: ", diagnosis()));
    case PoolPhase::kClosing:
      if (worker_ != nullptr) return absl::OkStatus();  // what an accepted task submits is accepted
      break;
    default: break;
  }
  return refused("the pool is closed");
}

absl::Status PoolClient::Impl::loss(std::uint32_t index, layout::TaskState state) {
  const layout::TaskSlot& slot = table_.slot(index);
  TaskError error;
  error.attempt = state.attempt;
  if (slot.worker != 0) {
    error.worker = static_cast<pid_t>(slot.worker);
    error.host = host_name();
  }
  switch (state.loss()) {
    case layout::Loss::kWorkerDied:
      error.kind = TaskError::Kind::kDied;
      error.signal = std::max(0, -slot.ending);
      error.exit_code = std::max(0, slot.ending);
      return make_task_status(absl::StatusCode::kAborted, error);
    case layout::Loss::kTerminated:
      error.kind = TaskError::Kind::kCancelled;
      error.what = "the pool was terminated";
      return make_task_status(absl::StatusCode::kCancelled, error);
    case layout::Loss::kCancelled:
      error.kind = TaskError::Kind::kCancelled;
      if (slot.worker != 0) {
        error.what = "cancelled, and its worker killed";
      } else if (state.attempt == 0) {
        error.what = "cancelled before it ran";
      } else {
        error.what = absl::StrCat("cancelled after attempt ", state.attempt, " of it had failed, before the next one");
      }
      return make_task_status(absl::StatusCode::kCancelled, error);
    case layout::Loss::kDeadline:
      error.kind = TaskError::Kind::kDeadline;
      error.what = "the attempt had had its time, and its worker was killed";
      return make_task_status(absl::StatusCode::kDeadlineExceeded, error);
    case layout::Loss::kSupervisorGone:
      error.kind = TaskError::Kind::kRefused;
      error.what = "the pool's supervisor was killed";
      return make_task_status(absl::StatusCode::kUnavailable, error);
    case layout::Loss::kBroken: return refused(absl::StrCat("the pool is broken: ", diagnosis()));
  }
  return absl::DataLossError("the task's record is corrupt");
}

}  // namespace warren::detail
