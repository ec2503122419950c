// The threads of a ThreadCrew: their start, their ends, and who stands in for one that waits.
#include <absl/strings/str_cat.h>
#include <pthread.h>
#include <warren/pool/detail/task_error.h>

#include <string>
#include <system_error>

#include "thread_crew_impl.h"

namespace warren::detail {
namespace {

constinit thread_local ThreadCrew* crew_of_this_thread = nullptr;

}  // namespace

ThreadCrew* employer() noexcept { return crew_of_this_thread; }

// Throws std::system_error.
void ThreadCrew::Impl::start_thread_locked(const std::shared_ptr<ThreadCrew>& crew) {
  threads.emplace_back([crew] { crew->impl_->work(*crew); });
  ++alive;
}

void ThreadCrew::Impl::work(ThreadCrew& crew) {
  constexpr std::size_t kMostName = 15;  // of a thread
  const std::string name = options.name.empty() ? "warren-pool" : options.name.substr(0, kMostName);
  (void)::pthread_setname_np(::pthread_self(), name.c_str());
  crew_of_this_thread = &crew;
  if (initialize()) {
    for (bool goes_on = true; goes_on;) {
      try {
        context.run();
        goes_on = false;
      } catch (const Leave&) {
        goes_on = park();
      }
    }
  }
  const std::scoped_lock lock(mutex);
  --alive;
  settled.notify_all();
}

// False: it threw, and the pool is broken.
bool ThreadCrew::Impl::initialize() {
  if (!options.initializer) return true;
  ReadyQueue::Works works;
  absl::Status why;
  try {
    options.initializer();
    return true;
  } catch (...) {
    why = status_of_current_exception(0);
  }
  {
    const std::scoped_lock lock(mutex);
    if (broken.ok()) broken = refused(absl::StrCat("the pool is broken: its initializer failed: ", why.message()));
    why = broken;
    closed = true;
    works = empty_queue_locked();
    let_threads_end_locked();
  }
  fail_all(works, why);
  return false;
}

// False: all is done.
bool ThreadCrew::Impl::park() {
  std::unique_lock lock(mutex);
  ++parked;
  parked_wake.wait(lock, [this] { return wanted != 0 || ended; });
  --parked;
  if (ended) return false;
  --wanted;
  return true;
}

// run() returns once there is no handler left.
void ThreadCrew::Impl::let_threads_end_locked() {
  if (ended || !closed || open != 0 || maps != 0) return;
  ended = true;
  parked_wake.notify_all();
  guard.reset();
}

void ThreadCrew::Impl::join_threads() {
  const std::scoped_lock lock(join_mutex);
  for (std::thread& thread : threads) {
    if (!thread.joinable()) continue;
    thread.get_id() == std::this_thread::get_id() ? thread.detach() : thread.join();
  }
}

// --- StandIn -------------------------------------------------------------------------------------------------------

StandIn::StandIn() : crew_(employer()) {
  if (crew_ == nullptr || !crew_->mine()) {
    crew_ = nullptr;
    return;
  }
  ThreadCrew::Impl& crew = *crew_->impl_;
  const std::scoped_lock lock(crew.mutex);
  if (crew.surplus != 0) {
    --crew.surplus;
  } else if (crew.parked > crew.wanted) {
    ++crew.wanted;
    crew.parked_wake.notify_one();
  } else {
    try {
      crew.start_thread_locked(crew_->shared_from_this());
    } catch (const std::system_error&) {
      crew_ = nullptr;  // there is no thread left: the place stays empty meanwhile
    }
  }
}

StandIn::~StandIn() {
  if (crew_ == nullptr) return;
  const std::scoped_lock lock(crew_->impl_->mutex);
  ++crew_->impl_->surplus;
}

}  // namespace warren::detail
