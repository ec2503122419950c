#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/process.h>
#include <warren/layout/pool.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/detail/thread_crew.h>
#include <warren/pool/thread_pool.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "current_task.h"
#include "monotonic.h"
#include "ready_queue.h"
#include "thread_crew_impl.h"
#include "usable_cpus.h"

namespace warren::detail {
namespace {

absl::Status cancelled(std::string why) {
  TaskError error;
  error.kind = TaskError::Kind::kCancelled;
  error.what = std::move(why);
  return make_task_status(absl::StatusCode::kCancelled, error);
}

absl::Status check(const TaskOptions& options) {
  if (!options.deadline.forever()) {
    return refused(
        "a deadline for a task of a ThreadPool: nobody can end a thread. Remedy: .soft_deadline, and a task that asks "
        "current_task().stop_requested(); or Pool",
        absl::StatusCode::kInvalidArgument);
  }
  if (options.worker) {
    return refused("a certain worker for a task of a ThreadPool, whose threads are all the same. Remedy: Pool",
                   absl::StatusCode::kInvalidArgument);
  }
  return absl::OkStatus();
}

// What this thread is in the middle of: a task's run, or its callbacks.
struct Frame {
  const void* crew;
  const Frame* outer;
};
constinit thread_local const Frame* innermost = nullptr;

class InFrame {
 public:
  explicit InFrame(const void* crew) noexcept : frame_{.crew = crew, .outer = innermost} { innermost = &frame_; }
  ~InFrame() { innermost = frame_.outer; }
  InFrame(const InFrame&) = delete;
  InFrame& operator=(const InFrame&) = delete;

 private:
  Frame frame_;
};

std::size_t frames_of(const void* crew) noexcept {
  std::size_t found = 0;
  for (const Frame* frame = innermost; frame != nullptr; frame = frame->outer) found += frame->crew == crew ? 1 : 0;
  return found;
}

template <class Test>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, Deadline deadline, Test test) {
  if (!deadline.forever()) return changed.wait_until(lock, deadline.time(), test);
  changed.wait(lock, test);
  return true;
}

}  // namespace

ThreadWork::ThreadWork() noexcept
    : id_([] {
        static std::atomic<std::uint64_t> last{0};
        return TaskId{last.fetch_add(1, std::memory_order_relaxed) + 1};
      }()) {}

void begin_attempt(std::uint32_t attempt, Timeout soft_deadline) noexcept {
  CurrentTaskScope::set_attempt(attempt);
  if (soft_deadline.forever()) return;
  CurrentTaskScope::set_soft_deadline(after(static_cast<std::uint64_t>(soft_deadline.ns().count())));
}

// --- tasks -----------------------------------------------------------------------------------------------------------

void ThreadCrew::Impl::take_token() {
  std::shared_ptr<ThreadWork> work;
  {
    const std::scoped_lock lock(mutex);
    if (surplus == 0) {
      --tokens;
      if (queue.empty()) return;
      work = queue.pop();
      work->state_.store(ThreadWork::State::kRunning, std::memory_order_relaxed);
    } else {
      --surplus;
    }
  }
  if (work == nullptr) {
    post_token();
    throw Leave{};
  }
  const InFrame frame(this);
  {
    const CurrentTaskScope scope(work->work_id(), work->progress_, terminated);
    work->run();
  }
  end(work);
}

// It has run, or failed.
void ThreadCrew::Impl::end(const std::shared_ptr<ThreadWork>& work) {
  {
    const std::scoped_lock lock(mutex);
    --pending;
  }
  room.notify_one();
  work->tell();
  const std::scoped_lock lock(mutex);
  --open;
  ++endings;
  settled.notify_all();
  let_threads_end_locked();
}

void ThreadCrew::Impl::fail(const std::shared_ptr<ThreadWork>& work, const absl::Status& why) {
  const InFrame frame(this);
  work->fail(why);
  end(work);
}

ReadyQueue::Works ThreadCrew::Impl::empty_queue_locked() {
  ReadyQueue::Works works = queue.take_all();
  for (const auto& work : works) work->state_.store(ThreadWork::State::kCancelled, std::memory_order_relaxed);
  return works;
}

void ThreadCrew::Impl::fail_all(const ReadyQueue::Works& works, const absl::Status& why) {
  room.notify_all();
  for (const auto& work : works) fail(work, why);
}

void ThreadCrew::Impl::cancel_all(const absl::Status& why) {
  ReadyQueue::Works works;
  {
    const std::scoped_lock lock(mutex);
    closed = true;
    if (cancelling.ok()) cancelling = why;
    works = empty_queue_locked();
    settled.notify_all();
    let_threads_end_locked();
  }
  fail_all(works, why);
}

absl::Status ThreadCrew::Impl::why_refused_locked(bool chunk) const {
  if (!broken.ok()) return broken;
  if (chunk && maps != 0) return cancelling;
  return closed ? refused("the pool is closed") : absl::OkStatus();
}

// --- ThreadCrew ------------------------------------------------------------------------------------------------------

ThreadCrew::ThreadCrew(ThreadPoolOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

// Every thread holds the crew, so they have left, but perhaps this one. A forked child lets all be as it was.
ThreadCrew::~ThreadCrew() { mine() ? impl_->join_threads() : static_cast<void>(impl_.release()); }

absl::StatusOr<std::shared_ptr<ThreadCrew>> ThreadCrew::start(ThreadPoolOptions options) {
  if (options.workers == 0) options.workers = usable_cpus();
  if (options.workers > layout::kMaxWorkers) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.workers, " workers: a pool has at most ", layout::kMaxWorkers));
  }
  if (options.max_pending == 0) return absl::InvalidArgumentError("max_pending is 0: it must be at least 1");
  const std::shared_ptr<ThreadCrew> crew(new ThreadCrew(std::move(options)));
  try {
    const std::scoped_lock lock(crew->impl_->mutex);
    for (std::uint32_t i = 0; i < crew->workers(); ++i) crew->impl_->start_thread_locked(crew);
  } catch (const std::system_error& e) {
    crew->close();
    (void)crew->join(Deadline::never());
    return absl::ResourceExhaustedError(absl::StrCat("cannot start a thread: ", e.what()));
  }
  return crew;
}

bool ThreadCrew::take_place(bool wait) {
  if (!mine()) return true;
  const bool inside = frames_of(impl_.get()) != 0 || employer() == this;
  std::unique_lock lock(impl_->mutex);
  const auto has_room = [this] {
    return impl_->pending < impl_->options.max_pending || impl_->closed || !impl_->broken.ok();
  };
  if (wait && !inside) impl_->room.wait(lock, has_room);
  if (!wait && !has_room()) return false;
  ++impl_->pending;
  return true;
}

void ThreadCrew::give_place() {
  if (!mine()) return;
  {
    const std::scoped_lock lock(impl_->mutex);
    --impl_->pending;
  }
  impl_->room.notify_one();
}

void ThreadCrew::enqueue(const std::shared_ptr<ThreadWork>& work, const TaskOptions& options, bool chunk) {
  if (!mine()) {
    work->fail(refused("the pool belongs to the process that made it"));
    return work->tell();
  }
  absl::Status refusal = check(options);
  {
    const std::scoped_lock lock(impl_->mutex);
    ++impl_->open;
    if (refusal.ok()) refusal = impl_->why_refused_locked(chunk);
    if (refusal.ok()) {
      work->state_.store(ThreadWork::State::kQueued, std::memory_order_relaxed);
      impl_->queue.push(work, options.priority);
      if (impl_->tokens >= impl_->queue.size()) return;
      ++impl_->tokens;
    }
  }
  // The threads are there until the task has ended, since it is open.
  refusal.ok() ? impl_->post_token() : impl_->fail(work, refusal);
}

bool ThreadCrew::cancel(ThreadWork& work) {
  if (!mine()) return false;
  std::shared_ptr<ThreadWork> held;
  {
    const std::scoped_lock lock(impl_->mutex);
    const auto state = work.state_.load(std::memory_order_relaxed);
    if (state != ThreadWork::State::kQueued) return state == ThreadWork::State::kCancelled;
    work.state_.store(ThreadWork::State::kCancelled, std::memory_order_relaxed);
    held = impl_->queue.take(work);
  }
  impl_->fail(held, cancelled("cancelled before it ran"));
  return true;
}

absl::StatusOr<ThreadCrew::MapUnderWay> ThreadCrew::begin_map(const TaskOptions& /*threads have no places*/) {
  if (!mine()) return refused("the pool belongs to the process that made it");
  const std::scoped_lock lock(impl_->mutex);
  if (absl::Status refusal = impl_->why_refused_locked(false); !refusal.ok()) return refusal;
  ++impl_->maps;
  return MapUnderWay(this, [](ThreadCrew* crew) {
    const std::scoped_lock end(crew->impl_->mutex);
    --crew->impl_->maps;
    crew->impl_->settled.notify_all();
    crew->impl_->let_threads_end_locked();
  });
}

bool ThreadCrew::wait_for_completions(Deadline deadline, absl::FunctionRef<bool()> test) {
  if (test()) return true;
  const StandIn stand_in;
  std::unique_lock lock(impl_->mutex);
  for (;;) {
    const std::uint64_t seen = impl_->endings;
    lock.unlock();
    if (test()) return true;
    lock.lock();
    if (!wait_until(impl_->settled, lock, deadline, [&] { return impl_->endings != seen; })) return false;
  }
}

std::uint32_t ThreadCrew::workers() const noexcept { return impl_->options.workers; }
bool ThreadCrew::mine() const noexcept { return impl_->epoch == process_epoch(); }
bool ThreadCrew::terminated() const noexcept { return impl_->terminated.load(std::memory_order_relaxed); }

void ThreadCrew::close() {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->closed = true;
    impl_->settled.notify_all();
    impl_->let_threads_end_locked();
  }
  impl_->room.notify_all();
}

void ThreadCrew::cancel_pending() { impl_->cancel_all(cancelled("cancelled before it ran")); }

void ThreadCrew::terminate() {
  impl_->terminated = true;
  impl_->cancel_all(cancelled("the pool was terminated"));
}

bool ThreadCrew::pause(Timeout d) {
  std::unique_lock lock(impl_->mutex);
  (void)wait_until(impl_->settled, lock, Deadline::after(d), [this] { return terminated(); });
  return !terminated();
}

absl::Status ThreadCrew::join(Deadline deadline) {
  const std::size_t inside = frames_of(impl_.get());
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->closed && impl_->broken.ok())
      return absl::FailedPreconditionError("the pool is open: close() or terminate() it before join()");
  }
  bool done = false;
  if (inside != 0) {  // in a task or a callback: all but those of this thread
    const StandIn stand_in;
    std::unique_lock lock(impl_->mutex);
    impl_->joining_inside += inside;
    impl_->settled.notify_all();
    done = wait_until(impl_->settled, lock, deadline,
                      [this] { return impl_->open <= impl_->joining_inside && impl_->maps == 0; });
    impl_->joining_inside -= inside;
  } else {
    std::unique_lock lock(impl_->mutex);
    done = wait_until(impl_->settled, lock, deadline, [this] { return impl_->alive == 0; });
  }
  if (!done) return absl::DeadlineExceededError("the pool has not ended yet");
  if (inside == 0) impl_->join_threads();
  const std::scoped_lock lock(impl_->mutex);
  return impl_->broken;
}

}  // namespace warren::detail
