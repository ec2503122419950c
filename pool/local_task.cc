#include <warren/pool/detail/local_task.h>
#include <warren/pool/detail/thread_crew.h>

#include "completions.h"
#include "place_lent.h"

namespace warren::detail {

// A forked child's copy has ended: nobody would finish it there.
bool LocalCore::ended() const {
  if (foreign()) return true;
  const std::scoped_lock lock(mutex_);
  return ended_;
}

bool LocalCore::wait_until_ended(Deadline deadline) const {
  if (foreign()) return true;
  // In a callback of a task that this one is made of: nobody else runs the callbacks behind.
  for (TaskCore* from = source(); from != nullptr; from = from->source()) {
    while (!ended() && !deadline.expired() && from->run_callback_behind()) {
    }
  }
  if (Completions* const here = Completions::current(); here != nullptr) {
    return here->help(deadline, [this] { return ended(); });
  }
  if (ended() || deadline.expired()) return ended();
  const StandIn stand_in;
  const PlaceLent lent;
  std::unique_lock lock(mutex_);
  if (!deadline.forever()) return changed_.wait_until(lock, deadline.time(), [this] { return ended_; });
  changed_.wait(lock, [this] { return ended_; });
  return true;
}

void LocalCore::be_seen() {
  {
    const std::scoped_lock lock(mutex_);
    if (!ended_) {
      followed_ = true;
      return;
    }
  }
  tell_watchers();
  run_callbacks();
}

void LocalCore::finish() {
  bool followed = false;
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
    followed = followed_;
  }
  changed_.notify_all();  // who calls this holds the task, so it is there still
  if (!followed) return;
  tell_watchers();
  run_callbacks();
}

}  // namespace warren::detail
