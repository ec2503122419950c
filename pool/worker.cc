#include "worker.h"

#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/keep_until_idle.h>
#include <warren/pool/detail/result_sink.h>
#include <warren/pool/detail/task_error.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "child_process.h"
#include "current_process.h"
#include "current_task.h"

namespace warren::detail {
namespace {

using Record = layout::WorkerRecord;

// Writes into the slot's own bytes, then into blocks.
class SlotSink final : public ResultSink {
 public:
  SlotSink(TaskTable& table, const TaskTable::Claim& claim)
      : table_(table), claim_(claim), slot_(table.slot(claim.slot)), attempt_(claim.state.attempt) {
    go_on_behind(0);
  }

  Writer& writer() noexcept override {
    leave_if_forked();
    return *writer_;
  }
  void commit() noexcept override {
    leave_if_forked();
    if (!writer_->ok()) return;
    committed_ = writer_->size();
    slot_.result_bytes.store(committed_, std::memory_order_release);  // [T16] after the bytes; pairs with T17
    WARREN_CRASH_POINT(chunk_committed);  // what was committed is delivered, the rest is run again or lost
  }
  void fail(const absl::Status& status) override {
    leave_if_forked();
    failed_ = true;
    go_on_behind(committed_);
    writer_->put(ItemTag::kTaskFailed);
    put_status(*writer_, status);
    commit();
  }
  [[nodiscard]] std::uint32_t attempt() const noexcept override { return attempt_; }
  void set_attempt(std::uint32_t attempt) noexcept override {
    leave_if_forked();
    attempt_ = attempt;
    CurrentTaskScope::set_attempt(attempt);
  }

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // After the invoker: what it wrote is the result.
  void finish() {
    leave_if_forked();
    if (failed_) return;
    if (writer_->ok()) return commit();
    fail(absl::Status(writer_->status()));  // a copy: a new writer takes the place of this one
  }

 private:
  // A task may fork, and its child come out of the function too. It is no second worker.
  void leave_if_forked() const noexcept {
    if (process_epoch() != epoch_) [[unlikely]]
      ::_exit(kWorkerDone);
  }
  static std::span<std::byte> grow(void* context, std::size_t used, std::size_t needed) {
    auto& sink = *static_cast<SlotSink*>(context);
    const std::span<std::byte> larger = sink.table_.grow_result(sink.claim_, used, needed);
    if (!larger.empty()) sink.memory_ = larger;
    return larger;
  }
  void go_on_behind(std::size_t used) { writer_.emplace(memory_, &grow, this, used); }

  TaskTable& table_;
  const TaskTable::Claim& claim_;
  layout::TaskSlot& slot_;
  const std::uint64_t epoch_ = process_epoch();
  std::uint32_t attempt_;
  std::span<std::byte> memory_{slot_.result};
  std::size_t committed_ = 0;
  std::optional<Writer> writer_;
  bool failed_ = false;
};

class Worker {
 public:
  Worker(TaskTable& table, const WorkerStart& start)
      : table_(table), start_(start), record_(table.worker(start.index)), seat_(table.attachment().seat()) {}

  int run() {
    if (const absl::Status status = initialise(); !status.ok()) {
      diagnose(status);
      return kInitializerFailed;
    }
    record_.state.store(Record::State::kIdle, std::memory_order_relaxed);
    for (;;) {
      const std::optional<TaskTable::Claim> claim = next();
      if (!claim || !execute(*claim)) break;
    }
    flush_streams();
    return kWorkerDone;
  }

 private:
  absl::Status initialise() {
    record_.lane.store(layout::WorkerLane{.index = seat_.lane_index, .generation = seat_.generation}.word(),
                       std::memory_order_relaxed);
    if (seat_.lane == nullptr)
      return absl::ResourceExhaustedError("no lane for the worker: no memory, or no descriptor to read /proc by");
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

  void diagnose(const absl::Status& status) {
    layout::PoolHeader& header = table_.header();
    std::uint32_t nobody = 0;
    if (!header.diagnosed.compare_exchange_strong(nobody, 2, std::memory_order_acquire))
      return;  // [P2] one writes; pairs with P1
    const std::string text = "a worker's initializer failed: " + std::string(status.message());
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

  // nullopt: the pool has stopped. One idle worker of the pool spins, the others sleep at once.
  std::optional<TaskTable::Claim> next() {
    std::optional<TaskTable::Claim> claim;
    const auto test = [&] {
      Front front = Front::kEmpty;
      claim = table_.claim_next(seat_, front);
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
    SlotSink sink(table_, claim);
    {
      const CurrentTaskScope scope(TaskId{std::uint64_t{claim.state.generation} << 32 | claim.slot},
                                   claim.state.attempt, table_.slot(claim.slot), record_);
      invoke(claim, sink);
    }
    sink.finish();
    WARREN_CRASH_POINT(result_written);  // as while it ran: tried again or lost
    const layout::TaskSlot& slot = table_.slot(claim.slot);
    const bool may_try_again = sink.failed() && slot.retry_on == static_cast<std::uint32_t>(RetryOn::kAnyFailure) &&
                               claim.state.attempt <= slot.retries;
    if (!(may_try_again && table_.try_again(claim)) &&
        !table_.end(claim, sink.failed() ? TaskTable::Phase::kFailed : TaskTable::Phase::kDone)) {
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
          "the worker does not know the task's function: it came from a library loaded after the pool was made";
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
  void look_around() const noexcept {
    if (::getppid() != start_.supervisor) ::_exit(kWorkerDone);
    (void)table_.attachment().sweep();
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
