// use(object): every question that one may ask of it, and the verbs that do not block.
#pragma once
#include <warren/ipc/array.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/event.h>
#include <warren/ipc/latch.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/semaphore.h>
#include <warren/ipc/shared_mutex.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/value.h>
#include <warren/layout/value.h>

#include <array>
#include <chrono>
#include <concepts>
#include <mutex>

#include "fuzz/in_use.h"
#include "fuzz/must.h"

namespace warren::fuzz {

inline constexpr std::chrono::microseconds kShort{200};

inline void use(Segment& segment) {
  const Segment& shown = segment;
  const std::span<const std::byte> bytes = shown.bytes();
  must(bytes.size() <= segment.size(), "what is shown is there");
  if (!segment.read_only() && !bytes.empty()) segment.bytes().back() = bytes.front();
  (void)segment.grow(segment.size() + 1);
  (void)segment.name();
}

template <class T>
void use(Queue<T>& queue) {
  std::array<T, 3> items{};
  (void)queue.try_push(items.front());
  (void)queue.try_push_n(items);
  (void)queue.try_pop();
  must(queue.try_pop_n(items) <= items.size(), "no more than there is room for");
  (void)queue.try_pop_for(kShort);
  (void)queue.try_push_for(items.front(), kShort);
  { auto lease = queue.try_lease(); }
  queue.try_lease_for(kShort).ack();
  (void)queue.check(items.front());
  must(queue.approx_size() <= queue.capacity(), "never more than its capacity");
  (void)queue.stats();
  (void)queue.drained();
  queue.close();
  (void)queue.drained();
}

template <class T>
void use(SpscQueue<T>& queue) {
  std::array<T, 3> items{};
  (void)queue.try_push(items.front());
  (void)queue.try_push_n(items);
  const std::span<T> room = queue.prepare(2);
  for (T& item : room) item = items.front();
  queue.commit(room.size());
  const std::span<const T> there = queue.peek();
  for (const T& item : there) items.front() = item;
  queue.consume(there.size());
  (void)queue.try_pop();
  must(queue.try_pop_n(items) <= items.size(), "no more than there is room for");
  (void)queue.try_pop_for(kShort);
  (void)queue.try_push_for(items.front(), kShort);
  (void)queue.check(items.front());
  (void)queue.approx_size();
  queue.close();
  (void)queue.drained();
}

inline void use(Event& event) {
  (void)event.is_set();
  (void)event.wait_for(kShort);
  event.set();
  event.clear();
}

template <class S>
  requires requires(S& semaphore) { semaphore.try_acquire(); }
void use(S& semaphore) {
  (void)semaphore.approx_value();
  (void)semaphore.try_acquire();
  (void)semaphore.try_acquire_for(kShort);
  (void)semaphore.release();
}

inline void use(Condition& condition) {
  auto mutex = Mutex::create().value();
  std::unique_lock lock(mutex);
  (void)condition.wait_for(lock, kShort);
  condition.notify_one();
  condition.notify_all();
}

inline void use(Latch& latch) {
  (void)latch.try_wait();
  (void)latch.wait_for(kShort);
  (void)latch.count_down();
}

inline void use(Barrier& barrier) {
  (void)barrier.parties();
  (void)barrier.approx_waiting();
  (void)barrier.broken();
  (void)barrier.arrive_and_wait_for(kShort);
  barrier.reset();
  (void)barrier.arrive_and_wait_for(kShort);
  barrier.abort();
}

inline void use(SharedMutex& mutex) {
  (void)mutex.owner_died();
  (void)mutex.owner_death();
  (void)mutex.try_lock_shared();
  (void)mutex.try_lock_shared_for(kShort);
  (void)mutex.unlock_shared();
  (void)mutex.try_lock();
  (void)mutex.try_lock_for(kShort);
  (void)mutex.consistent();
  (void)mutex.unlock();
}

template <class M>
  requires std::same_as<M, Mutex> || std::same_as<M, RecursiveMutex>
void use(M& mutex) {
  (void)mutex.owner_died();
  (void)mutex.owner_death();
  (void)mutex.try_lock();
  (void)mutex.try_lock_for(kShort);
  (void)mutex.consistent();
  (void)mutex.unlock();
}

template <class T>
void use(Value<T>& value) {
  (void)value.load();
  const auto* words = reinterpret_cast<const layout::ValueHeader*>(test::Reach::attachment(value).object());
  if (!held_by_living(value, words->writer)) value.store(T{});
  if (!held_by_living(value, words->writer)) (void)value.update([](T& there) { there = T{}; });
  use(value.mutex());
}

template <class T>
void use(Array<T>& array) {
  if (array.size() != 0) {
    array[array.size() - 1] = array[0];
    array.store(array.size() - 1, T{});
    (void)array.load(0);
  }
  use(array.mutex());
}

}  // namespace warren::fuzz
