// The worker of a pool is killed after every instruction of a task: from the hint that it takes, through the function,
// to its next sleep. The library as it is released; its supervisor sees to the death, and another worker goes on.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <warren/ipc/detail/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crash/sweep_test.h"
#include "support/pool_view.h"
#include "support/pool_world.h"
#include "support/stepper.h"

namespace warren::test {
namespace {

using Phase = layout::TaskState::Phase;
using Words = std::function<std::string()>;  // what a task gave, once it has ended

struct TaskCase {
  const char* text;
  std::uint32_t retries;
  Words (*begin)(Pool& pool, std::uint32_t retries);
  std::string right;         // what it gives if nobody dies
  std::uint32_t begins = 1;  // how often tasks or items begin if nobody dies,
  std::uint32_t least = 1;  // and at least where somebody does: an attempt that is cut short may be the one that throws
  std::size_t stride = 1;   // instructions from kill to kill, where all of them take minutes

  [[nodiscard]] std::string name() const { return text; }
  friend void PrintTo(const TaskCase& c, std::ostream* out) { *out << c.name(); }
};

const std::string kLong(3000, 'x');

std::string in_words(const absl::Status& status) { return std::string(absl::StatusCodeToString(status.code())); }
std::string in_words(const absl::StatusOr<int>& result) {
  return result.ok() ? std::to_string(*result) : in_words(result.status());
}
std::string in_words(const absl::StatusOr<std::string>& result) {
  return !result.ok() ? in_words(result.status()) : *result == kLong + "y" ? "long" : "wrong";
}

template <class R>
Words words_of(Future<R> future) {
  return [future = std::make_shared<Future<R>>(std::move(future))] { return in_words(future->get_for(kPromptly)); };
}

Words add(Pool& pool, std::uint32_t retries) {
  return words_of(pool.submit(
      {.retries = retries}, [](int a, int b) { return ++marks->count, a + b; }, 40, 2));
}
// Arguments and result lie in blocks.
Words append(Pool& pool, std::uint32_t retries) {
  return words_of(pool.submit(
      {.retries = retries}, [](const std::string& s) { return ++marks->count, s + "y"; }, kLong));
}
Words fail(Pool& pool, std::uint32_t retries) {
  return words_of(pool.submit({.retries = retries, .retry_on = RetryOn::kAnyFailure}, [] {
    ++marks->count;
    return current_task().attempt() == 1 ? throw std::runtime_error("first") : 7;
  }));
}
// Several items in one task: a death costs one of them.
Words chunk(Pool& pool, std::uint32_t retries) {
  auto stream = std::make_shared<Stream<int>>(pool.imap(
      {.chunksize = 3, .task = {.retries = retries}}, [](int x) { return ++marks->count, x * x; },
      std::vector<int>{3, 4, 5}));
  (void)stream->next_for(0s);  // submits
  return [stream] {
    std::string words;
    while (const auto item = stream->next_for(kPromptly)) words += in_words(*item) + " ";
    return words;
  };
}

// One pool for all deaths, so that what one leaves behind adds up.
class WorkerSweep {
 public:
  explicit WorkerSweep(const TaskCase& c) : case_(c), coverage_{.name = c.name()}, supervisor_(supervisor_of(pool_)) {}

  Coverage run(std::size_t stride) {
    const Path path = first_run();
    for (std::size_t k = 0; k <= path.size(); k += stride) kill_after(path, k);
    Verdict end;
    const auto empty = [&] { return view_.slots_in_use() == 0 && view_.owned_blocks() == 0; };
    if (!eventually(empty, kPromptly)) {
      end.faults.push_back({.kind = Fault::Kind::kLeft,
                            .text = std::to_string(view_.slots_in_use()) + " slots, " +
                                    std::to_string(view_.owned_blocks()) + " blocks"});
    }
    coverage_.note(end, "at the end");
    return coverage_;
  }

 private:
  // The one worker, once it has nothing to do and sleeps.
  pid_t idle_worker() {
    pid_t found = 0;
    const auto sleeps = [&] {
      const layout::WorkerRecord& record = view_.workers()[0];
      found = static_cast<pid_t>(record.pid.load());
      return record.state == layout::WorkerRecord::State::kIdle && children_of(supervisor_) == std::vector{found} &&
             process_state(found) == 'S' && current_system_call(found) == SYS_futex;
    };
    if (!eventually(sleeps, kPromptly)) throw std::runtime_error("the worker does not come to rest");
    return found;
  }
  // One that has never had a task, as all later ones.
  void replace_worker() {
    const pid_t old = idle_worker();
    ::kill(old, SIGKILL);  // a child of the supervisor, which reaps it only now
    EXPECT_TRUE(eventually([&] { return view_.workers()[0].pid != static_cast<std::uint32_t>(old); }, kPromptly));
  }

  Path first_run() {
    replace_worker();
    marks->count = 0;
    Stepped worker(idle_worker());
    const Words words = case_.begin(pool_, case_.retries);
    Path path;
    (void)worker.resume_call();
    while (worker.state() == Stepped::State::kReady) {
      path.append(worker.address());
      (void)worker.step();
    }
    Verdict verdict;
    if (worker.state() != Stepped::State::kAsleep) {
      verdict.add(Fault::Kind::kOther, "the worker: " + worker.what());
    }
    look_at(words(), case_.right, verdict);
    coverage_.instructions = path.size();
    coverage_.distinct = path.distinct();
    coverage_.note(verdict, "not killed");
    return path;
  }

  void kill_after(const Path& path, std::size_t count) {
    marks->count = 0;
    Stepped worker(idle_worker());
    const Words words = case_.begin(pool_, case_.retries);
    const std::uint64_t hints = view_.hints().head;
    if (worker.resume_call() == Stepped::State::kReady) {
      (void)worker.advance(path, count, [&worker] { worker.kill_zombie(); });
      coverage_.astray += count < path.size() && worker.address() != path.addresses[count];
    }
    worker.kill_zombie();  // nobody sees to it yet
    const std::string window = where(hints);
    ++coverage_.kills;
    ++coverage_.windows[window];
    const auto begin = std::chrono::steady_clock::now();
    worker.kill();
    const bool lost = window == "running" && case_.retries == 0;
    Verdict verdict;
    look_at(words(), lost ? "ABORTED" : case_.right, verdict);
    verdict.recovery = std::chrono::steady_clock::now() - begin;
    // Only what it was in the midst of runs again.
    const std::uint32_t least = lost ? 0 : window == "running" ? case_.least : case_.begins;
    const std::uint32_t most = case_.begins + (window == "running" && !lost ? 1 : 0);
    if (marks->count < least || marks->count > most) {
      const auto kind = marks->count < least ? Fault::Kind::kLost : Fault::Kind::kDoubled;
      verdict.add(kind, "begun " + std::to_string(marks->count) + " times");
    }
    coverage_.recovery.push_back(verdict.recovery);
    coverage_.note(verdict, "killed after " + std::to_string(count) + " instructions (" + window + ")");
  }
  static void look_at(const std::string& words, const std::string& expected, Verdict& verdict) {
    if (words == expected) return;
    verdict.faults.push_back({.kind = words == "DEADLINE_EXCEEDED" ? Fault::Kind::kHung : Fault::Kind::kLost,
                              .text = "it gives " + words + ", not " + expected});
  }

  [[nodiscard]] std::string where(std::uint64_t hints_before) const {
    for (std::size_t i = 0; i < view_.slots().size(); ++i) {
      const layout::TaskState state = view_.state(i);
      if (state.phase == Phase::kFree) continue;
      if (state.phase == Phase::kRunning) return "running";
      if (state.phase != Phase::kPending) return "ended";
      if (state.attempt != 0) return "pending again";
      return view_.hints().head == hints_before ? "before" : "hint taken";
    }
    return "freed";
  }

  const TaskCase& case_;
  Coverage coverage_;
  Pool pool_ = make_pool(1, 16);
  PoolView view_ = PoolView::of_this_process();
  pid_t supervisor_;
};

class WorkerKilled : public SweepTest<TaskCase> {
 protected:
  WorkerKilled() {
    marks = &*shared_;
    detail::wait_tuning().spins = false;  // inherited by the pool's processes: spinning would be stepped
  }
  ~WorkerKilled() override {
    marks = nullptr;
    detail::wait_tuning().spins = true;
  }

 private:
  Shared<Marks> shared_;
};

TEST_P(WorkerKilled, TheTaskEndsAsItsStateSays) {
  const OneProcessor one;
  const Coverage coverage = WorkerSweep(GetParam()).run(whole_product() ? 1 : GetParam().stride);
  expect_survived(coverage, {"before", "running", "ended"});
}
INSTANTIATE_TEST_SUITE_P(
    , WorkerKilled,
    testing::Values(
        TaskCase{.text = "small_task_once", .retries = 0, .begin = add, .right = "42"},
        TaskCase{.text = "small_task_with_a_retry", .retries = 1, .begin = add, .right = "42"},
        TaskCase{.text = "large_task_with_a_retry", .retries = 1, .begin = append, .right = "long", .stride = 149},
        TaskCase{
            .text = "failing_task_with_retries", .retries = 2, .begin = fail, .right = "7", .begins = 2, .stride = 97},
        TaskCase{
            .text = "chunk_with_retries", .retries = 3, .begin = chunk, .right = "9 16 25 ", .begins = 3, .least = 3}),
    kCaseName);

}  // namespace
}  // namespace warren::test
