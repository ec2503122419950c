// The recoverable lock: whoever takes it from a dead owner is told, and so are the next ones until one says that what
// it guards is in order again. docs/algorithms/mutex.md.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/layout/mutex.h>

namespace warren::detail {

// At `words` in the segment of `attachment`, which must outlive it.
class MutexCore {
 public:
  MutexCore(Attachment& attachment, layout::Mutex& words) noexcept : attachment_(&attachment), words_(&words) {}

  // What a look at the lock led to.
  enum class Take { kTaken, kHeld, kMine };
  [[nodiscard]] Take try_take() noexcept;
  // kTaken; kMine: this thread has it already; kHeld: the deadline passed.
  [[nodiscard]] Take take_until(Deadline deadline) noexcept;
  // By a thread that does not have it, as it knows without looking. A word that says otherwise is a peer's false one,
  // which then stands for what it says: it is taken like a free lock, and given back by unlock().
  void take_back() noexcept { (void)take_until(Deadline::never()); }
  bool unlock() noexcept;  // false: not the owner
  [[nodiscard]] bool held_by_me() const noexcept;
  // By this thread, through another attachment of the segment, which has another lane: it would wait for itself.
  [[nodiscard]] bool held_by_me_elsewhere() const noexcept;

  [[nodiscard]] bool inconsistent() const noexcept;
  bool make_consistent() noexcept;  // false: not the owner, or it is consistent
  [[nodiscard]] absl::Status owner_death() const;
  [[nodiscard]] std::uint32_t& depth() noexcept { return words_->depth; }  // the holder's

 private:
  using State = layout::MutexState;

  [[nodiscard]] State me(const Seat& seat) const noexcept;
  [[nodiscard]] Take take_from(Seat& seat, std::uint64_t found) noexcept;
  void taken(const Seat& seat) noexcept;

  Attachment* attachment_;
  layout::Mutex* words_;
};

inline layout::MutexState MutexCore::me(const Seat& seat) const noexcept {
  return {.lane = seat.lane_index,
          .generation = seat.generation,
          .thread = static_cast<std::uint32_t>(thread_token()) & State::kThreadMask,
          .held = true};
}

inline MutexCore::Take MutexCore::try_take() noexcept {
  Seat& seat = attachment_->seat();
  std::uint64_t found = words_->state.load(std::memory_order_relaxed);
  State mine = me(seat);
  mine.inconsistent = (found & 1) != 0;
  if (State::from(found).held || seat.lane == nullptr) [[unlikely]]
    return take_from(seat, found);
  if (!words_->state.compare_exchange_strong(found, mine.word(), std::memory_order_seq_cst))
    return take_from(seat, found);  // [M1] what the last holder wrote; pairs with M2, and before R3
  taken(seat);
  return Take::kTaken;
}

inline void MutexCore::taken(const Seat& seat) noexcept { words_->holder.store(seat.name, std::memory_order_relaxed); }

inline bool MutexCore::unlock() noexcept {
  const State found = State::from(words_->state.load(std::memory_order_relaxed));
  if (!found.held_by(me(attachment_->seat()))) return false;
  words_->holder.store(0, std::memory_order_relaxed);
  // No CAS: nobody takes it from the living.
  const State free{.inconsistent = found.inconsistent};
  words_->state.store(free.word(), std::memory_order_release);  // [M2] what was done under it; pairs with M1, M3
  WARREN_CRASH_POINT(mutex_unlocked);                           // nobody is woken: slices bound the wait
  notify(words_->waiters, attachment_->wait_mode(), 1);
  return true;
}

}  // namespace warren::detail
