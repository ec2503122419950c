// SpscQueue<T>: one producer, one consumer, plain bytes: the fastest way from one process to another.
//
// What was committed is delivered exactly once, whoever is killed and when; a consumer that is killed between the copy
// and the commit of its take gets nothing, and its successor gets the item.
// A producer that dies is not end of stream, closing is for ever, and signals end no call: as with Queue, which says
// how to start anew. Not from signal handlers that interrupt a call of the same side. Algorithm, ordering and crash
// tables: docs/algorithms/spsc_ring.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/detail/spsc_ring.h>
#include <warren/ipc/spsc_records.h>  // its sister, of records of any length
#include <warren/ipc/time.h>

#include <optional>
#include <span>
#include <string_view>

namespace warren {

class Waitable;

struct SpscOptions {
  std::size_t capacity = 1024;                   // items; always bounded, rounded up to a power of two
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name, and of what is in the queue
};

// The first thread that pushes (pops) owns that side until it ends: the thread, not its process, and there is no giving
// back before. A second one, also of the same process, is refused while the owner lives: false, nullopt; check() and
// claim_*() say who owns it. A dead owner's side is taken over by whoever comes next. So threads that take turns want a
// Queue.
// Thread-safe and process-safe as far as that goes. Handles pass to other processes by fork, by name and as values
// (handle.h).
template <class T>
class SpscQueue : public Handle {
  static_assert(detail::check_plain<T>());
  static_assert(alignof(T) <= sizeof(layout::SpscRingHeader), "the slots are aligned to 256 bytes, and T wants more");

 public:
  using value_type = T;

  // Errors are Segment's; InvalidArgument for a capacity of 0 or one that cannot be.
  static absl::StatusOr<SpscQueue> create(const SpscOptions& options = {}) {
    return detail::Factory::create<SpscQueue>(options);
  }
  static absl::StatusOr<SpscQueue> create(std::string_view name, const SpscOptions& options = {}) {
    return detail::Factory::create<SpscQueue>(name, options);
  }
  static absl::StatusOr<SpscQueue> open(std::string_view name) { return detail::Factory::open<SpscQueue>(name); }
  // Whoever comes first decides capacity and lifetime, as with Queue.
  static absl::StatusOr<SpscQueue> open_or_create(std::string_view name, const SpscOptions& options = {}) {
    return detail::Factory::open_or_create<SpscQueue>(name, options);
  }
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Optional: early, and with a reason. AlreadyExists names the living owner.
  absl::Status claim_producer() { return ring_.claim(detail::Side::kProducer); }
  absl::Status claim_consumer() { return ring_.claim(detail::Side::kConsumer); }

  // Blocks while full. False: refused, nothing was taken: closed, or another living thread owns the side; check(item)
  // says which.
  bool push(const T& item) { return try_push(item) || push_until(item, Deadline::never()); }
  [[nodiscard]] bool try_push(const T& item) noexcept;
  [[nodiscard]] bool try_push_for(const T& item, Timeout d) {
    return try_push(item) || push_until(item, Deadline::after(d));
  }
  [[nodiscard]] bool try_push_until(const T& item, Deadline t) { return try_push(item) || push_until(item, t); }

  // nullopt of pop(): closed and drained, or not the owner. nullopt of try_*: nothing now; drained() says whether ever.
  // Where items stream, whoever finds none, or no room, takes about a microsecond at most to look again.
  [[nodiscard]] std::optional<T> pop() { return try_pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<T> try_pop() noexcept;
  [[nodiscard]] std::optional<T> try_pop_for(Timeout d);
  [[nodiscard]] std::optional<T> try_pop_until(Deadline t);

  // Batches: how many, from the front, published by one store. push_n blocks for all (fewer: closed), pop_n for at
  // least one (0: closed and drained).
  [[nodiscard]] std::size_t push_n(std::span<const T> items);
  [[nodiscard]] std::size_t try_push_n(std::span<const T> items) noexcept;
  [[nodiscard]] std::size_t pop_n(std::span<T> out);
  [[nodiscard]] std::size_t try_pop_n(std::span<T> out) noexcept;

  // In place: write up to size() slots, then commit(n) of them; look at what is there, then consume(n). Fewer than
  // asked for where the ring wraps, is full or empty. What was prepared and not committed nobody saw. More than
  // prepare() or peek() could show: nothing happens; nor does it once the queue is closed, for commit().
  [[nodiscard]] std::span<T> prepare(std::size_t n) noexcept;
  void commit(std::size_t n) noexcept;
  [[nodiscard]] std::span<const T> peek() const noexcept;
  void consume(std::size_t n) noexcept;

  void close() noexcept { ring_.close(); }  // by anybody; pushes are refused from now on, pops drain
  [[nodiscard]] bool closed() const noexcept { return ring_.closed(); }
  [[nodiscard]] bool drained() const noexcept { return ring_.drained(); }  // once true, true for ever
  // The consumer's, for poll, select and epoll, and for wait() (pipe.h): readable while an item or the end may be
  // taken, and from then on until a try, a pop with a time limit, peek() or wait() finds nothing. As Queue's (queue.h)
  // otherwise. Claims nothing: where another thread owns the consumer's side, it tells of items that only that takes.
  [[nodiscard]] int fileno() const { return ring_.readable_when_filled(kAstray); }
  // Why push refuses the item now: OutOfRange closed, AlreadyExists another living thread owns the producer's side (it
  // says which), DataLoss a peer left indices that cannot be, ResourceExhausted full or no memory for this thread's
  // lane. Claims nothing.
  [[nodiscard]] absl::Status check(const T& item) const;
  [[nodiscard]] std::size_t approx_size() const noexcept { return ring_.approx_size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

 private:
  friend class detail::Factory;
  friend class Waitable;
  static constexpr detail::Progress kAstray = detail::Progress::kBlocked;  // of indices that cannot be nothing comes
  SpscQueue(detail::Attachment::Pointer attachment, layout::SpscRingHeader& header, std::uint64_t capacity)
      : Handle(std::move(attachment)), ring_(*attachment_, header, capacity, sizeof(T)) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const SpscOptions& options);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kSpscQueue, .element = detail::element_type<T>()};
  }
  static absl::StatusOr<SpscQueue> attach(detail::Attachment::Pointer attachment);

  // What waits. Out of the way of what mostly happens, which is to find room, or an item, and is inlined.
  [[gnu::noinline]] bool push_until(const T& item, Deadline deadline);
  [[gnu::noinline]] bool wait_for_item(Deadline deadline);
  // The consumer's: is there an item; and takes the one that there is.
  [[nodiscard]] bool filled() noexcept { return ring_.owns(detail::Side::kConsumer) && ring_.readable(1) != 0; }
  T take() noexcept;
  [[nodiscard]] bool readable() const noexcept {
    const bool done = ring_.look(kAstray) == detail::Progress::kDone;
    if (!done) ring_.found_nothing();
    return done;
  }
  bool publish(std::size_t count) noexcept;
  void release(std::size_t count) noexcept;
  std::size_t write_run(std::span<const T> items) noexcept;
  std::size_t read_run(std::span<T> out) noexcept;

  mutable detail::SpscRing ring_;
};

template <class T>
absl::StatusOr<detail::SegmentPlan> SpscQueue<T>::plan(const SpscOptions& options) {
  if (options.capacity == 0)
    return absl::InvalidArgumentError("a capacity of 0: say how many items fit, {.capacity = 1024}");
  if (absl::Status status = detail::check_capacity(options.capacity, sizeof(T)); !status.ok()) return status;
  return detail::SegmentPlan{
      .kind = layout::ObjectKind::kSpscQueue,
      .size = detail::SpscRing::bytes_for(options.capacity, sizeof(T)),
      .element = detail::element_type<T>(),
      .wait_words = {offsetof(layout::SpscRingHeader, not_empty), offsetof(layout::SpscRingHeader, not_full)},
      .initialise = [capacity = options.capacity](std::span<std::byte> object) {
        detail::SpscRing::initialise(*reinterpret_cast<layout::SpscRingHeader*>(object.data()), capacity, sizeof(T));
      }};
}

template <class T>
absl::StatusOr<SpscQueue<T>> SpscQueue<T>::attach(detail::Attachment::Pointer attachment) {
  auto& header = *reinterpret_cast<layout::SpscRingHeader*>(attachment->object());
  const absl::StatusOr<std::uint64_t> capacity = detail::SpscRing::check(header, attachment->size(), sizeof(T));
  if (!capacity.ok()) return capacity.status();
  return SpscQueue(std::move(attachment), header, *capacity);
}

template <class T>
inline bool SpscQueue<T>::publish(std::size_t count) noexcept {
  if (!ring_.commit(count)) return false;
  detail::notify(ring_.not_empty(), attachment_->wait_mode(), detail::kWakeAll);
  return true;
}

template <class T>
inline void SpscQueue<T>::release(std::size_t count) noexcept {
  ring_.consume(count);
  detail::notify(ring_.not_full(), attachment_->wait_mode(), detail::kWakeAll);
}

template <class T>
std::size_t SpscQueue<T>::write_run(std::span<const T> items) noexcept {
  const std::size_t run = std::min(ring_.writable(items.size()), ring_.until_wrap(detail::Side::kProducer));
  if (run == 0) return 0;
  std::memcpy(static_cast<void*>(ring_.write_place()), items.data(), run * sizeof(T));
  return publish(run) ? run : 0;
}

template <class T>
std::size_t SpscQueue<T>::read_run(std::span<T> out) noexcept {
  const std::size_t run = std::min(ring_.readable(out.size()), ring_.until_wrap(detail::Side::kConsumer));
  if (run == 0) return 0;
  std::memcpy(static_cast<void*>(out.data()), ring_.read_place(), run * sizeof(T));
  release(run);
  return run;
}

template <class T>
inline bool SpscQueue<T>::try_push(const T& item) noexcept {
  if (!ring_.owns(detail::Side::kProducer) || ring_.writable(1) == 0) return false;
  std::memcpy(ring_.write_place(), static_cast<const void*>(&item), sizeof(T));
  return publish(1);
}

// Each of these makes its optional in one place, of a T. Else GCC keeps one of a word in memory, and reads it as a
// whole right after its parts were written, which waits until all stores before it have left for the cache.
template <class T>
inline std::optional<T> SpscQueue<T>::try_pop() noexcept {
  if (filled()) return take();
  ring_.found_nothing();
  return std::nullopt;
}

template <class T>
inline std::optional<T> SpscQueue<T>::try_pop_for(Timeout d) {
  if (!filled() && !wait_for_item(Deadline::after(d))) return std::nullopt;
  return take();
}

template <class T>
inline std::optional<T> SpscQueue<T>::try_pop_until(Deadline t) {
  if (!filled() && !wait_for_item(t)) return std::nullopt;
  return take();
}

template <class T>
[[gnu::always_inline]] inline T SpscQueue<T>::take() noexcept {
  const T item = *std::launder(reinterpret_cast<const T*>(ring_.read_place()));
  release(1);
  return item;
}

template <class T>
bool SpscQueue<T>::push_until(const T& item, Deadline deadline) {
  if (!ring_.owns(detail::Side::kProducer)) return false;
  bool pushed = false;
  (void)attachment_->wait_for_change(ring_.not_full(), ring_.side(detail::Side::kProducer).spinner, deadline, [&] {
    pushed = try_push(item);
    return pushed || closed() ? detail::Progress::kDone : detail::Progress::kBlocked;
  });
  return pushed;
}

template <class T>
bool SpscQueue<T>::wait_for_item(Deadline deadline) {
  if (!ring_.owns(detail::Side::kConsumer)) return false;
  bool found = false;
  (void)attachment_->wait_for_change(ring_.not_empty(), ring_.side(detail::Side::kConsumer).spinner, deadline, [&] {
    found = filled();
    if (found) return detail::Progress::kDone;
    if (!closed()) return detail::Progress::kBlocked;
    ring_.restore_head();
    return drained() ? detail::Progress::kDone : detail::Progress::kStalled;
  });
  if (!found) ring_.found_nothing();
  return found;
}

template <class T>
std::size_t SpscQueue<T>::try_push_n(std::span<const T> items) noexcept {
  if (!ring_.owns(detail::Side::kProducer)) return 0;
  const std::size_t first = write_run(items);
  return first == 0 ? 0 : first + write_run(items.subspan(first));
}

template <class T>
std::size_t SpscQueue<T>::push_n(std::span<const T> items) {
  std::size_t count = 0;
  for (;;) {
    count += try_push_n(items.subspan(count));
    if (count == items.size() || !push(items[count])) return count;
    ++count;
  }
}

template <class T>
std::size_t SpscQueue<T>::try_pop_n(std::span<T> out) noexcept {
  if (!ring_.owns(detail::Side::kConsumer)) return 0;
  const std::size_t first = read_run(out);
  if (first == 0) ring_.found_nothing();
  return first == 0 ? 0 : first + read_run(out.subspan(first));
}

template <class T>
std::size_t SpscQueue<T>::pop_n(std::span<T> out) {
  if (out.empty()) return 0;
  if (const std::size_t count = try_pop_n(out); count != 0) return count;
  const std::optional<T> first = pop();
  if (!first) return 0;
  std::memcpy(static_cast<void*>(out.data()), static_cast<const void*>(&*first), sizeof(T));
  return 1 + try_pop_n(out.subspan(1));
}

template <class T>
std::span<T> SpscQueue<T>::prepare(std::size_t n) noexcept {
  if (!ring_.owns(detail::Side::kProducer) || closed()) return {};
  const std::size_t run = std::min(ring_.writable(n), ring_.until_wrap(detail::Side::kProducer));
  return {std::launder(reinterpret_cast<T*>(ring_.write_place())), run};
}

template <class T>
void SpscQueue<T>::commit(std::size_t n) noexcept {
  if (!ring_.owns(detail::Side::kProducer) || n == 0) return;
  if (n <= std::min(ring_.writable(n), ring_.until_wrap(detail::Side::kProducer))) (void)publish(n);
}

template <class T>
std::span<const T> SpscQueue<T>::peek() const noexcept {
  if (!ring_.owns(detail::Side::kConsumer)) return {};
  const std::size_t run = std::min(ring_.readable(ring_.capacity()), ring_.until_wrap(detail::Side::kConsumer));
  if (run == 0) ring_.found_nothing();
  return {std::launder(reinterpret_cast<const T*>(ring_.read_place())), run};
}

template <class T>
void SpscQueue<T>::consume(std::size_t n) noexcept {
  if (!ring_.owns(detail::Side::kConsumer) || n == 0) return;
  if (n <= std::min(ring_.readable(n), ring_.until_wrap(detail::Side::kConsumer))) release(n);
}

template <class T>
absl::Status SpscQueue<T>::check(const T&) const {
  if (closed()) return absl::OutOfRangeError("the queue is closed");
  if (absl::Status status = ring_.claimable(detail::Side::kProducer); !status.ok()) return status;
  if (approx_size() >= capacity()) return absl::ResourceExhaustedError("the queue is full");
  return absl::OkStatus();
}

}  // namespace warren
