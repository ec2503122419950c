// Queue<T>: a queue of many producers and many consumers, in any processes, bounded or not.
//
// Every item that a push committed is popped exactly once, whoever is killed and when. A consumer that is killed after
// it took an item takes it along: at most one per kill, with pop_n at most what that call took. First in, first out in
// the order of the pushes' claims. A producer that is stopped (SIGSTOP, not dead) between claim and commit holds up the
// items behind its own until it goes on.
//
// Items live as long as the queue: by default until the last attached process leaves it (Lifetime). So a producer that
// is done before its consumer comes needs Lifetime::kUntilUnlinked, or somebody who holds the queue meanwhile.
// A producer that dies is not end of stream: another may go on. Who must notice pops with a time limit and asks after
// the producer by what it knows of it.
//
// join() waits until as many items are done, by task_done(), as were pushed: those in the queue, those that are being
// worked on, and a push that is under way all count. An item whose consumer ended (was killed, returned, left the
// queue) before it called task_done() is lost: every join that waits then says so, Aborted, and the next one of every
// process that had the queue open and did not wait. After that the item is written off, and joins wait for the others.
// Who never joins need never call task_done(). An item is its thread's, once that ended its process's: any thread of
// the process may call task_done() for it. Another process may, too: where several have items that are not done, whose
// it was is not known then, and when one of them dies the wrong number may be told. A consumer of another PID or time
// namespace whose death nobody can tell is waited for.
//
// Closing is for ever. To start anew under the same name, one process, the one that starts the others, say, unlinks it
// and creates another queue: when the old one is closed and drained, or at its own start. Who holds the old queue keeps
// that one, closed as it is, and sees nothing of the new: it has to open the name again. With kWhileAttached nobody
// need unlink: the name goes with the last who leaves.
//
// lease() takes an item that stays the queue's until it is acknowledged, and comes back to the front if its holder dies
// or drops it: delivered at least once, and no kill takes one along (lease.h). Leases and pops mix freely.
//
// A blocking call goes on after a signal handler ran, and returns for no signal. A loop that must notice one pops
// (pushes) with a time limit and looks at its flag in between. Not from signal handlers: a push that interrupts another
// push of its thread can lose that one's item.
// Words: a push claims its place and commits its item there; a claim whose producer died in between is buried, that is,
// passed over; a lane is a thread's entry in the table of those who are attached.
//
// T is anything that travels (codec.h). Plain bytes, up to 256 of them, lie in the ring: room for all of them is
// promised when the queue is made. Anything else is a parcel: up to 112 bytes in the ring, more in memory of the
// queue's that is had when it is pushed, and refused when memory ends. A push takes a snapshot; a pop decodes what a
// peer wrote, and an item that makes no T is skipped and counted. A producer that waits for room holds none of that
// memory. Parcels of more than 32 KiB give their memory back to the machine when they are taken, but for the first
// 16 MiB of each power of two of sizes; what smaller ones took is used again, and given back with the queue.
// Algorithm, ordering and crash tables: docs/algorithms/mpmc_ring.md, elastic_slots.md, parcels.md,
// lease.md, join.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/queue_items.h>
#include <warren/ipc/lease.h>
#include <warren/ipc/loan.h>
#include <warren/ipc/time.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace warren {

class Waitable;

struct QueueOptions {
  std::size_t capacity = 0;  // items; 0: unbounded, it grows until memory ends, or its address space (4 GiB for each
                             // power of two of sizes above 112 bytes); takes 1.5 MiB when empty
  std::size_t max_item_bytes = 0;                // larger ones are refused; 0: whatever fits, up to 4 GiB
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name, and of what is in the queue
};

struct QueueStats {
  std::uint64_t pushed = 0;    // claims, also those that were buried
  std::uint64_t popped = 0;    // items taken, also on lease, and buried claims passed; one that came back counts once
  std::uint64_t buried = 0;    // claims of producers that died before their commit
  std::uint64_t returned = 0;  // leases that ended without ack(); a kill may leave it one too low
  std::uint64_t undecodable = 0;  // items that made no T, and were skipped
  // The most items that were in the queue at once, as its producers saw it; claims count, also those that were buried.
  // Never too high then. Too low by 8 at most, or an eighth if that is more, and in a bounded queue by an eighth of its
  // capacity at most; further where consumers took some while a producer was about to look, or it died before. Exact
  // once a push was told that the queue was full.
  std::uint64_t high_water = 0;
};

// Thread-safe and process-safe. Handles pass to other processes by fork, by name and as values
// (handle.h).
template <class T>
class Queue : public Handle {
  static_assert(detail::check_carriable<T>());
  using Items = detail::QueueItems<T>;
  // Else what encoding or making a T throws: an item popped is gone then, and done as one that makes none; one on lease
  // comes back.
  static constexpr bool kNoThrow = Items::kNoThrow;

 public:
  using value_type = T;

  // Errors are Segment's; InvalidArgument for a capacity that cannot be, and for max_item_bytes that no T has.
  static absl::StatusOr<Queue> create(const QueueOptions& options = {}) {
    return detail::Factory::create<Queue>(options);
  }
  static absl::StatusOr<Queue> create(std::string_view name, const QueueOptions& options = {}) {
    return detail::Factory::create<Queue>(name, options);
  }
  static absl::StatusOr<Queue> open(std::string_view name) { return detail::Factory::open<Queue>(name); }
  // Whoever comes first decides capacity and lifetime; the options of the others are not looked at, but must be valid.
  static absl::StatusOr<Queue> open_or_create(std::string_view name, const QueueOptions& options = {}) {
    return detail::Factory::open_or_create<Queue>(name, options);
  }
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Blocks while full. False: refused, nothing was taken: closed, never fits, or memory ended; check(item) says which.
  // An unbounded queue is never full. What grows, an unbounded queue or one of parcels, leaves the machine 64 MiB.
  bool push(const T& item) { return push_until(item, Deadline::never()); }
  [[nodiscard]] bool try_push(const T& item) noexcept(kNoThrow);
  [[nodiscard]] bool try_push_for(const T& item, Timeout d) { return push_until(item, Deadline::after(d)); }
  [[nodiscard]] bool try_push_until(const T& item, Deadline t) { return push_until(item, t); }

  // nullopt of pop(): closed and drained. nullopt of try_*: nothing now; drained() says whether ever.
  [[nodiscard]] std::optional<T> pop() { return pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<T> try_pop() noexcept(kNoThrow);
  [[nodiscard]] std::optional<T> try_pop_for(Timeout d) { return pop_until(Deadline::after(d)); }
  [[nodiscard]] std::optional<T> try_pop_until(Deadline t) { return pop_until(t); }

  // Batches: how many, from the front; other producers' items may stand between. push_n blocks for all (fewer: closed),
  // pop_n for at least one (0: closed and drained); what came back from a lease may be a batch of its own. A codec that
  // throws ends the batch there: what was done before is told, and only where that is nothing is the exception passed
  // on. So push_n of fewer has met a closed queue, or an item that throws when it is pushed again.
  [[nodiscard]] std::size_t push_n(std::span<const T> items);
  [[nodiscard]] std::size_t try_push_n(std::span<const T> items) noexcept(kNoThrow);
  [[nodiscard]] std::size_t pop_n(std::span<T> out);
  [[nodiscard]] std::size_t try_pop_n(std::span<T> out) noexcept(kNoThrow);

  // As pop(), and the item comes back to the front unless the Lease is acknowledged. An empty Lease: closed and
  // drained; of try_*: nothing now. An item on lease takes none of the capacity. Of a holder that dies it is back when
  // somebody who waits on the queue notices, within 32 ms for each 80 attached threads, or twice that; or when
  // somebody who polls it, or leases, has done so for 20 ms for each attached thread (80 ms to 2 s). At most 1023 are
  // on lease or back at one time: the next lease() waits, try_lease() gives none; so too where memory for leases, or
  // this process's lane, cannot be had.
  [[nodiscard]] Lease<T> lease() { return lease_until(Deadline::never()); }
  [[nodiscard]] Lease<T> try_lease() { return lease_until(Deadline::after(std::chrono::nanoseconds(0))); }
  [[nodiscard]] Lease<T> try_lease_for(Timeout d) { return lease_until(Deadline::after(d)); }
  [[nodiscard]] Lease<T> try_lease_until(Deadline t) { return lease_until(t); }

  // Memory of the queue to write an item into (loan.h); of a vector or string, so many elements. It is no claim to a
  // place: its push waits for room like any other. Empty: closed, never fits, memory ended. loan() waits while the
  // queue is full, try_loan() is empty then.
  [[nodiscard]] Loan<T> loan(std::size_t count = 1);
  [[nodiscard]] Loan<T> try_loan(std::size_t count = 1);
  // As push(item). False: `loan` keeps what it holds; also for one that is empty, or that neither this handle nor a
  // copy of it gave.
  bool push(Loan<T>&& loan);
  // As pop() and try_pop(), to be read where it lies.
  [[nodiscard]] Borrow<T> borrow();
  [[nodiscard]] Borrow<T> try_borrow();

  void close() noexcept { items_.ring().close(); }  // pushes are refused from now on; pops drain
  [[nodiscard]] bool closed() const noexcept { return items_.ring().closed(); }
  // Closed, empty, and nothing on lease, which may come back; once true, true for ever. The way to tell the end from
  // "nothing now": closed() after a failed pop races with a last push.
  [[nodiscard]] bool drained() const noexcept {
    return detail::MpmcRingBase(items_.ring()).drained(attachment_->seat());
  }
  // For poll, select and epoll, and for wait() (pipe.h): readable while an item or the end may be taken, and from then
  // on until a try, a pop with a time limit or drained() finds nothing. So take until there is nothing:
  //     while (auto item = queue.try_pop()) use(*item);
  //     if (queue.drained()) return;
  // It may be readable for nothing, where another process was quicker. -1: no descriptor or no thread is left. The
  // first call in a process starts a thread, which ends with the last handle, and handles no signal; a forked child has
  // to call it again, and gets another descriptor. From then on a push that finds the queue empty costs a call of the
  // kernel's. docs/algorithms/readiness.md.
  [[nodiscard]] int fileno() const {
    return attachment_->readable_when(items_.ring().not_empty(), [this] { return items_.ring().looker(); });
  }

  // One of the items that were popped is done. False: more often than that; nothing changed. An item on lease is done
  // by ack(), not by this; one that made no T when it is skipped. Blocks for nobody.
  bool task_done() noexcept {
    return items_.takes().finish_one(attachment_->seat(), [this] { return items_.ring().cells().passed(); });
  }
  // Waits until every item is done. Aborted: some were lost, with the process that ended last with one. With a time
  // limit also DeadlineExceeded.
  absl::Status join() { return join_until(Deadline::never()); }
  absl::Status join_for(Timeout d) { return join_until(Deadline::after(d)); }
  absl::Status join_until(Deadline t);

  // Why push refuses the item now: OutOfRange closed, InvalidArgument never fits, what its codec says,
  // ResourceExhausted full or no memory for the item or this thread's lane.
  [[nodiscard]] absl::Status check(const T& item) const;
  [[nodiscard]] std::size_t approx_size() const noexcept { return items_.ring().approx_size(); }
  // Unbounded: what its address space holds.
  [[nodiscard]] std::size_t capacity() const noexcept { return items_.ring().capacity(); }
  [[nodiscard]] QueueStats stats() const noexcept {
    const detail::MpmcRingBase& ring = items_.ring();
    return {.pushed = ring.pushed(),
            .popped = ring.taken(),
            .buried = ring.buried(),
            .returned = ring.cells().returned(),
            .undecodable = items_.undecodable(),
            .high_water = ring.high_water().mark_of_at_least(approx_size())};
  }

 private:
  friend class detail::Factory;
  friend class Waitable;
  Queue(detail::Attachment::Pointer attachment, Items items) noexcept
      : Handle(std::move(attachment)),
        items_(std::move(items)),
        told_(std::make_shared<std::atomic<std::uint32_t>>(items_.takes().lost())) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const QueueOptions& options) {
    return Items::plan(options.capacity, options.max_item_bytes);
  }
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kQueue, .element = Items::element()};
  }
  static absl::StatusOr<Queue> attach(detail::Attachment::Pointer attachment) {
    absl::StatusOr<Items> items = Items::attach(attachment);
    if (!items.ok()) return items.status();
    return Queue(std::move(attachment), *std::move(items));
  }

  // A try of `push(seat)`, of `take(seat)`; and where that does not do, what waits: for one that is not told "full",
  // for one that takes an item. That is out of the way of what mostly happens.
  template <class Try>
  bool push_or_wait(Deadline deadline, Try&& push);
  template <class Try>
  bool take_or_wait(Deadline deadline, Try&& take);
  template <class Try>
  [[gnu::noinline]] bool wait_to_push(Deadline deadline, Try& push);
  template <class Try>
  [[gnu::noinline]] bool wait_to_take(Deadline deadline, Try& take);
  bool pop_or_wait(Deadline deadline, typename Items::Incoming& item) {
    return take_or_wait(deadline, [&](detail::Seat& seat) { return items_.try_pop(seat, item); });
  }
  bool push_until(const T& item, Deadline deadline);
  std::optional<T> pop_until(Deadline deadline);
  Lease<T> lease_until(Deadline deadline);
  void pushed(std::size_t count) noexcept {
    detail::notify(items_.ring().not_empty(), attachment_->wait_mode(), static_cast<int>(count));
  }
  void popped(std::size_t count) noexcept {
    detail::notify(items_.ring().not_full(), attachment_->wait_mode(), static_cast<int>(count));
  }

  // Takes an item, or says that there is none.
  detail::Front take(typename Items::Incoming& item) noexcept(kNoThrow) {
    return told(items_.try_pop(attachment_->seat(), item));
  }
  // `front` is what a call ends with.
  detail::Front told(detail::Front front) const noexcept {
    if (front == detail::Front::kEmpty || front == detail::Front::kStalled) attachment_->found_nothing();
    return front;
  }
  [[nodiscard]] bool readable() const noexcept {
    const detail::Front front = told(detail::MpmcRingBase(items_.ring()).look(attachment_->seat()));
    return front == detail::Front::kItem || front == detail::Front::kReturned || front == detail::Front::kDrained;
  }

  // A slice is over: looks for the dead, and takes back what they had.
  void swept() noexcept {
    (void)attachment_->sweep();
    take_back_remains();
    items_.ring().give_back_leases_of_dead();
  }

  // Also of those that a look for leases found dead.
  void take_back_remains() noexcept {
    if (attachment_->remains()) [[unlikely]]
      items_.swept();
  }

  Items items_;
  std::shared_ptr<std::atomic<std::uint32_t>> told_;  // of the losses, by a join of this handle or of a copy
};

template <class T>
inline bool Queue<T>::try_push(const T& item) noexcept(kNoThrow) {
  typename Items::Outgoing outgoing(items_, item);
  if (items_.try_push(attachment_->seat(), outgoing) != detail::Push::kPushed) return false;
  pushed(1);
  return true;
}

template <class T>
inline std::optional<T> Queue<T>::try_pop() noexcept(kNoThrow) {
  typename Items::Incoming incoming(items_);
  while (take(incoming) == detail::Front::kItem) {
    popped(1);
    if (std::optional<T> item = items_.open(incoming)) return item;
  }
  return std::nullopt;
}

template <class T>
template <class Try>
inline bool Queue<T>::push_or_wait(Deadline deadline, Try&& push) {
  if (push(attachment_->seat()) != detail::Push::kPushed) [[unlikely]]
    return wait_to_push(deadline, push);
  pushed(1);
  return true;
}

template <class T>
template <class Try>
inline bool Queue<T>::take_or_wait(Deadline deadline, Try&& take) {
  if (take(attachment_->seat()) != detail::Front::kItem) return wait_to_take(deadline, take);
  popped(1);
  return true;
}

template <class T>
template <class Try>
bool Queue<T>::wait_to_push(Deadline deadline, Try& push) {
  detail::Push result = detail::Push::kFull;
  const auto once = [&] {
    result = push(attachment_->seat());
    return result == detail::Push::kFull ? detail::Progress::kBlocked : detail::Progress::kDone;
  };
  (void)attachment_->wait_for_change(items_.ring().not_full(), attachment_->seat().push_spinner, deadline, once,
                                     [this] { swept(); });
  if (result != detail::Push::kPushed) return false;
  pushed(1);
  return true;
}

template <class T>
template <class Try>
bool Queue<T>::wait_to_take(Deadline deadline, Try& take) {
  detail::Front front = detail::Front::kEmpty;
  std::uint64_t held_up_by = 0;
  const auto once = [&] {
    const detail::Front before = std::exchange(front, take(attachment_->seat()));
    if (front == detail::Front::kNoCell && before != front) pushed(1);  // the wake was for who needs no cell
    return items_.ring().progress(front, held_up_by);
  };
  (void)attachment_->wait_for_change(items_.ring().not_empty(), attachment_->seat().pop_spinner, deadline, once,
                                     [this] { swept(); });
  if (told(front) != detail::Front::kItem) {
    if (front == detail::Front::kNoCell) pushed(1);
    return false;
  }
  popped(1);
  // Wakes for the items behind may have gone to this thread, which looked again and again.
  if (held_up_by != 0) pushed(1);
  return true;
}

template <class T>
bool Queue<T>::push_until(const T& item, Deadline deadline) {
  typename Items::Outgoing outgoing(items_, item);
  return push_or_wait(deadline, [&](detail::Seat& seat) { return items_.try_push(seat, outgoing); });
}

template <class T>
std::optional<T> Queue<T>::pop_until(Deadline deadline) {
  typename Items::Incoming incoming(items_);
  while (pop_or_wait(deadline, incoming)) {
    if (std::optional<T> item = items_.open(incoming)) return item;
  }
  return std::nullopt;
}

template <class T>
absl::Status Queue<T>::join_until(Deadline t) {
  std::uint64_t held_up_by = 0;
  const auto look = [&] {
    const detail::Front front = items_.ring().look(attachment_->seat());
    const detail::Progress progress = items_.ring().progress(front, held_up_by);
    return progress == detail::Progress::kDone ? detail::Progress::kBlocked : progress;  // what is there wants a pop
  };
  const auto held = [this] { return items_.ring().cells().in_use(); };
  return items_.takes().join(t, *told_, look, held, [this] { swept(); });
}

template <class T>
Lease<T> Queue<T>::lease_until(Deadline deadline) {
  typename Items::OnLease taken;
  while (take_or_wait(deadline, [&](detail::Seat& seat) { return items_.try_lease(*attachment_, seat, taken); })) {
    detail::LeaseHold hold = items_.hold(attachment_, taken);
    if (std::optional<T> item = items_.open(taken)) return Lease<T>(std::move(hold), std::move(item));
    (void)hold.acknowledge();
  }
  take_back_remains();
  return Lease<T>();
}

template <class T>
std::size_t Queue<T>::try_push_n(std::span<const T> items) noexcept(kNoThrow) {
  detail::Seat& seat = attachment_->seat();
  std::size_t count = 0;
  try {
    for (; count < items.size(); ++count) {
      typename Items::Outgoing outgoing(items_, items[count]);
      if (items_.try_push(seat, outgoing) != detail::Push::kPushed) break;
    }
  } catch (...) {
    if constexpr (!kNoThrow) {
      if (count == 0) throw;
    }
  }
  if (count != 0) pushed(count);
  return count;
}

template <class T>
std::size_t Queue<T>::push_n(std::span<const T> items) {
  std::size_t count = 0;
  try {
    for (;; ++count) {
      count += try_push_n(items.subspan(count));
      if (count == items.size() || !push(items[count])) return count;
    }
  } catch (...) {
    if (count == 0) throw;
    return count;
  }
}

template <class T>
std::size_t Queue<T>::try_pop_n(std::span<T> out) noexcept(kNoThrow) {
  if (out.empty()) return 0;
  std::size_t taken = 0;  // with those that made no T: their places are free too
  const auto wake = [&] {
    if (taken != 0) popped(taken);
  };
  std::size_t count = 0;
  detail::Front front = detail::Front::kItem;
  try {
    count = items_.try_pop_n(attachment_->seat(), out, taken, front);
  } catch (...) {
    wake();
    if constexpr (!kNoThrow) throw;
  }
  wake();
  if (count == 0) (void)told(front);
  return count;
}

template <class T>
std::size_t Queue<T>::pop_n(std::span<T> out) {
  if (out.empty()) return 0;
  if (const std::size_t count = try_pop_n(out); count != 0) return count;
  std::optional<T> first = pop();
  if (!first) return 0;
  if constexpr (kCopyAsBytes<T>) {
    std::memcpy(static_cast<void*>(out.data()), static_cast<const void*>(&*first), sizeof(T));
  } else {
    out[0] = *std::move(first);
  }
  try {
    return 1 + try_pop_n(out.subspan(1));
  } catch (...) {
    return 1;
  }
}

template <class T>
Loan<T> Queue<T>::try_loan(std::size_t count) {
  static_assert(detail::check_lendable<T>());
  if (items_.ring().refusal()) return Loan<T>(detail::LentPlace<T>(nullptr));
  return items_.lend(count);
}

template <class T>
Loan<T> Queue<T>::loan(std::size_t count) {
  static_assert(detail::check_lendable<T>());
  const auto room = [&] {
    return items_.ring().refusal() == detail::Push::kFull ? detail::Progress::kBlocked : detail::Progress::kDone;
  };
  (void)attachment_->wait_for_change(items_.ring().not_full(), attachment_->seat().push_spinner, Deadline::never(),
                                     room, [this] { swept(); });
  popped(1);  // a wake that came here told of a place that is not taken yet: somebody else may take it
  return closed() ? Loan<T>(detail::LentPlace<T>(nullptr)) : items_.lend(count);
}

template <class T>
bool Queue<T>::push(Loan<T>&& loan) {
  if (!loan || !items_.lent(loan)) return false;
  return push_or_wait(Deadline::never(), [&](detail::Seat& seat) { return items_.try_push(seat, loan); });
}

template <class T>
Borrow<T> Queue<T>::try_borrow() {
  static_assert(detail::check_lendable<T>());
  typename Items::Incoming incoming(items_);
  while (take(incoming) == detail::Front::kItem) {
    popped(1);
    if (Borrow<T> item = items_.borrow(incoming)) return item;
  }
  return Borrow<T>(detail::LentPlace<T>(nullptr));
}

template <class T>
Borrow<T> Queue<T>::borrow() {
  static_assert(detail::check_lendable<T>());
  typename Items::Incoming incoming(items_);
  while (pop_or_wait(Deadline::never(), incoming)) {
    if (Borrow<T> item = items_.borrow(incoming)) return item;
  }
  return Borrow<T>(detail::LentPlace<T>(nullptr));
}

template <class T>
absl::Status Queue<T>::check(const T& item) const {
  if (items_.ring().pushed() >= layout::kMaxPosition) {
    return absl::OutOfRangeError("the queue has carried as many items as it can, 2^51: create another one");
  }
  if (closed()) return absl::OutOfRangeError("the queue is closed");
  detail::Seat& seat = attachment_->seat();
  if (const detail::SeatUse use(seat); seat.lane == nullptr) {
    return absl::ResourceExhaustedError("no memory or no descriptor for this thread's lane in the queue's segment");
  }
  if (absl::Status status = items_.check(item); !status.ok()) return status;
  if (!items_.memory_left()) return absl::ResourceExhaustedError("no memory for more items");
  if (approx_size() >= capacity()) return absl::ResourceExhaustedError("the queue is full");
  return absl::OkStatus();
}

}  // namespace warren
