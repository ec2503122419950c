#include <warren/pool/detail/task_core.h>

#include <sys/eventfd.h>
#include <unistd.h>
#include <warren/ipc/detail/process.h>
#include <warren/pool/detail/thread_crew.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "callback_scope.h"
#include "completions.h"
#include "log.h"
#include "place_lent.h"

namespace warren::detail {

struct TaskCore::Followers {
  enum class Stage { kQuiet, kSeen, kTold, kDone };  // kSeen: somebody will see it end

  const std::uint64_t epoch = process_epoch();
  std::mutex mutex;
  std::condition_variable done;
  Stage stage = Stage::kQuiet;
  bool has_callbacks = false;
  std::vector<std::pair<const void*, Follower>> watchers;
  std::deque<Follower> callbacks;
  int bell = -1;
};

// A task whose callbacks this thread runs; where one of them waits, others within.
struct TaskCore::Running {
  explicit Running(const TaskCore& which) noexcept : task(which), outer(std::exchange(innermost, this)) {}
  ~Running() { innermost = outer; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  const TaskCore& task;
  Running* const outer;
  static constinit thread_local Running* innermost;
};
constinit thread_local TaskCore::Running* TaskCore::Running::innermost = nullptr;

// A child's copy is let alone: a thread of the parent may have held the mutex at the fork.
TaskCore::~TaskCore() {
  Followers* const mine = followers_.load(std::memory_order_relaxed);
  if (mine == nullptr || mine->epoch != process_epoch()) return;
  if (mine->bell >= 0) ::close(mine->bell);
  delete mine;
}

TaskCore::Followers& TaskCore::followers() {
  Followers* found = followers_.load(std::memory_order_acquire);  // [TF1] pairs with TF2
  if (found != nullptr) return *found;
  auto made = std::make_unique<Followers>();
  if (followers_.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel))
    return *made.release();  // [TF2] pairs with TF1, TF3
  return *found;
}

bool TaskCore::wait(Deadline deadline) const {
  Followers* const followed = followers_.load(std::memory_order_acquire);  // [TF3] pairs with TF2
  if (followed == nullptr || foreign() || CallbackScope::active()) return wait_until_ended(deadline);
  std::unique_lock lock(followed->mutex);
  if (!followed->has_callbacks) {
    lock.unlock();
    return wait_until_ended(deadline);
  }
  const auto done = [followed] { return followed->stage == Followers::Stage::kDone; };
  if (done()) return true;
  lock.unlock();
  const StandIn stand_in;
  const PlaceLent lent;
  lock.lock();
  if (!deadline.forever()) return followed->done.wait_until(lock, deadline.time(), done);
  followed->done.wait(lock, done);
  return true;
}

void TaskCore::on_done(Follower callback) {
  if (foreign()) return run_contained(callback, *this);
  Followers& followed = followers();
  std::unique_lock lock(followed.mutex);
  if (followed.stage == Followers::Stage::kDone) {
    lock.unlock();
    return run_contained(callback, *this);
  }
  followed.callbacks.push_back(std::move(callback));
  followed.has_callbacks = true;
  follow(lock, [&followed, place = followed.callbacks.size() - 1] {
    followed.callbacks.erase(followed.callbacks.begin() + static_cast<std::ptrdiff_t>(place));
    followed.has_callbacks = !followed.callbacks.empty();
  });
}

void TaskCore::watch(const void* key, Follower watcher) {
  if (foreign()) return watcher(*this);
  Followers& followed = followers();
  std::unique_lock lock(followed.mutex);
  if (followed.stage >= Followers::Stage::kTold) {
    lock.unlock();
    return watcher(*this);
  }
  followed.watchers.emplace_back(key, std::move(watcher));
  follow(lock,
         [&followed, key] { std::erase_if(followed.watchers, [key](const auto& each) { return each.first == key; }); });
}

// The first one that follows has somebody see it end. Where that cannot be (no memory), `undo` takes it back, and the
// next one tries again.
void TaskCore::follow(std::unique_lock<std::mutex>& lock, absl::FunctionRef<void()> undo) {
  Followers& followed = followers();
  if (followed.stage != Followers::Stage::kQuiet) return;
  followed.stage = Followers::Stage::kSeen;
  lock.unlock();
  try {
    be_seen();
  } catch (...) {
    lock.lock();
    followed.stage = Followers::Stage::kQuiet;
    undo();
    throw;
  }
}

void TaskCore::unwatch(const void* key) noexcept {
  if (foreign()) return;
  Followers& followed = followers();
  const std::scoped_lock lock(followed.mutex);
  std::erase_if(followed.watchers, [key](const auto& each) { return each.first == key; });
}

int TaskCore::fileno() {
  Followers& followed = followers();
  if (foreign()) return followed.bell;
  {
    const std::scoped_lock lock(followed.mutex);
    if (followed.bell >= 0) return followed.bell;
    followed.bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (followed.bell < 0) return -1;
  }
  watch(&followed.bell, [bell = followed.bell](TaskCore&) {
    const std::uint64_t one = 1;
    (void)!::write(bell, &one, sizeof one);
  });
  return followed.bell;
}

void TaskCore::tell_watchers() {
  Followers& followed = followers();
  std::vector<std::pair<const void*, Follower>> watchers;
  {
    const std::scoped_lock lock(followed.mutex);
    followed.stage = Followers::Stage::kTold;
    watchers.swap(followed.watchers);
  }
  for (auto& [key, watcher] : watchers) contain(watcher, *this);  // one costs the others nothing
}

void TaskCore::run_callbacks() {
  Followers& followed = followers();
  std::unique_lock lock(followed.mutex);
  if (!followed.callbacks.empty()) {
    lock.unlock();
    let_go();
    lock.lock();
  }
  const Running running(*this);
  while (run_next(lock)) {
  }
  followed.stage = Followers::Stage::kDone;
  followed.done.notify_all();
}

bool TaskCore::run_callback_behind() {
  if (foreign()) return false;
  const Running* running = Running::innermost;
  while (running != nullptr && &running->task != this) running = running->outer;
  if (running == nullptr) return false;
  std::unique_lock lock(followers().mutex);
  return run_next(lock);
}

// Without the lock meanwhile. False: there is none.
bool TaskCore::run_next(std::unique_lock<std::mutex>& lock) {
  std::deque<Follower>& callbacks = followers().callbacks;
  if (callbacks.empty()) return false;
  Follower callback = std::move(callbacks.front());
  callbacks.pop_front();
  lock.unlock();
  run_contained(callback, *this);
  callback = nullptr;  // what it captured goes before others are told
  lock.lock();
  return true;
}

// --- callbacks of users ----------------------------------------------------------------------------------------------

namespace {
constinit thread_local int callbacks_running = 0;
}

CallbackScope::CallbackScope() noexcept { ++callbacks_running; }
CallbackScope::~CallbackScope() { --callbacks_running; }
bool CallbackScope::active() noexcept { return callbacks_running != 0; }

void contain(TaskCore::Follower& callback, TaskCore& task) {
  try {
    callback(task);
  } catch (const std::exception& e) {
    logger().error("a callback of task {} threw: {}", task.id().value, e.what());
  } catch (...) {
    logger().error("a callback of task {} threw what is no std::exception", task.id().value);
  }
}

void run_contained(TaskCore::Follower& callback, TaskCore& task) {
  const CallbackScope scope;
  const std::uint64_t epoch = process_epoch();
  contain(callback, task);
  // It forked, and this child came out of it too: the callbacks that follow are the parent's.
  if (process_epoch() != epoch && Completions::in_forked_copy()) ::_exit(0);
}

}  // namespace warren::detail
