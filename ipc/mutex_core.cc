#include <warren/ipc/detail/mutex_core.h>

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <warren/ipc/detail/standing.h>

namespace warren::detail {

using State = layout::MutexState;
using Take = MutexCore::Take;

// The lock is held, or was taken just now. From a dead owner it goes to whoever comes first, by one CAS on the word
// that names the dead: of two who found it dead, one takes it.
Take MutexCore::take_from(Seat& seat, std::uint64_t found) noexcept {
  if (seat.lane == nullptr) return Take::kHeld;  // nobody who cannot be found dead may hold it
  for (;;) {
    const State owner = State::from(found);
    State mine = me(seat);
    if (owner.held_by(mine)) return Take::kMine;
    const bool died = owner.held;
    if (died && standing(*attachment_, seat, owner.lane, owner.generation, found) != Standing::kGone)
      return Take::kHeld;
    const std::uint64_t dead_name = words_->holder.load(std::memory_order_relaxed);
    mine.inconsistent = died || owner.inconsistent;
    if (!words_->state.compare_exchange_strong(found, mine.word(), std::memory_order_seq_cst))
      continue;  // [M3] as M1; pairs with M2
    taken(seat);
    if (died) {
      WARREN_CRASH_POINT(mutex_taken_over);  // the next one finds this owner dead, and takes over from it
      words_->depth = 0;
      words_->dead.store(dead_name, std::memory_order_relaxed);
      words_->died_ns.store(realtime_ns(), std::memory_order_relaxed);
    }
    return Take::kTaken;
  }
}

Take MutexCore::take_until(Deadline deadline) noexcept {
  Take take = try_take();
  if (take != Take::kHeld) return take;
  Seat& seat = attachment_->seat();
  (void)attachment_->wait_for_change(words_->waiters, seat.pop_spinner, deadline, [&] {
    take = try_take();
    return take == Take::kHeld ? Progress::kBlocked : Progress::kDone;
  });
  return take;
}

bool MutexCore::held_by_me() const noexcept {
  return State::from(words_->state.load(std::memory_order_relaxed)).held_by(me(attachment_->seat()));
}

// `holder` tells threads of this process apart also where one lane was shared.
bool MutexCore::held_by_me_elsewhere() const noexcept {
  const Seat& seat = attachment_->seat();
  const State owner = State::from(words_->state.load(std::memory_order_relaxed));
  const State mine = me(seat);
  return owner.held && !seat.sharing && owner.thread == mine.thread && !owner.held_by(mine) &&
         words_->holder.load(std::memory_order_relaxed) == seat.name &&
         attachment_->lane_of_this_process(owner.lane, owner.generation);
}

bool MutexCore::inconsistent() const noexcept {
  return State::from(words_->state.load(std::memory_order_relaxed)).inconsistent;
}

bool MutexCore::make_consistent() noexcept {
  State state = State::from(words_->state.load(std::memory_order_relaxed));
  if (!state.inconsistent || !state.held_by(me(attachment_->seat()))) return false;
  state.inconsistent = false;
  words_->dead.store(0, std::memory_order_relaxed);
  words_->state.store(state.word(), std::memory_order_relaxed);  // the holder's own word: unlock() publishes it
  return true;
}

absl::Status MutexCore::owner_death() const {
  if (!inconsistent()) return absl::OkStatus();
  const auto name = layout::ThreadName::from(words_->dead.load(std::memory_order_relaxed));
  const absl::Time when =
      absl::FromUnixNanos(static_cast<std::int64_t>(words_->died_ns.load(std::memory_order_relaxed)));
  const std::string who = name.pid == 0 ? std::string("a process that is gone")
                                        : absl::StrCat("thread ", name.tid, " of process ", name.pid);
  return absl::AbortedError(absl::StrCat(who, " ended while it held the mutex, found at ", absl::FormatTime(when),
                                         "; repair what it guards, then call consistent()"));
}

}  // namespace warren::detail
