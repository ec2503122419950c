// Priority queue and stack by one name, for tests of what they have in common: pushes without a priority, and what lies
// in memory.
#pragma once
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/stack.h>

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
    const std::size_t heap_bytes = (header().capacity * 4 + layout::kLine - 1) / layout::kLine * layout::kLine;
    return *reinterpret_cast<layout::PrioritySlot*>(object_ + sizeof header() + heap_bytes +
                                                    index * header().slot_bytes);
  }
  // Of a stack: ticket, payload.
  [[nodiscard]] std::uint64_t* stack_slot(std::uint64_t index) const {
    return reinterpret_cast<std::uint64_t*>(object_ + sizeof header() + index * header().slot_bytes);
  }
  [[nodiscard]] detail::MutexCore lock() const { return {*attachment_, header().lock}; }

 private:
  std::byte* object_;
  detail::Attachment* attachment_;
};

}  // namespace warren::test
