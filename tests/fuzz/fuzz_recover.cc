// What is held, counted and waited for, in use while somebody else writes into its words and into the lanes that say
// who holds it: deaths are found, or not, and calls return.
#include <string>

#include "fuzz/elements.h"
#include "fuzz/targets.h"
#include "fuzz/use_object.h"

namespace warren::fuzz {
namespace {

constexpr int kMostSteps = 100;

template <class M>
void use_mutex(Input& input) {
  auto mutex = M::create().value();
  for (int step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.below(12)) {
      case 0: (void)mutex.try_lock(); break;
      case 1: (void)mutex.try_lock_for(kShort); break;
      case 2: (void)mutex.unlock(); break;
      case 3: (void)mutex.owner_died(); break;
      case 4: (void)mutex.owner_death(); break;
      case 5: (void)mutex.consistent(); break;
      case 6: (void)test::Reach::attachment(mutex).sweep(); break;
      default: spoil_word(input, mutex, sizeof(layout::Mutex));
    }
  }
}

template <class T>
void use_value(Input& input) {
  auto value = Value<T>::create().value();
  detail::Attachment& attachment = test::Reach::attachment(value);
  const auto& words = *reinterpret_cast<const layout::ValueHeader*>(attachment.object());
  const std::size_t object_bytes = attachment.size();  // before its word is written to
  for (int step = 0; step < kMostSteps && !input.empty(); ++step) {
    const std::size_t verb = input.below(12);
    const bool writes = verb == 1 || verb == 2 || verb == 3;
    if (writes && held_by_living(value, words.writer)) continue;
    switch (verb) {
      case 0: (void)value.load(); break;
      case 1: value.store(input.take<T>()); break;
      case 2: (void)value.exchange(input.take<T>()); break;
      case 3: (void)value.update([&](T& there) { there = input.take<T>(); }); break;
      case 4: (void)value.mutex().try_lock_for(kShort); break;
      case 5: (void)value.mutex().unlock(); break;
      case 6: (void)value.mutex().owner_death(); break;
      case 7: (void)attachment.sweep(); break;
      default: spoil_word(input, value, object_bytes);
    }
  }
}

// All the verbs of use(), again and again, with words written in between.
template <class Object>
void use_all(Input& input, Object object) {
  const std::size_t object_bytes = test::Reach::attachment(object).size();
  for (int round = 0; round < 5 && !input.empty(); ++round) {
    for (std::size_t words = input.below(8); words > 0; --words) spoil_word(input, object, object_bytes);
    use(object);
    (void)test::Reach::attachment(object).sweep();
  }
}

}  // namespace

void recover(Bytes bytes) {
  hurry();
  Input input(bytes);
  switch (input.below(15)) {
    case 0: use_mutex<Mutex>(input); break;
    case 1: use_mutex<RecursiveMutex>(input); break;
    case 2: use_value<int>(input); break;
    case 3: use_value<Large>(input); break;
    case 4: use_all(input, SharedMutex::create().value()); break;
    case 5: use_all(input, BoundedSemaphore::create(3).value()); break;
    case 6: use_all(input, Barrier::create(2).value()); break;
    case 7: use_all(input, Semaphore::create(3).value()); break;
    case 8: use_all(input, Event::create().value()); break;
    case 9: use_all(input, Condition::create().value()); break;
    case 10:
      use_all(input, Broadcast<int>::create({.capacity = 4, .slow_reader = SlowReader::kBlocksWriter}).value());
      break;
    case 11: use_all(input, Latch::create(3).value()); break;
    case 12: use_all(input, PriorityQueue<int>::create({.capacity = 3}).value()); break;
    case 13: use_all(input, PriorityQueue<std::string>::create({.capacity = 3}).value()); break;
    default: use_all(input, Stack<Large>::create({.capacity = 3}).value());
  }
}

}  // namespace warren::fuzz
