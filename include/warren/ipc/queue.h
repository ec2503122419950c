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
// Closing is for ever. To start anew under the same name, one process, the one that starts the others, say, unlinks it
// and creates another queue: when the old one is closed and drained, or at its own start. Who holds the old queue keeps
// that one, closed as it is, and sees nothing of the new: it has to open the name again. With kWhileAttached nobody
// need unlink: the name goes with the last who leaves.
//
// A blocking call goes on after a signal handler ran, and returns for no signal. A loop that must notice one pops
// (pushes) with a time limit and looks at its flag in between. Not from signal handlers: a push that interrupts another
// push of its thread can lose that one's item.
// Words: a push claims its place and commits its item there; a claim whose producer died in between is buried, that is,
// passed over; a lane is a thread's entry in the table of those who are attached.
// Algorithm, ordering and crash tables: docs/algorithms/mpmc_ring.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/ipc/time.h>

#include <optional>
#include <span>
#include <string_view>

namespace warren {

struct QueueOptions {
  std::size_t capacity = 0;                      // items; 0: unbounded, it grows until memory ends
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name, and of what is in the queue
};

struct QueueStats {
  std::uint64_t pushed = 0;  // claims, also those that were buried
  std::uint64_t popped = 0;  // items taken, and buried claims passed
  std::uint64_t buried = 0;  // claims of producers that died before their commit; a kill may leave it one too low
};

// Thread-safe and process-safe. T is plain bytes. Handles pass to other processes by fork, by name and as values
// (handle.h).
template <class T>
class Queue : public Handle {
  static_assert(detail::check_plain<T>());
  using Ring = detail::MpmcRing<detail::kWordsOf<T>>;

 public:
  using value_type = T;

  // Errors are Segment's; InvalidArgument for a capacity that cannot be.
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

  // Blocks while full. False: refused, nothing was taken: closed, or memory ended; check(item) says which. An unbounded
  // queue is never full, and leaves the machine 64 MiB.
  bool push(const T& item) { return push_until(item, Deadline::never()); }
  [[nodiscard]] bool try_push(const T& item) noexcept;
  [[nodiscard]] bool try_push_for(const T& item, Timeout d) { return push_until(item, Deadline::after(d)); }
  [[nodiscard]] bool try_push_until(const T& item, Deadline t) { return push_until(item, t); }

  // nullopt of pop(): closed and drained. nullopt of try_*: nothing now; drained() says whether ever.
  [[nodiscard]] std::optional<T> pop() { return pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<T> try_pop() noexcept;
  [[nodiscard]] std::optional<T> try_pop_for(Timeout d) { return pop_until(Deadline::after(d)); }
  [[nodiscard]] std::optional<T> try_pop_until(Deadline t) { return pop_until(t); }

  // Batches: how many, from the front; other producers' items may stand between. push_n blocks for all (fewer: closed),
  // pop_n for at least one (0: closed and drained).
  [[nodiscard]] std::size_t push_n(std::span<const T> items);
  [[nodiscard]] std::size_t try_push_n(std::span<const T> items) noexcept;
  [[nodiscard]] std::size_t pop_n(std::span<T> out);
  [[nodiscard]] std::size_t try_pop_n(std::span<T> out) noexcept;

  void close() noexcept { ring_.close(); }  // pushes are refused from now on; pops drain
  [[nodiscard]] bool closed() const noexcept { return ring_.closed(); }
  // Closed and empty; once true, true for ever. The way to tell the end from "nothing now": closed() after a failed pop
  // races with a last push.
  [[nodiscard]] bool drained() const noexcept { return Ring(ring_).drained(attachment_->seat()); }

  // Why push refuses the item now: OutOfRange closed, ResourceExhausted full or no memory for this thread's lane.
  [[nodiscard]] absl::Status check(const T& item) const;
  [[nodiscard]] std::size_t approx_size() const noexcept { return ring_.approx_size(); }
  // Unbounded: what its address space holds.
  [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }
  [[nodiscard]] QueueStats stats() const noexcept {
    return {.pushed = ring_.pushed(), .popped = ring_.taken(), .buried = ring_.buried()};
  }

 private:
  friend class detail::Factory;
  Queue(detail::Attachment::Pointer attachment, layout::MpmcRingHeader& header,
        const detail::MpmcGeometry& geometry) noexcept
      : Handle(std::move(attachment)), ring_(*attachment_, header, geometry) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const QueueOptions& options);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kQueue, .element = detail::element_type<T>()};
  }
  static absl::StatusOr<Queue> attach(detail::Attachment::Pointer attachment);

  bool push_until(const T& item, Deadline deadline);
  std::optional<T> pop_until(Deadline deadline);
  void pushed(std::size_t count) noexcept {
    detail::notify(ring_.not_empty(), attachment_->wait_mode(), static_cast<int>(count));
  }
  void popped(std::size_t count) noexcept {
    detail::notify(ring_.not_full(), attachment_->wait_mode(), static_cast<int>(count));
  }

  Ring ring_;
};

template <class T>
absl::StatusOr<detail::SegmentPlan> Queue<T>::plan(const QueueOptions& options) {
  if (absl::Status status = detail::check_capacity(options.capacity, Ring::kSlotBytes); !status.ok()) return status;
  const detail::MpmcGeometry geometry = detail::MpmcGeometry::of(options.capacity, Ring::kSlotBytes);
  return detail::SegmentPlan{
      .kind = layout::ObjectKind::kQueue,
      .size = geometry.committed_bytes(Ring::kSlotBytes),
      .max_size = geometry.bytes(Ring::kSlotBytes),
      .element = detail::element_type<T>(),
      .wait_words = {offsetof(layout::MpmcRingHeader, not_empty), offsetof(layout::MpmcRingHeader, not_full)},
      .initialise = [geometry](std::span<std::byte> object) {
        Ring::initialise(*reinterpret_cast<layout::MpmcRingHeader*>(object.data()), geometry, sizeof(T));
      }};
}

template <class T>
absl::StatusOr<Queue<T>> Queue<T>::attach(detail::Attachment::Pointer attachment) {
  auto& header = *reinterpret_cast<layout::MpmcRingHeader*>(attachment->object());
  const absl::StatusOr<detail::MpmcGeometry> geometry = Ring::check(header, attachment->max_size(), sizeof(T));
  if (!geometry.ok()) return geometry.status();
  return Queue(std::move(attachment), header, *geometry);
}

template <class T>
bool Queue<T>::try_push(const T& item) noexcept {
  if (ring_.try_push(attachment_->seat(), detail::to_words(item)) != detail::Push::kPushed) return false;
  pushed(1);
  return true;
}

template <class T>
std::optional<T> Queue<T>::try_pop() noexcept {
  detail::Words<detail::kWordsOf<T>> words;
  if (ring_.try_pop(attachment_->seat(), words) != detail::Front::kItem) return std::nullopt;
  popped(1);
  return detail::from_words<T>(words);
}

template <class T>
bool Queue<T>::push_until(const T& item, Deadline deadline) {
  detail::Seat& seat = attachment_->seat();
  const auto words = detail::to_words(item);
  detail::Push result = detail::Push::kFull;
  (void)attachment_->wait_for_change(ring_.not_full(), seat.push_spinner, deadline, [&] {
    result = ring_.try_push(seat, words);
    return result == detail::Push::kFull ? detail::Progress::kBlocked : detail::Progress::kDone;
  });
  if (result != detail::Push::kPushed) return false;
  pushed(1);
  return true;
}

template <class T>
std::optional<T> Queue<T>::pop_until(Deadline deadline) {
  detail::Seat& seat = attachment_->seat();
  detail::Words<detail::kWordsOf<T>> words;
  detail::Front front = detail::Front::kEmpty;
  std::uint64_t held_up_by = 0;
  (void)attachment_->wait_for_change(ring_.not_empty(), seat.pop_spinner, deadline, [&] {
    front = ring_.try_pop(seat, words);
    return ring_.progress(front, held_up_by);
  });
  if (front != detail::Front::kItem) return std::nullopt;
  popped(1);
  // Wakes for the items behind may have gone to this thread, which looked again and again.
  if (held_up_by != 0) pushed(1);
  return detail::from_words<T>(words);
}

template <class T>
std::size_t Queue<T>::try_push_n(std::span<const T> items) noexcept {
  detail::Seat& seat = attachment_->seat();
  std::size_t count = 0;
  while (count < items.size() && ring_.try_push(seat, detail::to_words(items[count])) == detail::Push::kPushed) ++count;
  if (count != 0) pushed(count);
  return count;
}

template <class T>
std::size_t Queue<T>::push_n(std::span<const T> items) {
  std::size_t count = 0;
  for (;;) {
    count += try_push_n(items.subspan(count));
    if (count == items.size() || !push(items[count])) return count;
    ++count;
  }
}

template <class T>
std::size_t Queue<T>::try_pop_n(std::span<T> out) noexcept {
  if (out.empty()) return 0;
  detail::Front front = detail::Front::kEmpty;
  const std::size_t count = ring_.try_pop_run(
      attachment_->seat(), out.size(),
      [&](std::size_t i, const auto& words) { std::memcpy(static_cast<void*>(&out[i]), words.data(), sizeof(T)); },
      front);
  if (count != 0) popped(count);
  return count;
}

template <class T>
std::size_t Queue<T>::pop_n(std::span<T> out) {
  if (out.empty()) return 0;
  if (const std::size_t count = try_pop_n(out); count != 0) return count;
  std::optional<T> first = pop();
  if (!first) return 0;
  std::memcpy(static_cast<void*>(out.data()), static_cast<const void*>(&*first), sizeof(T));
  return 1 + try_pop_n(out.subspan(1));
}

template <class T>
absl::Status Queue<T>::check(const T&) const {
  if (closed()) return absl::OutOfRangeError("the queue is closed");
  detail::Seat& seat = attachment_->seat();
  if (const detail::SeatUse use(seat); seat.lane == nullptr) {
    return absl::ResourceExhaustedError("no memory or no descriptor for this thread's lane in the queue's segment");
  }
  if (!Ring(ring_).memory_left()) return absl::ResourceExhaustedError("no memory for more items");
  if (approx_size() >= capacity()) return absl::ResourceExhaustedError("the queue is full");
  return absl::OkStatus();
}

}  // namespace warren
