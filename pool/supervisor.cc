#include "supervisor.h"

#include <absl/strings/str_cat.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <warren/ipc/detail/connections.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "child_process.h"
#include "current_process.h"
#include "deadline_watch.h"
#include "delayed_tasks.h"
#include "log.h"
#include "pidfd.h"
#include "staffing.h"
#include "worker.h"
#include "worker_places.h"
#include "worker_setup.h"

namespace warren::detail {
namespace {

using PoolPhase = layout::PoolHeader::Phase;
using Record = layout::WorkerRecord;
using Clock = std::chrono::steady_clock;

class Supervisor {
 public:
  Supervisor(TaskTable& table, const SupervisorStart& start)
      : table_(table),
        start_(start),
        self_(::getpid()),
        staffing_(table, start.options),
        deadlines_(table),
        delayed_(table) {
    workers_.grow(staffing_.most());
  }

  void run() {
    if (has_ended(start_.application_pidfd)) return;
    const std::array own{start_.application_pidfd, start_.control};
    if (const absl::Status status = keep_descriptors(start_.options, own); !status.ok())
      break_pool(absl::StrCat("its supervisor ", std::string(status.message())));
    for (std::uint32_t i = 0; i < workers_.size() && phase() != PoolPhase::kBroken; ++i) {
      if (!start_worker(i)) break_pool(cannot_fork());
    }
    while (!finished()) {
      const bool application_lives = wait_for_news();
      if (!application_lives) return kill_workers();
      table_.each_condemned([this](const TaskTable::Claim& attempt) { kill_worker_of(attempt.state); });
      delayed_.look();
      refill();
    }
  }

 private:
  // --- phases

  [[nodiscard]] PoolPhase phase() const {
    return table_.header().phase.load(
        std::memory_order_seq_cst);  // [P6] before the states are read; pairs with P3, P10, P11
  }
  void set_phase(PoolPhase next) {
    table_.header().phase.store(next, std::memory_order_seq_cst);  // [P3] tasks are settled; pairs with P4, P5, P6
    table_.wake_everybody();
  }

  // True when every process is gone and every task has ended.
  bool finished() {
    switch (phase()) {
      case PoolPhase::kOpen: return false;
      case PoolPhase::kClosing:
        if (table_.unfinished()) return false;
        set_phase(PoolPhase::kStopped);
        stopped_ = Clock::now();
        return workers_.nobody();
      case PoolPhase::kStopped:
        if (Clock::now() - stopped_ > kFarewell) kill_workers();  // a stopped one would never leave
        return workers_.nobody();
      case PoolPhase::kTerminating: return given_up(layout::Loss::kTerminated);
      case PoolPhase::kBroken: return given_up(layout::Loss::kBroken);
    }
    return true;
  }

  // A submitter that looked at the phase before it changed may still be writing its task: that one is lost later.
  bool given_up(layout::Loss loss) {
    kill_workers();
    table_.lose_all(loss);
    table_.wake_everybody();
    return !table_.unfinished();
  }

  // What a worker told stands, if it got to the end of it. No other one writes then: they are killed first.
  void break_pool(const std::string& why) {
    kill_workers();
    layout::PoolHeader& header = table_.header();
    if (header.diagnosed.load(std::memory_order_acquire) != 1) {  // [P7] pairs with P1
      std::memset(header.diagnosis, 0, sizeof header.diagnosis);
      std::memcpy(header.diagnosis, why.data(), std::min(why.size(), sizeof header.diagnosis - 1));
      header.diagnosed.store(1, std::memory_order_release);  // [P8] the text is whole; pairs with P9
    }
    PoolPhase current = phase();
    while (current == PoolPhase::kOpen || current == PoolPhase::kClosing) {
      if (header.phase.compare_exchange_weak(current, PoolPhase::kBroken, std::memory_order_seq_cst))
        break;  // [P10] pairs with P6
    }
    const std::string_view diagnosis(header.diagnosis, ::strnlen(header.diagnosis, sizeof header.diagnosis));
    logger().error("{} is broken: {}", name(), diagnosis);
  }
  [[nodiscard]] std::string name() const {
    return start_.options.name.empty() ? "the pool" : absl::StrCat("pool '", start_.options.name, "'");
  }

  // --- waiting

  // Sleeps until something happened, and sees to it. False: the application is dead.
  bool wait_for_news() {
    std::vector<pollfd> fds{{.fd = start_.application_pidfd, .events = POLLIN, .revents = 0},
                            {.fd = start_.control, .events = POLLIN, .revents = 0}};
    workers_.add_to(fds);
    if (::poll(fds.data(), fds.size(), static_cast<int>(time_to_sleep().count())) < 0) {
      if (errno != EINTR) std::this_thread::sleep_for(time_to_sleep());  // no memory for it
      settle_ended(nullptr);
      return !has_ended(start_.application_pidfd);
    }
    if ((fds[0].revents & POLLIN) != 0) return false;
    if ((fds[1].revents & POLLIN) != 0) {
      std::uint64_t rings = 0;
      (void)!::read(start_.control, &rings, sizeof rings);  // only to empty it: the phase and the table are the truth
    }
    settle_ended(fds.data() + 2);
    return true;
  }

  // A ring may be lost with the worker that would have rung: a slice bounds what that costs.
  std::chrono::milliseconds time_to_sleep() {
    using std::chrono::milliseconds;
    const milliseconds slice = staffing_.slice(phase() != PoolPhase::kOpen       ? milliseconds(10)
                                               : ready_since_ || unforked_since_ ? kOverdue
                                                                                 : milliseconds(1000));
    const std::uint64_t next =
        std::min(deadlines_.look([this](std::uint32_t i) { end_overdue(i); }), delayed_.next_ns());
    const std::uint64_t now = monotonic_ns();
    if (next <= now) return milliseconds(0);
    const std::chrono::nanoseconds left(std::min<std::uint64_t>(next - now, std::chrono::nanoseconds::max().count()));
    return std::min(slice, std::chrono::duration_cast<milliseconds>(std::min<std::chrono::nanoseconds>(left, slice)) +
                               milliseconds(1));
  }

  // --- workers

  // False: no process, see errno.
  bool start_worker(std::uint32_t index) {
    Record& record = table_.worker(index);
    record.state.store(Record::State::kStarting, std::memory_order_relaxed);
    record.lane.store(0, std::memory_order_relaxed);
    record.current.store(0, std::memory_order_relaxed);
    record.leave.store(0, std::memory_order_relaxed);
    record.idle_since_ns.store(0, std::memory_order_relaxed);
    record.deadline_ns.store(0, std::memory_order_relaxed);
    record.follows.store(0, std::memory_order_relaxed);
    record.started_ns.store(monotonic_ns(), std::memory_order_relaxed);
    const pid_t pid = ::fork();
    if (pid == 0) {
      workers_.close_all();
      run_worker(table_, {.index = index,
                          .control = start_.control,
                          .supervisor = self_,
                          .initializer = start_.initializer,
                          .options = start_.options});
    }
    if (pid < 0) {
      record.state.store(Record::State::kNone, std::memory_order_relaxed);
      return false;
    }
    record.pid.store(static_cast<std::uint32_t>(pid), std::memory_order_relaxed);
    workers_.put(index, pid);
    return true;
  }

  static std::string cannot_fork() {
    return absl::StrCat("no worker could be forked: ", std::generic_category().message(errno));
  }

  // New workers for the places of the dead and of those that leave, and as many as resize() says. Where there is no
  // process left for one, the others go on, and it is tried again after a slice.
  void refill() {
    if (phase() != PoolPhase::kOpen && phase() != PoolPhase::kClosing) return;
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
      if (workers_.pid(i) != 0 && leaving(i)) let_leave(i);
    }
    if (staffing_.look()) {
      workers_.grow(staffing_.most());
      table_.hint_all();
      wake_surplus();
    }
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
      if (workers_.pid(i) != 0 || !staffing_.wanted(i)) continue;
      if (!start_worker(i)) return workers_.nobody() ? break_pool(cannot_fork()) : void();
    }
    fill_lent_places();
  }

  // A task that waits for another one must not keep that from being run. The workers that take such places stay
  // beyond those of the pool, and leave by themselves.
  void fill_lent_places() {
    std::atomic<std::uint32_t>& vacant = table_.header().vacant;
    std::uint32_t left = staffing_.vacant();
    vacant.store(left, std::memory_order_seq_cst);  // [T34] before ready tasks are counted; pairs with T35
    const Clock::time_point now = Clock::now();
    if (left == 0 || table_.approx_ready() == 0) {
      ready_since_.reset();
      unforked_since_.reset();
    } else if (!ready_since_) {
      ready_since_ = now;
    }
    bool overdue = ready_since_ && now - *ready_since_ >= kOverdue;  // those that seem idle may have been stopped
    for (; left != 0 && (overdue || staffing_.short_of_workers()); --left) {
      if (!start_beyond()) return no_more_workers(now);
      unforked_since_.reset();
      ready_since_ = now;
      overdue = false;
    }
    vacant.store(left, std::memory_order_relaxed);
  }
  // Who waits may go on by itself: for something else than a task, or for one in a thread. So it is tried again after a
  // slice.
  void no_more_workers(Clock::time_point now) {
    if (table_.working(table_.worker_count()) != 0) return unforked_since_.reset();
    if (!unforked_since_) unforked_since_ = now;
    if (now - *unforked_since_ < kForkPatience) return;
    break_pool(absl::StrCat(
        "all workers wait for tasks that theirs have submitted, and ",
        workers_.size() == layout::kMaxWorkers ? absl::StrCat(layout::kMaxWorkers, " is the most") : cannot_fork()));
  }
  // False: there is no place, or no process.
  bool start_beyond() {
    std::uint32_t place = staffing_.most();
    while (place < workers_.size() && workers_.pid(place) != 0) ++place;
    if (place == layout::kMaxWorkers) return false;
    workers_.grow(place + 1);
    std::atomic<std::uint32_t>& used = table_.header().worker_count;
    if (used.load(std::memory_order_relaxed) <= place) used.store(place + 1, std::memory_order_relaxed);
    return start_worker(place);
  }
  // One that went may have left its place to them.
  void wake_surplus() { notify(table_.lent(), table_.attachment().wait_mode(), kWakeAll); }
  [[nodiscard]] bool leaving(std::uint32_t index) const {
    return table_.worker(index).state.load(std::memory_order_acquire) ==
           Record::State::kLeaving;  // [P17] pairs with P16
  }
  // It has no task: the next one need not wait for its end.
  void let_leave(std::uint32_t index) {
    workers_.let_leave(index);
    free_place(index);
  }
  void free_place(std::uint32_t index) {
    Record& record = table_.worker(index);
    record.state.store(Record::State::kGone, std::memory_order_relaxed);
    record.restarts.fetch_add(1, std::memory_order_relaxed);
    early_deaths_ = early_kills_ = 0;
    wake_surplus();
  }

  // A sweep asks after each lane's owner: not where the worker gave back its own.
  void settle_ended(const pollfd* fds) {
    bool lanes_left = false;
    for (const WorkerPlaces::Ended& each : workers_.take_ended(fds)) {
      if (each.place && !leaving(*each.place)) {
        settle(*each.place, each.end);
        continue;
      }
      const bool died = each.end.signal != 0 || each.end.exit_code != kWorkerDone;
      lanes_left |= died || !each.place || !gave_lane_back(*each.place);
      if (each.place) free_place(*each.place);
      if (died) count_death(each.end);
    }
    if (lanes_left) (void)table_.attachment().sweep();
  }
  [[nodiscard]] bool gave_lane_back(std::uint32_t index) const {
    const auto lane = layout::WorkerLane::from(table_.worker(index).lane.load(std::memory_order_relaxed));
    return table_.attachment().lane_given_back(lane.index, lane.generation);
  }
  void count_death(const WorkerEnd& end) {
    table_.header().worker_deaths.fetch_add(1, std::memory_order_relaxed);
    logger().info("worker {} of {} died: {} {}", end.pid, name(), end.signal != 0 ? "signal" : "exit code",
                  end.signal != 0 ? end.signal : end.exit_code);
  }

  void settle(std::uint32_t index, const WorkerEnd& end) {
    Record& record = table_.worker(index);
    const bool was_ready = record.state.load(std::memory_order_relaxed) != Record::State::kStarting;
    const std::uint32_t lane = record.lane.load(std::memory_order_relaxed);
    record.state.store(Record::State::kGone, std::memory_order_relaxed);
    record.last_signal.store(end.signal, std::memory_order_relaxed);
    record.last_exit_code.store(end.exit_code, std::memory_order_relaxed);
    count_death(end);
    if (record.follows.exchange(0, std::memory_order_relaxed) != 0)
      table_.header().followed.fetch_sub(1, std::memory_order_relaxed);
    delayed_.forget();
    if (lane != 0) settle_lane(layout::WorkerLane::from(lane), end);
    (void)table_.attachment().sweep();
    wake_surplus();
    if (phase() != PoolPhase::kOpen && phase() != PoolPhase::kClosing) return;

    if (was_ready) early_deaths_ = early_kills_ = 0;
    if (!was_ready) ++(end.signal == SIGKILL ? early_kills_ : early_deaths_);
    if (end.exit_code == kInitializerFailed && end.signal == 0 && !was_ready)
      return break_pool("a worker's initializer failed");
    if (early_deaths_ >= kMostEarlyDeaths || early_kills_ >= kMostEarlyKills) return break_pool(died_early(end));
    record.restarts.fetch_add(1, std::memory_order_relaxed);
  }

  void settle_lane(layout::WorkerLane lane, const WorkerEnd& end) {
    std::uint64_t spinner = lane.index + 1;
    (void)table_.header().idle_spinner.compare_exchange_strong(spinner, 0, std::memory_order_relaxed);
    table_.settle_dead_worker(lane, end);
  }

  [[nodiscard]] std::string died_early(const WorkerEnd& end) const {
    return absl::StrCat(
        early_deaths_ + early_kills_, " workers in a row died before they were ready, the last ",
        end.signal != 0 ? absl::StrCat("of signal ", end.signal) : absl::StrCat("with exit code ", end.exit_code));
  }

  // Its worker is stuck, or about to be: it lost the right to go on. When it is dead the task is tried again or lost.
  void end_overdue(std::uint32_t index) {
    const Record& record = table_.worker(index);
    const std::uint64_t slot = record.current.load(std::memory_order_relaxed) - 1;
    if (slot < table_.committed()) {
      const layout::TaskState state = table_.state(static_cast<std::uint32_t>(slot));
      if (TaskTable::is_of(record, state))
        (void)table_.condemn({.slot = static_cast<std::uint32_t>(slot), .state = state});
    }
    workers_.kill(index);
  }

  // A condemned attempt keeps its worker: it is that one which dies, and no other.
  void kill_worker_of(const layout::TaskState& condemned) {
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
      if (TaskTable::is_of(table_.worker(i), condemned)) workers_.kill(i);
    }
  }

  void kill_workers() {
    workers_.kill_all();
    for (std::uint32_t i = 0; i < workers_.size(); ++i)
      table_.worker(i).state.store(Record::State::kGone, std::memory_order_relaxed);
  }

  static constexpr std::chrono::seconds kFarewell{2};        // for what workers have to do before they leave
  static constexpr std::chrono::milliseconds kOverdue{250};  // a ready task that an idle worker should have taken
  static constexpr std::chrono::seconds kForkPatience{30};   // until a pool that could not fork is broken
  static constexpr int kMostEarlyDeaths = 5;                 // in a row: there is no use in going on
  static constexpr int kMostEarlyKills = 1000;  // somebody who kills at random hits new workers too; memory may be full

  TaskTable& table_;
  const SupervisorStart& start_;
  pid_t self_;
  WorkerPlaces workers_;
  Staffing staffing_;
  DeadlineWatch deadlines_;
  DelayedTasks delayed_;
  Clock::time_point stopped_;
  std::optional<Clock::time_point> ready_since_;     // tasks are ready, and a place is lent
  std::optional<Clock::time_point> unforked_since_;  // all wait, and no other one could be forked
  int early_deaths_ = 0;
  int early_kills_ = 0;
};

}  // namespace

void run_supervisor(TaskTable& table, const SupervisorStart& start) noexcept {
  keep_connections({});  // before its workers inherit them: peers of the application wait for the end of their streams
  reset_signals(Interrupts::kIgnored);
  ::signal(SIGHUP, SIG_IGN);  // NOLINT(bugprone-signal-handler)
  ::signal(SIGTERM, SIG_IGN);
  sigset_t broken_pipe;  // stderr may be one
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);  // until reset_signals() in a worker
  name_process("warren-pool");
  set_current_process({.name = "warren-pool"});
  table.header().supervisor_pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);
  Supervisor(table, start).run();
  table.attachment().leave();
  Attachment::leave_all_names();  // which it inherited: it may be the last to hold them
  ::_exit(0);
}

}  // namespace warren::detail
