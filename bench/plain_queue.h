// The bounded queue of many producers and consumers that promises nothing about deaths, to tell what the promise costs:
// a ticket in each slot, as D. Vyukov described it (1024cores.net, "Bounded MPMC queue"). For plain values, in memory
// that processes share.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace warren::bench {

template <class T, std::size_t Capacity>
class PlainQueue {
  static_assert((Capacity & (Capacity - 1)) == 0);

 public:
  PlainQueue() {
    for (std::size_t i = 0; i < Capacity; ++i) slots_[i].ticket.store(i, std::memory_order_relaxed);
  }

  bool try_push(const T& item) noexcept {
    std::uint64_t position = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Slot& slot = slots_[position % Capacity];
      const auto ahead = static_cast<std::int64_t>(slot.ticket.load(std::memory_order_acquire) - position);
      if (ahead == 0) {
        if (!tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) continue;
        slot.item = item;
        slot.ticket.store(position + 1, std::memory_order_release);
        return true;
      }
      if (ahead < 0) return false;
      position = tail_.load(std::memory_order_relaxed);
    }
  }

  std::optional<T> try_pop() noexcept {
    std::uint64_t position = head_.load(std::memory_order_relaxed);
    for (;;) {
      Slot& slot = slots_[position % Capacity];
      const auto ahead = static_cast<std::int64_t>(slot.ticket.load(std::memory_order_acquire) - (position + 1));
      if (ahead == 0) {
        if (!head_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) continue;
        const T item = slot.item;
        slot.ticket.store(position + Capacity, std::memory_order_release);
        return item;
      }
      if (ahead < 0) return std::nullopt;
      position = head_.load(std::memory_order_relaxed);
    }
  }

 private:
  struct Slot {
    std::atomic<std::uint64_t> ticket;
    T item;
  };
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::array<Slot, Capacity> slots_;
};

}  // namespace warren::bench
