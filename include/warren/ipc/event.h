// Event: a flag that processes wait for.
//
// It is set or clear. A set() releases everybody who waits then, also if it is cleared at once: who waited has seen it,
// even when they run much later. Set twice is set once. An event belongs to nobody: the death of a process, whatever it
// was doing, leaves it set or clear. Whoever dies between setting it and waking the others costs them what it
// takes to notice that (within 32 ms for each 80 attached threads, or twice that).
//
//     ready.set();                          // one process, when it is done
//     if (!ready.wait_for(2s)) give_up();   // the others
//
// What was written before set() is seen by whoever waited for it, and by who clears the event after it. So a loop
// clears first, then looks for work, then waits: what is announced meanwhile is not missed. Algorithm, ordering and
// crash tables: docs/algorithms/event.md.
#pragma once
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/time.h>
#include <warren/layout/event.h>

#include <string_view>

namespace warren {

class Waitable;

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h). A new event is clear.
class Event : public Handle {
 public:
  static absl::StatusOr<Event> create(const ObjectOptions& options = {});
  static absl::StatusOr<Event> create(std::string_view name, const ObjectOptions& options = {});
  static absl::StatusOr<Event> open(std::string_view name);
  static absl::StatusOr<Event> open_or_create(std::string_view name, const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Never block. May be called by a signal handler.
  void set() noexcept;
  void clear() noexcept;
  [[nodiscard]] bool is_set() const noexcept {
    const bool set = look().set;
    if (!set) attachment_->found_nothing();
    return set;
  }

  // Block until it is set, or was set since the call began; return at once where it is set. A signal does not end them.
  void wait() const { (void)wait_until(Deadline::never()); }
  bool wait_for(Timeout d) const { return wait_until(Deadline::after(d)); }  // false: the time is up
  bool wait_until(Deadline t) const;

  // For poll, select and epoll, and for wait() (pipe.h): readable while it is set. It may also be readable for nothing,
  // where another process has cleared it: is_set() then says false, and quietens it, as clear() does. A set() that is
  // cleared at once may not be seen here. -1: no descriptor or no thread is left. The first call in a process starts a
  // thread, which ends with the last handle, and handles no signal; a forked child has to call it again, and gets
  // another descriptor. docs/algorithms/readiness.md.
  [[nodiscard]] int fileno() const;

 private:
  friend class detail::Factory;
  friend class Waitable;
  using State = layout::EventState;
  Event(detail::Attachment::Pointer attachment, layout::Event& words) noexcept
      : Handle(std::move(attachment)), words_(&words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const ObjectOptions& options);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kEvent, .element = {}}; }
  static absl::StatusOr<Event> attach(detail::Attachment::Pointer attachment);

  [[nodiscard]] bool readable() const noexcept { return is_set(); }
  [[nodiscard]] State look() const noexcept {
    return State::from(words_->state.load(std::memory_order_acquire));  // [E3] what came before the set; pairs with E1
  }

  layout::Event* words_;
};

inline void Event::set() noexcept {
  std::uint64_t found = words_->state.load(std::memory_order_relaxed);
  // Written also where it is set: whoever clears it next must see what this process did before.
  while (!words_->state.compare_exchange_weak(found, State::from(found).when_set().word(),
                                              std::memory_order_release,  // [E1] what came before; pairs with E2 to E4
                                              std::memory_order_relaxed)) {
  }
  WARREN_CRASH_POINT(event_set);  // nobody is woken: slices bound the wait
  // Also where it was set: whoever set it may have died before it woke anybody.
  detail::notify(words_->waiters, attachment_->wait_mode(), detail::kWakeAll);
}

inline void Event::clear() noexcept {
  words_->state.fetch_and(~std::uint64_t{1},
                          std::memory_order_acquire);  // [E2] what those did who set it; pairs with E1
  attachment_->found_nothing();
}

}  // namespace warren
