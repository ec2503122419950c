// Priority queue and stack by one name, for tests of what they have in common: pushes without a priority, and what lies
// in memory.
#pragma once
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/stack.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "support/reach.h"

namespace warren::test {

// All of one priority: a queue.
template <class T>
class EvenQueue : public PriorityQueue<T> {
  using Base = PriorityQueue<T>;

 public:
  static constexpr bool kFirstInFirstOut = true;
  using Options = PriorityQueueOptions;
  explicit EvenQueue(Base base) : Base(std::move(base)) {}
  template <class... A>
  static absl::StatusOr<EvenQueue> create(A&&... a) {
    return wrapped(Base::create(std::forward<A>(a)...));
  }
  static absl::StatusOr<EvenQueue> open(std::string_view name) { return wrapped(Base::open(name)); }
  bool push(const T& item) { return Base::push(item, 0); }
  bool try_push(const T& item) { return Base::try_push(item, 0); }
  bool try_push_for(const T& item, Timeout d) { return Base::try_push_for(item, 0, d); }
  bool try_push_until(const T& item, Deadline t) { return Base::try_push_until(item, 0, t); }

 private:
  static absl::StatusOr<EvenQueue> wrapped(absl::StatusOr<Base> base) {
    if (!base.ok()) return base.status();
    return EvenQueue(*std::move(base));
  }
};

template <class T>
class PlainStack : public Stack<T> {
  using Base = Stack<T>;

 public:
  static constexpr bool kFirstInFirstOut = false;
  using Options = StackOptions;
  explicit PlainStack(Base base) : Base(std::move(base)) {}
  template <class... A>
  static absl::StatusOr<PlainStack> create(A&&... a) {
    return wrapped(Base::create(std::forward<A>(a)...));
  }
  static absl::StatusOr<PlainStack> open(std::string_view name) { return wrapped(Base::open(name)); }

 private:
  static absl::StatusOr<PlainStack> wrapped(absl::StatusOr<Base> base) {
    if (!base.ok()) return base.status();
    return PlainStack(*std::move(base));
  }
};

// The words of either.
class LockedView {
 public:
  explicit LockedView(const Handle& handle) : LockedView(Reach::attachment(handle)) {}
  explicit LockedView(detail::Attachment& attachment) : object_(attachment.object()), attachment_(&attachment) {}

  [[nodiscard]] layout::LockedSlotsHeader& header() const {
    return *reinterpret_cast<layout::LockedSlotsHeader*>(object_);
  }
  [[nodiscard]] std::uint64_t pushed() const { return header().pushed.load() & ~layout::kClosedBit; }
  [[nodiscard]] std::uint64_t popped() const { return header().popped.load(); }
  // Of a priority queue.
  [[nodiscard]] std::uint32_t* heap() const { return reinterpret_cast<std::uint32_t*>(&header() + 1); }
  [[nodiscard]] layout::PrioritySlot& slot(std::uint64_t index) const {
    return *reinterpret_cast<layout::PrioritySlot*>(slots() + index * header().slot_bytes);
  }
  // Of a stack: ticket, payload.
  [[nodiscard]] std::uint64_t* stack_slot(std::uint64_t index) const {
    return reinterpret_cast<std::uint64_t*>(slots() + index * header().slot_bytes);
  }
  // Of parcels: how many blocks are somebody's.
  [[nodiscard]] std::size_t blocks_owned() const {
    const auto end = static_cast<std::size_t>(slots() + header().capacity * header().slot_bytes - object_);
    const std::size_t at = (end + layout::kPage - 1) / layout::kPage * layout::kPage;
    const auto& parcels = *reinterpret_cast<const layout::ParcelHeader*>(object_ + at);
    std::size_t count = 0;
    for (const layout::BlockClass& size_class : parcels.classes) {
      const auto* owners = reinterpret_cast<const std::atomic<std::uint64_t>*>(object_ + size_class.owners_offset);
      const std::uint64_t committed = std::min(size_class.committed.load(), size_class.count);
      for (std::uint64_t i = 0; i < committed; ++i) count += owners[i].load() != 0;
    }
    return count;
  }
  [[nodiscard]] detail::MutexCore lock() const { return {*attachment_, header().lock}; }

 private:
  [[nodiscard]] std::byte* slots() const {
    const std::size_t head_bytes = header().slot_bytes - (header().payload_bytes + 7) / 8 * 8;
    const std::size_t heap_bytes = head_bytes == sizeof(layout::PrioritySlot) ? header().capacity * 4 : 0;
    return object_ + sizeof(layout::LockedSlotsHeader) +
           (heap_bytes + layout::kLine - 1) / layout::kLine * layout::kLine;
  }

  std::byte* object_;
  detail::Attachment* attachment_;
};

}  // namespace warren::test
