// Somebody writes at random into memory that is in use: errors, wrong values and time limits that pass, and nothing
// else.
#include <gtest/gtest.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/stack.h>
#include <warren/ipc/value.h>
#include <warren/layout/value.h>

#include <array>
#include <random>

#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using test::Child;
using test::Reach;

constexpr auto kTime = 400ms;
constexpr auto kShort = 100us;

struct Large {
  std::array<std::uint64_t, 12> words{};
};
// Travels in a block.
struct Huge {
  std::array<std::uint64_t, 40> words{};
};

// Numbers that are small, that are anything, and that stand for a position near those of the queue.
std::uint64_t some_word(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return random() % 1000;
    case 1: return random();
    case 2: return random() % 64 << 20 | random() % 16;
    default: return random() % 2 != 0 ? ~std::uint64_t{0} : 0;
  }
}

// Runs `use` again and again beside a process that writes into the header, the first lanes and `object_bytes` of the
// object.
template <class Object, class Use>
void use_while_somebody_writes(const Object& object, std::size_t object_bytes, Use use) {
  std::byte* const begin = Reach::attachment(object).object();
  Child writer([&] {
    std::mt19937_64 random(3);
    for (;;) {
      std::byte* place = begin;
      switch (random() % 8) {
        case 0: place -= layout::kObjectOffset - random() % sizeof(layout::SegmentHeader) / 8 * 8; break;
        case 1: place -= layout::kObjectOffset - layout::kLanesOffset - random() % 256 / 8 * 8; break;
        default: place += random() % object_bytes / 8 * 8;
      }
      std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place)).store(some_word(random), std::memory_order_relaxed);
    }
  });
  Child user([&] {
    for (const Clock::time_point end = Clock::now() + kTime; Clock::now() < end;) use(object);
  });
  const test::Ended end = user.join();
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.code, 0);
}

template <class Q>
void use_queue(Q queue) {
  std::array<typename Q::value_type, 3> items{};
  (void)queue.try_push(items.front());
  (void)queue.try_pop();
  (void)queue.try_push_n(items);
  EXPECT_LE(queue.try_pop_n(items), items.size());
  (void)queue.try_pop_for(kShort);
  (void)queue.try_push_for(items.front(), kShort);
  (void)queue.check(items.front());
  (void)queue.drained();
  EXPECT_LE(queue.approx_size(), queue.capacity());
}

TEST(HostileWriter, IntoAQueue) {
  use_while_somebody_writes(Queue<int>::create({.capacity = 8}).value(), 384, [](auto queue) { use_queue(queue); });
}

TEST(HostileWriter, IntoAnUnboundedQueue) {
  detail::elastic_tuning().chunk_bytes = 1024;
  detail::elastic_tuning().most_chunks = 16;
  auto queue = Queue<Large>::create().value();
  detail::elastic_tuning().chunk_bytes = 512 << 10;
  detail::elastic_tuning().most_chunks = layout::kMaxChunks;
  use_while_somebody_writes(queue, 512, [](auto shared) { use_queue(shared); });
}

TEST(HostileWriter, IntoAnUnboundedQueueOfParcels) {
  detail::elastic_tuning().chunk_bytes = 1024;
  detail::elastic_tuning().most_chunks = 16;
  auto queue = Queue<Huge>::create().value();
  detail::elastic_tuning().chunk_bytes = 512 << 10;
  detail::elastic_tuning().most_chunks = layout::kMaxChunks;
  use_while_somebody_writes(queue, layout::kParcelFront + 256, [](auto shared) { use_queue(shared); });
}

TEST(HostileWriter, IntoAnSpscQueue) {
  use_while_somebody_writes(SpscQueue<int>::create({.capacity = 8}).value(), 288, [](auto queue) { use_queue(queue); });
}

// A false word in its lock holds up everybody for as long as it stands: so nobody waits for long.
template <class Q, class Push>
void use_locked(Q queue, Push push) {
  for (int i = 0; i < 3; ++i) (void)push(queue, i);
  (void)queue.try_pop_for(kShort);
  (void)push(queue, 7);
  (void)queue.try_pop_for(kShort);
  (void)queue.check({});
  (void)queue.drained();
  EXPECT_LE(queue.approx_size(), queue.capacity());
}

TEST(HostileWriter, IntoAPriorityQueue) {
  use_while_somebody_writes(PriorityQueue<int>::create({.capacity = 8}).value(), 512, [](auto queue) {
    use_locked(queue, [](auto& q, int i) { return q.try_push_for(i, i % 3, kShort); });
  });
}

TEST(HostileWriter, IntoAStack) {
  use_while_somebody_writes(Stack<int>::create({.capacity = 8}).value(), 320, [](auto stack) {
    use_locked(stack, [](auto& s, int i) { return s.try_push_for(i, kShort); });
  });
}

TEST(HostileWriter, IntoSpscRecords) {
  // Each gets a ring of its own: one that was found corrupt is closed for ever.
  for (int round = 0; round < 5; ++round) {
    use_while_somebody_writes(SpscRecords::create(4096).value(), 512, [](SpscRecords ring) {
      std::array<std::byte, 40> bytes{};
      for (const std::size_t size : {40u, 0u, 7u}) (void)ring.try_push(std::span(bytes).first(size));
      (void)ring.try_push_for(bytes, kShort);
      if (auto loan = ring.try_loan(9)) (void)ring.push(std::move(loan));
      const auto found = ring.try_pop_for(kShort);
      EXPECT_LE(found ? found->size() : 0, ring.max_record_bytes());
      const auto borrow = ring.try_borrow();
      EXPECT_LE(borrow ? (*borrow).size() : 0, ring.max_record_bytes());
      (void)ring.check(bytes);
      (void)ring.check_consumer();
      (void)ring.drained();
    });
  }
}

TEST(HostileWriter, IntoAMutex) {
  use_while_somebody_writes(Mutex::create().value(), sizeof(layout::Mutex), [](Mutex mutex) {
    (void)mutex.try_lock_for(kShort);
    (void)mutex.owner_death();
    (void)mutex.consistent();
    (void)mutex.unlock();
    (void)mutex.try_lock();
    (void)mutex.unlock();
  });
}

TEST(HostileWriter, IntoAValue) {
  use_while_somebody_writes(Value<Large>::create().value(), 384, [](Value<Large> value) {
    (void)value.load();
    value.store({});
    (void)value.update([](Large& there) { ++there.words[0]; });
    (void)value.mutex().try_lock_for(kShort);
    (void)value.mutex().unlock();
  });
}

}  // namespace
}  // namespace warren
