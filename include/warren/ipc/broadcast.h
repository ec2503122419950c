// Broadcast<T>: every subscriber sees everything that is pushed from when it subscribed on, in the one order that all
// of them see. One writer or many, in any processes.
//
//     auto ticks = warren::Broadcast<Tick>::create("ticks", {.capacity = 4096}).value();
//     ticks.push(tick);
//
//     auto mine = warren::Broadcast<Tick>::open("ticks")->subscribe().value();
//     while (auto tick = mine.pop()) use(*tick);  // ends when it was closed, and all was seen
//
// What happens to a subscriber that is more than `capacity` items behind is decided when the broadcast is made:
//   kLoses         the oldest are overwritten; it goes on with the oldest that stands, and lost() says how many it did
//                  not see. Writers never wait for subscribers, of which there may be any number.
//   kBlocksWriter  push() waits for the slowest living subscriber, stopped ones (SIGSTOP) too. One that dies
//                  in whatever way, or detaches, is no longer waited for once that is noticed: within 32 ms of a
//                  blocked writer's sleep for each 80 attached threads, or twice that, or half a millisecond
//                  of tries. Up to 1,024 subscribers. Who pushes with a subscriber of its own that it does not read
//                  waits for itself.
// Without subscribers pushes succeed, and nobody sees what was pushed. What was pushed earlier no new subscriber sees.
// A writer that must not begin before its subscribers are there waits for a Latch that each counts down after
// subscribe().
//
// A push that returned true is seen by everybody who is subscribed, whoever is killed and when; one whose process was
// killed meanwhile is seen by all or by nobody. Writers take turns: one that is stopped in the midst of a push holds up
// the other writers until it goes on, and no subscriber; one that is killed there holds up nobody. Of one thread's
// pushes each comes after the one before.
//
// T is anything that travels (codec.h). Plain bytes, up to 256 of them, lie in the ring: memory for `capacity` of them
// is had when the broadcast is made. Anything else lies there up to 112 bytes, and beyond in memory of the broadcast's
// that is had when it is pushed, and refused when memory ends; the ring holds the last capacity + 1 items for as long
// as nobody pushes over them, and memory that it once had it keeps. A push takes a snapshot; a pop decodes what a peer
// wrote, and an item that makes no T is skipped and counted.
// Not from signal handlers: a push that interrupts another push of its thread returns false.
// Algorithm, ordering and crash tables: docs/algorithms/broadcast.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/broadcast_items.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/subscriber.h>
#include <warren/ipc/time.h>

#include <string_view>

namespace warren {

enum class SlowReader { kLoses, kBlocksWriter };

struct BroadcastOptions {
  std::size_t capacity = 1024;  // items that a subscriber may be behind, at least 1
  SlowReader slow_reader = SlowReader::kLoses;
  std::size_t max_item_bytes = 0;                // larger ones are refused; 0: whatever fits, up to 4 GiB
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name
};

struct BroadcastStats {
  std::uint64_t pushed = 0;
  std::uint32_t waited_for = 0;   // subscribers that writers wait for, as far as is known; kLoses: 0
  std::uint64_t undecodable = 0;  // items that made no T for a subscriber, who skipped them
};

// Thread-safe and process-safe. Handles pass to other processes by fork, by name and as values (handle.h).
template <class T>
class Broadcast : public Handle {
  static_assert(detail::check_carriable<T>());
  using Items = detail::BroadcastItems<T>;
  static constexpr bool kNoThrow = Items::kNoThrow;  // else what encoding or making a T throws

 public:
  using value_type = T;

  // Errors are Segment's; InvalidArgument for a capacity that cannot be, and for max_item_bytes that no T has.
  static absl::StatusOr<Broadcast> create(const BroadcastOptions& options = {}) {
    return detail::Factory::create<Broadcast>(options);
  }
  static absl::StatusOr<Broadcast> create(std::string_view name, const BroadcastOptions& options = {}) {
    return detail::Factory::create<Broadcast>(name, options);
  }
  static absl::StatusOr<Broadcast> open(std::string_view name) { return detail::Factory::open<Broadcast>(name); }
  // Whoever comes first decides; the options of the others are not looked at, but must be valid.
  static absl::StatusOr<Broadcast> open_or_create(std::string_view name, const BroadcastOptions& options = {}) {
    return detail::Factory::open_or_create<Broadcast>(name, options);
  }
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Blocks while another writer has its turn, and with kBlocksWriter while the slowest subscriber is `capacity` items
  // behind. False: closed, never fits, memory ended; check(item) says which.
  bool push(const T& item) { return push_until(item, Deadline::never()); }
  // Waits for its turn only, which a stopped writer may have: with a time limit the others do not wait longer for that
  // either.
  [[nodiscard]] bool try_push(const T& item) noexcept(kNoThrow);
  [[nodiscard]] bool try_push_for(const T& item, Timeout d) { return push_until(item, Deadline::after(d)); }
  [[nodiscard]] bool try_push_until(const T& item, Deadline t) { return push_until(item, t); }

  // From the next push on. kBlocksWriter: waits for its turn among the writers; ResourceExhausted where there are
  // 1,024 subscribers, or no memory for this process's lane.
  absl::StatusOr<Subscriber<T>> subscribe() { return Subscriber<T>::join(attachment_, items_); }

  void close() noexcept { items_.ring().close(); }  // pushes are refused from now on; subscribers drain. For ever
  [[nodiscard]] bool closed() const noexcept { return items_.ring().closed(); }

  // Why push refuses the item, or waits, now: OutOfRange closed, InvalidArgument never fits, what its codec says,
  // ResourceExhausted the slowest subscriber is `capacity` items behind, or no memory for the item or this thread's
  // lane.
  [[nodiscard]] absl::Status check(const T& item) const;
  [[nodiscard]] std::size_t capacity() const noexcept { return items_.ring().capacity(); }
  [[nodiscard]] BroadcastStats stats() const noexcept {
    return {
        .pushed = items_.ring().pushed(), .waited_for = items_.ring().joined(), .undecodable = items_.undecodable()};
  }

 private:
  friend class detail::Factory;
  Broadcast(detail::Attachment::Pointer attachment, Items items) noexcept
      : Handle(std::move(attachment)), items_(std::move(items)) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const BroadcastOptions& options) {
    return Items::plan({.capacity = options.capacity,
                        .max_item_bytes = options.max_item_bytes,
                        .writers_wait = options.slow_reader == SlowReader::kBlocksWriter});
  }
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kBroadcast, .element = Items::element()};
  }
  static absl::StatusOr<Broadcast> attach(detail::Attachment::Pointer attachment) {
    absl::StatusOr<Items> items = Items::attach(attachment);
    if (!items.ok()) return items.status();
    return Broadcast(std::move(attachment), *std::move(items));
  }

  detail::Sent send(typename Items::Outgoing& item, Deadline turn) noexcept;
  bool push_until(const T& item, Deadline deadline);

  Items items_;
};

template <class T>
detail::Sent Broadcast<T>::send(typename Items::Outgoing& item, Deadline turn) noexcept {
  const detail::Sent sent =
      items_.ring().try_push(turn, [&](std::byte* place, std::uint64_t position) { item.write(place, position); });
  if (sent == detail::Sent::kPushed) item.pushed();
  return sent;
}

template <class T>
bool Broadcast<T>::try_push(const T& item) noexcept(kNoThrow) {
  typename Items::Outgoing outgoing(items_, item);
  return outgoing.packed() && send(outgoing, Deadline::never()) == detail::Sent::kPushed;
}

template <class T>
bool Broadcast<T>::push_until(const T& item, Deadline deadline) {
  typename Items::Outgoing outgoing(items_, item);
  if (!outgoing.packed()) return false;
  detail::Sent sent = send(outgoing, deadline);
  while (sent == detail::Sent::kFull && items_.ring().wait_for_room(deadline, [this] { items_.swept(); }))
    sent = send(outgoing, deadline);
  return sent == detail::Sent::kPushed;
}

template <class T>
absl::Status Broadcast<T>::check(const T& item) const {
  if (closed()) return absl::OutOfRangeError("the broadcast is closed");
  if (attachment_->seat().lane == nullptr) {
    return absl::ResourceExhaustedError("no memory or no descriptor for this thread's lane in the broadcast's segment");
  }
  if (absl::Status status = items_.check(item); !status.ok()) return status;
  if (!items_.ring().room()) return absl::ResourceExhaustedError("the slowest subscriber is a whole ring behind");
  return absl::OkStatus();
}

}  // namespace warren
