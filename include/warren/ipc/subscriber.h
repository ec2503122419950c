// Subscriber<T>: who sees what is pushed into a Broadcast<T>, from when it subscribed on.
#pragma once
#include <warren/ipc/detail/broadcast_items.h>
#include <warren/ipc/detail/broadcast_reader.h>
#include <warren/ipc/time.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace warren {

template <class T>
class Broadcast;
class Waitable;

// Made by Broadcast<T>::subscribe(). For one thread at a time; may be moved to another one, and outlive the thread and
// the handle that made it. Its end is the end of its subscription. The copy that a forked child has goes on by itself
// from where its parent was, and nobody waits for it: also with kBlocksWriter it loses what it is too slow for. A child
// that must not lose subscribes anew. It is no argument of a task or process: pass the Broadcast, and subscribe there.
// One that was moved from may be assigned to or destroyed, no more.
template <class T>
class [[nodiscard]] Subscriber {
  using Items = detail::BroadcastItems<T>;
  static constexpr bool kNoThrow = Items::kNoThrow;  // else what making a T throws; the item is passed

 public:
  using value_type = T;

  // nullopt of pop(): closed, and everything was seen. nullopt of try_*: nothing now; drained() says whether ever.
  // They never wait for writers that stand still, only for items. try_pop() also finds nothing where writers were
  // faster than 64 of its copies.
  [[nodiscard]] std::optional<T> pop() { return pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<T> try_pop() noexcept(kNoThrow);
  [[nodiscard]] std::optional<T> try_pop_for(Timeout d) { return pop_until(Deadline::after(d)); }
  [[nodiscard]] std::optional<T> try_pop_until(Deadline t) { return pop_until(t); }

  // Items that this subscriber did not see, since others had overwritten them or were about to: exact, as of the last
  // pop. Always 0 with kBlocksWriter, but in a forked child.
  [[nodiscard]] std::uint64_t lost() const noexcept { return reader_.lost(); }
  // Closed, and nothing is left; once true, true for ever.
  [[nodiscard]] bool drained() const noexcept { return reader_.at_end(); }
  // For poll, select and epoll, and for wait() (pipe.h): readable while there is something that this subscriber has not
  // seen, or the end, and from then on until a try, a pop with a time limit or wait() finds nothing. Each subscriber
  // has a thread and a descriptor of its own, from the first call on, which move with it. -1: none are left. A forked
  // child's copy has to call it again, and gets another descriptor. docs/algorithms/readiness.md.
  [[nodiscard]] int fileno() const { return reader_.fileno(); }

 private:
  friend class Broadcast<T>;
  friend class Waitable;
  Subscriber(Items items, detail::BroadcastReader reader) noexcept
      : items_(std::move(items)), reader_(std::move(reader)) {}
  static absl::StatusOr<Subscriber> join(const detail::Attachment::Pointer& attachment, const Items& items) {
    absl::StatusOr<detail::BroadcastReader> reader = detail::BroadcastReader::join(attachment, items.ring());
    if (!reader.ok()) return reader.status();
    return Subscriber(items, *std::move(reader));
  }
  std::optional<T> pop_until(Deadline deadline);
  [[nodiscard]] bool readable() const noexcept { return reader_.readable(); }

  Items items_;
  detail::BroadcastReader reader_;
};

template <class T>
std::optional<T> Subscriber<T>::try_pop() noexcept(kNoThrow) {
  typename Items::Incoming item(items_);
  while (reader_.try_read([&](const std::byte* place, std::uint64_t position) { item.read(place, position); }) ==
         detail::Received::kItem) {
    if (std::optional<T> value = item.open()) return value;
  }
  return std::nullopt;
}

template <class T>
std::optional<T> Subscriber<T>::pop_until(Deadline deadline) {
  typename Items::Incoming item(items_);
  while (reader_.read_until(deadline, [&](const std::byte* place, std::uint64_t position) {
    item.read(place, position);
  }) == detail::Received::kItem) {
    if (std::optional<T> value = item.open()) return value;
  }
  return std::nullopt;
}

template <class T>
inline constexpr bool detail::kOfItsProcess<Subscriber<T>> = true;

}  // namespace warren
