// The process behind a Supervisor: forks the workers, replaces the dead, reloads, drains. It has one thread.
#pragma once
#include <absl/status/status.h>
#include <sys/types.h>
#include <warren/pool/detail/worker_target.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>

namespace warren::detail {

inline constexpr std::uint32_t kMostGroupWorkers = 1024;

// What it is asked for and tells, each over a socket of its own, so that a reload, which takes its time, keeps nobody
// waiting. One answer for each request, which is a number; on `reloads` one more in the beginning.
struct GroupOutcome {
  std::int32_t code = 0;  // absl::StatusCode
  std::array<char, 252> text{};

  static GroupOutcome of(const absl::Status& status) noexcept;
  [[nodiscard]] absl::Status status() const;
};
struct GroupReport {
  std::uint64_t request = 0;  // that it answers: who gave up an earlier one finds that answer first
  std::uint64_t restarts = 0;
  std::uint32_t count = 0;
  std::array<pid_t, kMostGroupWorkers> pids{};
};

struct GroupStart {
  std::string name;         // of the supervisor
  std::string worker_name;  // with the number behind it
  std::uint32_t workers = 1;
  std::chrono::nanoseconds restart_backoff{};
  std::chrono::nanoseconds grace{};
  int application_pidfd = -1;
  int reloads = -1;
  int reports = -1;
  bool takes_shutdown = false;
  const WorkerTarget* target = nullptr;
  std::span<const Connection* const> passed = {};
};

[[noreturn]] void run_worker_group(const GroupStart& start) noexcept;

}  // namespace warren::detail
