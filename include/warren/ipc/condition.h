// Condition: waits for what a mutex guards to change.
//
// Python's Condition and std::condition_variable, between processes. A wait lets go of the mutex, sleeps until it is
// notified, and takes the mutex again. No notification is lost on those who wait: who held the mutex when they began
// cannot miss what is notified after it. A wait may return when another one was meant, so look again: in a loop, or by
// the forms with a predicate.
//
//     std::unique_lock lock(mutex);
//     condition.wait(lock, [&] { return !jobs->empty(); });
//     if (mutex.owner_died()) { repair(); mutex.consistent(); }
//
// Death. A process that is killed while it waits leaves nothing behind: nobody waits for it, and notify_all() never
// blocks. A notify_one() that went to somebody who died instead of acting on it is not lost: all others who waited then
// return when one of them has noticed that (within 32 ms for each 80 attached threads, or twice that). So they do where
// the notifier dies before it wakes anybody. Where it dies before it notifies, though it has changed what they wait
// for, the forms with a predicate find that, since they look now and then (at the latest after 2 s); the others wait
// for the next notification. So prefer a predicate. The mutex is taken as by lock(): from an owner that died too, and
// then owner_died() is true when the wait returns, and for the predicate. Algorithm and crash tables:
// docs/algorithms/condition.md.
#pragma once
#include <warren/ipc/detail/check.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/let_go.h>
#include <warren/ipc/detail/lock_error.h>
#include <warren/ipc/time.h>
#include <warren/layout/condition.h>

#include <concepts>
#include <mutex>
#include <string_view>

namespace warren {

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h). All who wait at the same time must use the same mutex. M is Mutex, RecursiveMutex (let
// go however often it was locked, and locked as often afterwards), or another one of Warren's whose unlock() tells
// whether it was held.
class Condition : public Handle {
 public:
  static absl::StatusOr<Condition> create(const ObjectOptions& options = {});
  static absl::StatusOr<Condition> create(std::string_view name, const ObjectOptions& options = {});
  static absl::StatusOr<Condition> open(std::string_view name);
  static absl::StatusOr<Condition> open_or_create(std::string_view name, const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // By who holds the lock: std::unique_lock says that it does not: a broken program, stopped with a message; the mutex
  // says so: std::system_error (operation_not_permitted), since that may be a peer's false bytes. They return holding
  // it, however long that takes. False: the time is up and nobody notified.
  template <class M>
  void wait(std::unique_lock<M>& lock) {
    (void)wait_until(lock, Deadline::never());
  }
  template <class M>
  bool wait_for(std::unique_lock<M>& lock, Timeout d) {
    return wait_until(lock, Deadline::after(d));
  }
  template <class M>
  bool wait_until(std::unique_lock<M>& lock, Deadline t) {
    return wait_once(lock, t, Until::kNotified);
  }

  // Until `predicate` holds; it is called with the lock held. False: the time is up and it does not hold.
  template <class M, std::predicate Predicate>
  void wait(std::unique_lock<M>& lock, Predicate predicate) {
    (void)wait_until(lock, Deadline::never(), std::move(predicate));
  }
  template <class M, std::predicate Predicate>
  bool wait_for(std::unique_lock<M>& lock, Timeout d, Predicate predicate) {
    return wait_until(lock, Deadline::after(d), std::move(predicate));
  }
  template <class M, std::predicate Predicate>
  bool wait_until(std::unique_lock<M>& lock, Deadline t, Predicate predicate);

  // Never block; with the mutex held or not. What the predicates look at must be changed under the mutex, also if it is
  // atomic. notify_one() is for waiters of whom any one will do.
  void notify_one() noexcept { notify(1); }
  void notify_all() noexcept { notify(detail::kWakeAll); }

 private:
  friend class detail::Factory;
  Condition(detail::Attachment::Pointer attachment, layout::Condition& words) noexcept
      : Handle(std::move(attachment)), words_(&words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const ObjectOptions& options);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kCondition, .element = {}}; }
  static absl::StatusOr<Condition> attach(detail::Attachment::Pointer attachment);

  enum class Until { kNotified, kSliceEnds };  // or notified
  template <class M>
  bool wait_once(std::unique_lock<M>& lock, Deadline deadline, Until until);
  [[nodiscard]] std::uint64_t notified() const noexcept { return words_->notified.load(std::memory_order_relaxed); }
  // Since notified() was `begin`. False: the time is up.
  bool sleep(std::uint64_t begin, Deadline deadline, Until until) noexcept;
  void notify(int count) noexcept;

  layout::Condition* words_;
};

template <class M>
bool Condition::wait_once(std::unique_lock<M>& lock, Deadline deadline, Until until) {
  static_assert(
      requires(M& m) {
        { m.unlock() } -> std::same_as<bool>;
      }, "a Condition between processes needs a mutex between processes. Remedy: std::unique_lock<warren::Mutex>");
  WARREN_CHECK(lock.owns_lock(), "a Condition waits with a lock that is held");
  const std::uint64_t begin = notified();  // while the mutex is held: nothing that changes later is missed
  detail::LetGo<M> mutex(*lock.mutex());
  if (!mutex.was_held()) {
    detail::throw_not_held(
        "a Condition waits with a lock that this thread holds; by the mutex it does not, which a process that shares "
        "it may have written");
  }
  WARREN_CRASH_POINT(condition_waits);  // nothing is left that anybody could wait for
  const bool in_time = sleep(begin, deadline, until);
  WARREN_CRASH_POINT(condition_woken);  // others return when their slices end, since notified() is not what they saw
  mutex.take_back();
  return in_time;
}

template <class M, std::predicate Predicate>
bool Condition::wait_until(std::unique_lock<M>& lock, Deadline t, Predicate predicate) {
  while (!predicate()) {
    if (!wait_once(lock, t, Until::kSliceEnds)) return predicate();
  }
  return true;
}

}  // namespace warren
