#include "worker.h"

#include <absl/strings/str_cat.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/keep_until_idle.h>
#include <warren/pool/detail/task_error.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "child_process.h"
#include "current_process.h"
#include "current_task.h"
#include "monotonic.h"
#include "slot_sink.h"
#include "worker_setup.h"

namespace warren::detail {
namespace {

using Record = layout::WorkerRecord;

class Worker {
 public:
  Worker(TaskTable& table, const WorkerStart& start)
      : table_(table),
        start_(start),
        record_(table.worker(start.index)),
        seat_(table.attachment().seat()),
        clock_(table.header(), record_, start) {}

  int run() {
    if (const absl::Status status = initialise(); !status.ok()) {
      diagnose(status);
      return kInitializerFailed;
    }
    record_.state.store(Record::State::kIdle, std::memory_order_relaxed);
    for (std::uint64_t served = 1;; ++served) {
      const std::optional<TaskTable::Claim> claim = next();
      if (!claim) break;
      if (!execute(*claim)) {
        flush_streams();
        return kWorkerDone;  // condemned: the supervisor takes it for dead
      }
      if (served == start_.options.max_tasks_per_worker || too_large()) break;
    }
    leave();
    return kWorkerDone;
  }

 private:
  absl::Status initialise() {
    record_.lane.store(layout::WorkerLane{.index = seat_.lane_index, .generation = seat_.generation}.word(),
                       std::memory_order_relaxed);
    if (seat_.lane == nullptr) {
      return absl::ResourceExhaustedError(
          "a worker's initializer failed: no lane for the worker: no memory, or no descriptor to read /proc by");
    }
    if (absl::Status status = set_up_worker(start_.options, start_.index); !status.ok())
      return absl::FailedPreconditionError(absl::StrCat("a worker ", std::string(status.message())));
    if (absl::Status status = run_initializer(); !status.ok())
      return absl::FailedPreconditionError("a worker's initializer failed: " + std::string(status.message()));
    if (too_large()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "a worker has ", resident_bytes(), " bytes of memory before its first task, and max_worker_rss is ",
          start_.options.max_worker_rss));
    }
    return absl::OkStatus();
  }

  absl::Status run_initializer() {
    if (!start_.initializer) return absl::OkStatus();
    const std::uint64_t epoch = process_epoch();
    try {
      start_.initializer();
      if (process_epoch() != epoch) ::_exit(kWorkerDone);  // it forked, and this child came out of it too
      return absl::OkStatus();
    } catch (...) {
      return status_of_current_exception(0);
    }
  }

  // The peak is had from the kernel without a file.
  [[nodiscard]] bool too_large() const noexcept {
    const std::uint64_t most = start_.options.max_worker_rss;
    return most != 0 && peak_resident_bytes() > most && resident_bytes() > most;
  }
  [[nodiscard]] bool asked_to_leave() const noexcept { return record_.leave.load(std::memory_order_relaxed) != 0; }

  // It has no task, and takes none any more: the supervisor need not wait for its end to fork the next one.
  void leave() {
    record_.state.store(Record::State::kLeaving, std::memory_order_release);  // [P16] its counts; pairs with P17
    WARREN_CRASH_POINT(worker_leaving);                                       // its lane is swept
    if (!stopped()) ring(start_.control);
    flush_streams();
  }

  void diagnose(const absl::Status& status) {
    layout::PoolHeader& header = table_.header();
    std::uint32_t nobody = 0;
    if (!header.diagnosed.compare_exchange_strong(nobody, 2, std::memory_order_acquire))
      return;  // [P2] one writes; pairs with P1
    const std::string text(status.message());
    std::memcpy(header.diagnosis, text.data(), std::min(text.size(), sizeof header.diagnosis - 1));
    header.diagnosed.store(1, std::memory_order_release);  // [P1] the text is whole; pairs with P7, P9
  }

  [[nodiscard]] bool stopped() const {
    return table_.header().phase.load(std::memory_order_acquire) ==
           layout::PoolHeader::Phase::kStopped;  // [P4] pairs with P3
  }
  [[nodiscard]] bool closing() const {
    return table_.header().phase.load(std::memory_order_acquire) ==
           layout::PoolHeader::Phase::kClosing;  // [P5] pairs with P3
  }

  // nullopt: the pool has stopped, or this worker is asked to leave. One idle worker of the pool spins, the others
  // sleep at once.
  std::optional<TaskTable::Claim> next() {
    std::optional<TaskTable::Claim> claim;
    const auto test = [&] {
      Front front = Front::kEmpty;
      if (asked_to_leave()) return Progress::kDone;
      claim = table_.claim_next(seat_, front, start_.index);
      if (claim || stopped()) return Progress::kDone;
      if (front != Front::kStalled) return Progress::kBlocked;
      look_behind_stall();
      return Progress::kStalled;
    };
    if (test() == Progress::kDone) return claim;
    record_.state.store(Record::State::kIdle, std::memory_order_relaxed);
    if (spin(test)) return claim;
    show_output();
    let_go_of_kept();
    if (!start_.options.idle_timeout.forever()) record_.idle_since_ns.store(monotonic_ns(), std::memory_order_relaxed);
    Attachment& attachment = table_.attachment();
    if (closing()) ring(start_.control);
    bool told = closing();
    (void)sleep_until_done(
        table_.ready(), attachment.wait_mode(), Deadline::never(),
        [&] {
          const Progress progress = test();
          if (progress != Progress::kDone && closing() && !told) {
            told = true;
            ring(start_.control);
          }
          return progress;
        },
        [] { return std::chrono::nanoseconds(std::chrono::seconds(2)); }, [&] { look_around(); });
    return claim;
  }

  // Who stands in the way of the hints may have been stopped, and then stands there for long. The tasks behind are in
  // the table all the same.
  void look_behind_stall() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_stall_ > 2 * kLongStall) stalled_since_ = now;
    last_stall_ = now;
    if (now - stalled_since_ < kLongStall) return;
    stalled_since_ = now;
    table_.ask_for_scan();
  }

  template <class Test>
  bool spin(Test& test) {
    std::atomic<std::uint64_t>& spinner = table_.header().idle_spinner;
    std::uint64_t nobody = 0;
    if (!spinner.compare_exchange_strong(nobody, seat_.lane_index + 1, std::memory_order_relaxed)) return false;
    const bool done = spin_until_done(seat_.pop_spinner, test);
    spinner.store(0, std::memory_order_relaxed);
    return done;
  }

  // False: the task was taken from this worker, which is condemned and has to leave.
  bool execute(const TaskTable::Claim& claim) {
    record_.current.store(std::uint64_t{claim.slot} + 1, std::memory_order_relaxed);
    record_.state.store(Record::State::kBusy, std::memory_order_relaxed);
    record_.idle_since_ns.store(0, std::memory_order_relaxed);
    if (table_.header().retired.load(std::memory_order_relaxed) != 0 && table_.approx_ready() != 0) [[unlikely]]
      ring(start_.control);  // there is work for one of those that left
    const CurrentTaskScope scope(TaskId{std::uint64_t{claim.state.generation} << 32 | claim.slot}, claim.state.attempt,
                                 table_.slot(claim.slot), record_);
    SlotSink sink(table_, claim, clock_);
    invoke(claim, sink);
    sink.finish();
    WARREN_CRASH_POINT(result_written);  // as while it ran: tried again or lost
    const layout::TaskSlot& slot = table_.slot(claim.slot);
    const bool may_try_again = sink.failed() && slot.retry_on == static_cast<std::uint32_t>(RetryOn::kAnyFailure) &&
                               claim.state.attempt <= slot.retries;
    const bool later = may_try_again && table_.has_extras(claim.slot) && table_.extras(claim.slot).backoff_ns != 0;
    if (may_try_again && table_.try_again(claim)) {
      if (later) ring(start_.control);
    } else if (!table_.end(claim, sink.failed() ? TaskTable::Phase::kFailed : TaskTable::Phase::kDone)) {
      return false;
    }
    record_.current.store(0, std::memory_order_relaxed);
    record_.tasks_done.store(record_.tasks_done.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return true;
  }

  void invoke(const TaskTable::Claim& claim, SlotSink& sink) {
    const layout::TaskSlot& slot = table_.slot(claim.slot);
    const FunctionId id{.module = slot.function_module, .offset = slot.function_offset};
    const Invoker invoker = find(id);
    if (invoker == nullptr) {
      TaskError error;
      error.kind = TaskError::Kind::kUndecodable;
      error.what =
          "the worker does not know the task's function: it came from a library loaded after the pool was made, or, "
          "where that was spawned, by dlopen()";
      return sink.fail(make_task_status(absl::StatusCode::kDataLoss, error));
    }
    Reader reader(table_.arguments(claim.slot));
    try {
      invoker(reader, sink);
    } catch (...) {
      sink.fail(status_of_current_exception(sink.attempt()));
    }
  }

  // The kernel kills a worker whose supervisor dies, but not one that has changed its user.
  // A task whose hint somebody took, or has not pushed, who is stopped: it is in the table.
  void look_around() const noexcept {
    if (::getppid() != start_.supervisor) ::_exit(kWorkerDone);
    (void)table_.attachment().sweep();
    table_.ask_for_scan();
  }

  // Before sleeping, so that a task's output is seen and a kill does not lose it; nothing while there is work.
  static void show_output() noexcept {
    std::cout.flush();
    if (::__fpending(stdout) != 0) std::fflush(stdout);
  }

  static constexpr std::chrono::milliseconds kLongStall{20};

  TaskTable& table_;
  const WorkerStart& start_;
  Record& record_;
  Seat& seat_;
  AttemptClock clock_;
  std::chrono::steady_clock::time_point stalled_since_, last_stall_;
};

}  // namespace

void ring(int control) noexcept {
  const std::uint64_t one = 1;
  while (::write(control, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void run_worker(TaskTable& table, const WorkerStart& start) noexcept {
  reset_signals(Interrupts::kIgnored);
  for (const int ends : {SIGTERM, SIGHUP}) ::signal(ends, SIG_DFL);  // its supervisor ignores them
  const std::string name = "warren-worker-" + std::to_string(start.index);
  name_process(name);
  set_current_process({.name = name});
  // Follows the parent thread: the supervisor has one. It may be gone already.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != start.supervisor) ::_exit(kWorkerDone);
  const int code = Worker(table, start).run();
  // It ends well: nobody is to take it for killed, as a barrier would that it came to in a task.
  Attachment::leave_all_lanes_if_alone();
  ::_exit(code);
}

}  // namespace warren::detail
