// A worker of a real pool is killed after every single instruction of a task: from the hint it takes, through the function,
// to the result. And the application after every instruction of a submit. The library as it is released.
#include <gtest/gtest.h>
#include <warren/ipc/detail/wait.h>

#include <string>

#include "crash/sweep_test.h"
#include "support/pool_memory.h"
#include "support/pool_world.h"
#include "support/stepper.h"

namespace warren::test {
namespace {

using Phase = layout::TaskState::Phase;

struct TaskCase {
  const char* text;
  int retries;
  // Begins a task; what it gives is asked for later, and described in words.
  std::function<std::function<std::string()>(Pool& pool, int retries)> begin;
  std::string right;  // what it gives if nobody dies

  [[nodiscard]] std::string name() const { return text; }
  friend void PrintTo(const TaskCase& c, std::ostream* out) { *out << c.name(); }
};

const std::string kLong(3000, 'x');

template <class R>
std::string in_words(const Result<R>& result) {
  if (!result.ok()) return std::string(absl::StatusCodeToString(result.status().code()));
  if constexpr (std::same_as<R, int>) {
    return std::to_string(*result);
  } else {
    return *result == kLong + "y" ? "long" : "wrong";
  }
}

template <class R>
std::function<std::string()> later(Future<R> future) {
  return [future = std::make_shared<Future<R>>(std::move(future))] { return in_words(future->get_for(kPromptly)); };
}

std::function<std::string()> add(Pool& pool, int retries) {
  return later(pool.submit({.retries = static_cast<std::uint32_t>(retries)},
                           [](int a, int b) { return ++marks->count, a + b; }, 40, 2));
}
// Arguments and result lie in blocks.
std::function<std::string()> append(Pool& pool, int retries) {
  return later(pool.submit({.retries = static_cast<std::uint32_t>(retries)},
                           [](const std::string& s) { return ++marks->count, s + "y"; }, kLong));
}
// Three items in one task: a death costs one of them.
std::function<std::string()> chunk(Pool& pool, int retries) {
  auto stream = std::make_shared<Stream<int>>(
      pool.imap({.chunksize = 3, .retries = static_cast<std::uint32_t>(retries)},
                [](int x) { return ++marks->count, x * x; }, std::vector<int>{3, 4, 5}));
  (void)stream->begin();
  return [stream] {
    std::string words;
    for (const Result<int>& item : *stream) words += in_words(item) + " ";
    return words;
  };
}

// The workers' deaths, and the next worker. One pool for all of them, so that what one leaves behind adds up.
class WorkerSweep {
 public:
  explicit WorkerSweep(const TaskCase& c) : case_(c), coverage_{.name = c.name()} { supervisor_ = supervisor_of(pool_); }

  Coverage run(std::size_t stride) {
    const std::uint64_t blocks_before = memory_.blocks();
    const Path path = first_run();
    for (std::size_t k = 0; k < path.size(); k += stride) kill_after(path, k);
    kill_after(path, path.size());
    Verdict end;
    const auto clean = [&] { return memory_.tasks() == 0 && memory_.blocks() <= blocks_before; };
    if (!eventually(clean, kPromptly)) {
      end.faults.push_back({.kind = Fault::Kind::kLeft,
                            .text = std::to_string(memory_.tasks()) + " slots, " + std::to_string(memory_.blocks()) + " blocks"});
    }
    coverage_.note(end, "at the end");
    return coverage_;
  }

 private:
  // The pool's one worker, once it has nothing to do.
  pid_t idle_worker() {
    pid_t found = 0;
    const auto sleeps = [&] {
      const std::vector<pid_t> workers = children_of(supervisor_);
      if (workers.size() != 1 || memory_.header().phase != layout::PoolHeader::Phase::kOpen) return false;
      found = workers[0];
      const auto state = memory_.worker(0).state.load();
      return memory_.worker(0).pid == static_cast<std::uint32_t>(found) && state == layout::WorkerRecord::State::kIdle &&
             process_state(found) == 'S' && current_system_call(found) == 202;
    };
    if (!eventually(sleeps, kPromptly)) throw std::runtime_error("the worker does not come to rest");
    return found;
  }

  Path first_run() {
    Stepped worker(idle_worker());
    const auto outcome = case_.begin(pool_, case_.retries);
    Path path;
    (void)worker.resume_call();
    while (worker.state() == Stepped::State::kReady) {
      path.append(worker.address());
      (void)worker.step();
    }
    Verdict verdict;
    if (!worker.release()) verdict.faults.push_back({.kind = Fault::Kind::kOther, .text = "the worker was lost"});
    const std::string words = outcome();
    if (words != case_.right) verdict.faults.push_back({.kind = Fault::Kind::kOther, .text = "it gives " + words});
    coverage_.instructions = path.size();
    coverage_.distinct = path.distinct();
    coverage_.note(verdict, "not killed");
    return path;
  }

  void kill_after(const Path& path, std::size_t count) {
    marks->count = 0;
    Stepped worker(idle_worker());
    const auto outcome = case_.begin(pool_, case_.retries);
    const std::uint64_t hints = memory_.hints().head;
    if (worker.resume_call() == Stepped::State::kReady) (void)worker.advance(path, count, [] {});
    worker.kill_zombie();
    const std::string window = where(hints);
    ++coverage_.kills;
    ++coverage_.windows[window];
    const auto begin = std::chrono::steady_clock::now();
    worker.kill();
    const std::string words = outcome();
    coverage_.recovery.push_back(std::chrono::steady_clock::now() - begin);
    Verdict verdict;
    const bool begun = window == "running" || window == "result_written";
    const int attempts = 1 + case_.retries;
    if (begun && case_.retries == 0) {
      if (words != one_lost(window)) verdict.faults.push_back({.kind = Fault::Kind::kOther, .text = "it gives " + words});
    } else if (words != case_.right) {
      verdict.faults.push_back({.kind = Fault::Kind::kLost, .text = "it gives " + words});
    }
    if (static_cast<int>(marks->count) > attempts * items() || (!begun && static_cast<int>(marks->count) != items())) {
      verdict.faults.push_back({.kind = Fault::Kind::kDoubled, .text = "run " + std::to_string(marks->count) + " times"});
    }
    coverage_.note(verdict, "killed after " + std::to_string(count) + " instructions (" + window + ")");
  }

  [[nodiscard]] std::string where(std::uint64_t hints_before) const {
    const std::optional<std::uint64_t> task = memory_.task();
    if (!task) return "freed";
    switch (memory_.state(*task).phase) {
      case Phase::kPending: return memory_.hints().head == hints_before ? "pending" : "hint_taken";
      case Phase::kRunning: return memory_.slot(*task).result_bytes == 0 ? "running" : "result_written";
      default: return "ended";
    }
  }
  [[nodiscard]] int items() const { return static_cast<int>(std::ranges::count(case_.right, ' ')) + (case_.right.back() != ' '); }
  // Without retries the task is lost.
  [[nodiscard]] std::string one_lost(const std::string&) const { return "ABORTED"; }

  const TaskCase& case_;
  Coverage coverage_;
  Pool pool_ = make_pool(1);
  PoolMemory memory_;
  pid_t supervisor_ = 0;
};

class WorkerKilled : public SweepTest<TaskCase> {
 protected:
  WorkerKilled() { marks = &*shared_; }
  ~WorkerKilled() override { marks = nullptr; }
  Shared<Marks> shared_;
};

const std::vector<TaskCase> kTasks = {
    {"small_task_once", 0, add, "42"},
    {"small_task_with_a_retry", 1, add, "42"},
    {"large_task_with_a_retry", 1, append, "long"},
    {"chunk_with_retries", 3, chunk, "9 16 25 "},
};

TEST_P(WorkerKilled, TheTaskEndsAsItsStateSays) {
  const OneProcessor one;
  detail::wait_tuning().spins = false;  // inherited by the pool's processes
  const Coverage coverage = WorkerSweep(GetParam()).run(whole_product() ? 1 : 7);
  detail::wait_tuning().spins = true;
  expect_survived(coverage, {"pending", "running", "ended"});
}
INSTANTIATE_TEST_SUITE_P(, WorkerKilled, testing::ValuesIn(kTasks), kCaseName);

}  // namespace
}  // namespace warren::test
