// Every kind of object: how it is made, and opened again where a name can stand for it.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/array.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/event.h>
#include <warren/ipc/latch.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/semaphore.h>
#include <warren/ipc/shared_mutex.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/stack.h>
#include <warren/ipc/value.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace warren::test {

using AnyObject = std::shared_ptr<void>;  // a handle

struct Kind {
  const char* type;
  std::function<absl::StatusOr<AnyObject>()> create;  // without a name
  std::function<absl::StatusOr<AnyObject>(const std::string&)> create_named;
  std::function<absl::StatusOr<AnyObject>(const std::string&)> open;
  std::function<absl::StatusOr<AnyObject>(const std::string&)> open_or_create;

  [[nodiscard]] bool named() const { return static_cast<bool>(open); }

  friend void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.type; }
};

template <class Object>
absl::StatusOr<AnyObject> any(absl::StatusOr<Object> object) {
  if (!object.ok()) return object.status();
  return AnyObject(std::make_shared<Object>(*std::move(object)));
}

// `arguments` of create() behind the name.
template <class Object, class... Arguments>
Kind kind(const char* type, const Arguments&... arguments) {
  return {.type = type,
          .create = [=] { return any(Object::create(arguments...)); },
          .create_named = [=](const std::string& name) { return any(Object::create(name, arguments...)); },
          .open = [](const std::string& name) { return any(Object::open(name)); },
          .open_or_create = [=](const std::string& name) { return any(Object::open_or_create(name, arguments...)); }};
}

// Both ends, of which no name is given.
inline Kind pipe_kind() {
  return {.type = "Pipe",
          .create = [] { return any(Pipe::create({.capacity = 256})); },
          .create_named = nullptr,
          .open = nullptr,
          .open_or_create = nullptr};
}

inline std::vector<Kind> every_kind() {
  struct Large {
    int numbers[20] = {};
  };
  return {kind<Segment>("Segment", std::size_t{100}),
          kind<Queue<int>>("Queue", QueueOptions{.capacity = 4}),
          kind<Queue<int>>("Queue, unbounded", QueueOptions{}),
          kind<Queue<std::string>>("Queue of strings, unbounded", QueueOptions{}),
          kind<SpscQueue<int>>("SpscQueue", SpscOptions{.capacity = 4}),
          kind<SpscRecords>("SpscRecords", std::size_t{4096}),
          kind<Broadcast<int>>("Broadcast", BroadcastOptions{.capacity = 4}),
          kind<PriorityQueue<int>>("PriorityQueue", PriorityQueueOptions{.capacity = 4}),
          kind<Stack<int>>("Stack", StackOptions{.capacity = 4}),
          kind<Mutex>("Mutex"),
          kind<RecursiveMutex>("RecursiveMutex"),
          kind<SharedMutex>("SharedMutex"),
          kind<Event>("Event"),
          kind<Semaphore>("Semaphore", 2u),
          kind<BoundedSemaphore>("BoundedSemaphore", 2u),
          kind<Condition>("Condition"),
          kind<Latch>("Latch", 2u),
          kind<Barrier>("Barrier", 2u),
          kind<Value<int>>("Value", 7),
          kind<Value<Large>>("Value, large", Large{}),
          kind<Array<int>>("Array", std::size_t{10}),
          pipe_kind()};
}

}  // namespace warren::test
