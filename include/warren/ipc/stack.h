// Stack<T>: a bounded stack of many producers and many consumers, in any processes: last in, first out.
//
// Every item that a push committed is popped exactly once, whoever is killed and when. A producer that is killed before
// its commit has pushed nothing. A consumer that is killed after it took an item takes it along: at most one per kill.
//
// Who changes the stack holds its lock for as long as it copies an item. A holder that is killed holds up nobody for
// longer than it takes to find it dead, and leaves nothing to repair. A holder that is stopped (SIGSTOP, not dead)
// holds up every push and pop, also those that try, until it goes on; timed ones give up when their time is over, and
// close(), closed(), drained() and approx_size() wait for nobody.
//
// Lifetime, closing, signals and what T may be are as Queue has them (queue.h): pushes and pops are not for signal
// handlers. Plain bytes, up to 256 of them, lie in the stack's slots: room for all of them is promised when the stack
// is made. Anything else takes memory of the stack's when it is pushed, and is refused when memory ends. Algorithm,
// ordering and crash tables: docs/algorithms/locked_slots.md, parcels.md.
#pragma once
#include <warren/ipc/detail/locked_items.h>
#include <warren/ipc/detail/stack_slots.h>
#include <warren/ipc/queue.h>

#include <optional>
#include <string_view>

namespace warren {

struct StackOptions {
  std::size_t capacity = 1024;                   // items, at least 1
  std::size_t max_item_bytes = 0;                // larger ones are refused; 0: whatever fits, up to 4 GiB
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name, and of what is on the stack
};

// Thread-safe and process-safe. Handles pass to other processes by fork, by name and as values (handle.h).
template <class T>
class Stack : public Handle {
  static_assert(detail::check_carriable<T>());
  using Items = detail::LockedItems<T, detail::StackSlots>;
  static constexpr bool kNoThrow = Items::kNoThrow;  // else what encoding or making a T throws; an item popped is gone

 public:
  using value_type = T;

  // Errors are Segment's; InvalidArgument for a capacity that cannot be, and for max_item_bytes that no T has.
  static absl::StatusOr<Stack> create(const StackOptions& options = {}) {
    return detail::Factory::create<Stack>(options);
  }
  static absl::StatusOr<Stack> create(std::string_view name, const StackOptions& options = {}) {
    return detail::Factory::create<Stack>(name, options);
  }
  static absl::StatusOr<Stack> open(std::string_view name) { return detail::Factory::open<Stack>(name); }
  // Whoever comes first decides capacity and lifetime; the options of the others are not looked at, but must be valid.
  static absl::StatusOr<Stack> open_or_create(std::string_view name, const StackOptions& options = {}) {
    return detail::Factory::open_or_create<Stack>(name, options);
  }
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Blocks while full. False: refused, nothing was taken: closed, never fits, or memory ended; check(item) says which.
  bool push(const T& item) { return items_.push_until(item, 0, Deadline::never()); }
  [[nodiscard]] bool try_push(const T& item) noexcept(kNoThrow) { return items_.try_push(item, 0); }
  [[nodiscard]] bool try_push_for(const T& item, Timeout d) { return items_.push_until(item, 0, Deadline::after(d)); }
  [[nodiscard]] bool try_push_until(const T& item, Deadline t) { return items_.push_until(item, 0, t); }

  // nullopt of pop(): closed and drained. nullopt of try_*: nothing now; drained() says whether ever.
  [[nodiscard]] std::optional<T> pop() { return items_.pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<T> try_pop() noexcept(kNoThrow) { return items_.try_pop(); }
  [[nodiscard]] std::optional<T> try_pop_for(Timeout d) { return items_.pop_until(Deadline::after(d)); }
  [[nodiscard]] std::optional<T> try_pop_until(Deadline t) { return items_.pop_until(t); }

  void close() noexcept { items_.slots().close(); }  // pushes are refused from now on; pops drain
  [[nodiscard]] bool closed() const noexcept { return items_.slots().closed(); }
  // Closed and empty; once true, true for ever. The way to tell the end from "nothing now": closed() after a failed pop
  // races with a last push.
  [[nodiscard]] bool drained() const noexcept { return items_.slots().drained(); }

  // For poll, select and epoll, and for wait() (pipe.h), as Queue's: readable while an item or the end may be taken,
  // and from then on until a try, a pop with a time limit or wait() finds nothing.
  [[nodiscard]] int fileno() const { return items_.fileno(); }

  // Why push refuses the item now: OutOfRange closed, InvalidArgument never fits, what its codec says,
  // ResourceExhausted full or no memory for the item or this thread's lane.
  [[nodiscard]] absl::Status check(const T& item) const { return items_.check(item, "stack"); }
  [[nodiscard]] std::size_t approx_size() const noexcept { return items_.slots().approx_size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return items_.slots().capacity(); }
  // Of QueueStats `buried` and `returned` are always 0 here, and `high_water` is exact, but for a push that is under
  // way.
  [[nodiscard]] QueueStats stats() const noexcept { return items_.template stats<QueueStats>(); }

 private:
  friend class detail::Factory;
  friend class Waitable;
  Stack(detail::Attachment::Pointer attachment, Items items) noexcept
      : Handle(std::move(attachment)), items_(std::move(items)) {}
  [[nodiscard]] bool readable() const noexcept { return items_.readable(); }
  static absl::StatusOr<detail::SegmentPlan> plan(const StackOptions& options) {
    return Items::plan(options.capacity, options.max_item_bytes);
  }
  static detail::SegmentExpectation expectation() { return Items::expectation(); }
  static absl::StatusOr<Stack> attach(detail::Attachment::Pointer attachment) {
    absl::StatusOr<Items> items = Items::attach(attachment);
    if (!items.ok()) return items.status();
    return Stack(std::move(attachment), *std::move(items));
  }

  Items items_;
};

}  // namespace warren
