// Queues with one mistake each. They show that the harness sees what it is there to see.
#pragma once
#include <warren/ipc/queue.h>
#include <warren/layout/mpmc_ring.h>

#include <thread>

#include "crash/shared_trial.h"

namespace warren::test {

// The bare words of a ring.
template <class T>
class RawRing : public Queue<T> {
 public:
  explicit RawRing(Queue<T> queue) : Queue<T>(std::move(queue)) {}

 protected:
  layout::MpmcRingHeader& header() const {
    return *reinterpret_cast<layout::MpmcRingHeader*>(Reach::attachment(*this).object());
  }
  std::atomic<std::uint64_t>& sequence(std::uint64_t position) const {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(slot(position));
  }
  void write(std::uint64_t position, const T& item) const { std::memcpy(slot(position) + 8, &item, sizeof(T)); }
  T read(std::uint64_t position) const {
    T item;
    std::memcpy(&item, slot(position) + 8, sizeof(T));
    return item;
  }
  layout::Lane& lane() const { return *Reach::attachment(*this).seat().lane; }

 private:
  std::byte* slot(std::uint64_t position) const {
    return reinterpret_cast<std::byte*>(&header() + 1) + (position & (header().slot_count - 1)) * header().slot_bytes;
  }
};

// Claims without a word to anybody: whoever finds the claim standing takes its owner for dead.
template <class T>
class PushesUnannounced : public RawRing<T> {
 public:
  using RawRing<T>::RawRing;
  bool try_push(const T& item) {
    std::uint64_t t = this->header().tail.load();
    if (t - this->header().head.load() >= this->capacity()) return false;
    if (!this->header().tail.compare_exchange_strong(t, t + 1)) return false;
    this->write(t, item);
    this->sequence(t).store(layout::committed(t));
    return true;
  }
};

// Says that the item is there before it is.
template <class T>
class CommitsTooEarly : public RawRing<T> {
 public:
  using RawRing<T>::RawRing;
  bool try_push(const T& item) {
    std::uint64_t t = this->header().tail.load();
    if (t - this->header().head.load() >= this->capacity()) return false;
    this->lane().announcement.store(t + 1);
    if (!this->header().tail.compare_exchange_strong(t, t + 1)) return false;
    this->sequence(t).store(layout::committed(t));
    this->write(t, item);
    this->lane().announcement.store(0);
    return true;
  }
};

// Waits for ever for the claims of the dead: a plain ticket queue.
template <class T>
class NeverBuries : public RawRing<T> {
 public:
  using RawRing<T>::RawRing;
  std::optional<T> try_pop_for(Timeout d) {
    for (const Deadline end = Deadline::after(d);; std::this_thread::yield()) {
      std::uint64_t h = this->header().head.load();
      if (this->sequence(h).load() == layout::committed(h)) {
        const T item = this->read(h);
        if (this->header().head.compare_exchange_strong(h, h + 1)) return item;
      }
      if (end.expired()) return std::nullopt;
    }
  }
};

// Takes what it copied, though somebody else may have taken it meanwhile.
template <class T>
class TakesByStore : public RawRing<T> {
 public:
  using RawRing<T>::RawRing;
  std::optional<T> try_pop() {
    const std::uint64_t h = this->header().head.load();
    if (this->sequence(h).load() != layout::committed(h)) return std::nullopt;
    const T item = this->read(h);
    this->header().head.store(h + 1);
    return item;
  }
};

// Gives a chunk back that holds items.
template <class T>
class FreesRunInUse : public RawRing<T> {
 public:
  using RawRing<T>::RawRing;
  bool try_push(const T& item) {
    layout::MpmcRingHeader& header = this->header();
    auto* const owners = reinterpret_cast<std::atomic<std::uint64_t>*>(&header + 1) + header.chunk_count;
    const std::uint64_t run = (header.tail.load() - 1) / header.chunk_slots;
    for (std::uint64_t i = 0; i < header.chunk_count; ++i) {
      if (owners[i].load() == run + 1) owners[i].store(0);
    }
    return Queue<T>::try_push(item);
  }
};

}  // namespace warren::test
