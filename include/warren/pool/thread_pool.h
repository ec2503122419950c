// ThreadPool: the verbs of Pool on threads of this process. Nothing is encoded or copied to another memory: any
// capture, any argument that std::thread takes (std::ref, move-only ones) and any result is fine.
//
// What differs from Pool, whose calls stand in verbs.h:
// - Functions and arguments are kept as std::thread keeps them, decayed; only a literal or a string_view becomes a
//   std::string, where the function takes one. What copying an argument throws, submit() throws. A result that cannot
//   be copied is got once.
// - Maps: items are copied out of the ranges, and each chunk has a copy of the function, as each item has of a plain
//   closure: std::ref(f) is one for all.
// - for_each also takes a container or a span.
// - A task that crashes, calls std::exit() or ends its thread (pthread_exit) does so to the program. One that throws
//   fails.
// - Nobody can end a thread: terminate() and kill() reach what has not begun. What runs goes on to its end, and its
//   future has its result then; of a map, the item. Destroy what tasks refer to only behind join().
// - join(): FailedPrecondition also where the initializer threw. In a task or a callback of this pool it waits until
//   all other tasks have ended. terminate() is not for signal handlers.
// - TaskOptions: priority, retries with RetryOn::kAnyFailure, backoff (it passes in the task's thread) and
//   soft_deadline are as in Pool; stop_requested() is also true once the pool was terminated. Further attempts have
//   copies of the arguments: of what cannot be copied, InvalidArgument. RetryOn::kDeath retries nothing, since no
//   worker dies alone. `deadline` and `worker` are InvalidArgument. `name`, and the text of report(), are shown
//   nowhere.
// - Callbacks (on_done, then) run in the thread that ran the task, before it takes another one; of a task that was
//   cancelled, in the thread that cancelled it; and at once in this one if the task has ended and the others have run.
//   In order of registration, without a lock.
//
// Tasks and callbacks may use the pool that runs them. One that waits for a task (get, wait, map, imap, join) lends its
// place: another thread runs tasks meanwhile, so that they never wait for a thread; threads beyond `workers` are kept
// for the next time. Its submit() does not wait at max_pending, but takes more. Its join(), and the pool's destructor
// there, wait for all tasks but itself.
//
// Thread-safe. Only the process that made the pool uses it: in a forked child, calls are refused and the destructor
// does nothing. A moved-from pool may only be assigned to or destroyed.
#pragma once
#include <warren/pool/detail/on_threads.h>
#include <warren/pool/pool.h>
#include <warren/pool/verbs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace warren {

struct ThreadPoolOptions {
  std::uint32_t workers = 0;               // 0: one per usable processor; at most 1024
  std::function<void()> initializer = {};  // run first in every thread; if it throws, the pool breaks and says why
  std::size_t max_pending = 65536;         // tasks that have not ended; then submit waits, try_submit refuses
  std::string name = {};                   // of the threads; the first 15 characters are kept
};

// Its calls stand in verbs.h.
class ThreadPool : public detail::PoolOwner<detail::OnThreads> {
 public:
  // InvalidArgument for what cannot be; ResourceExhausted: no thread is left. Returns before the initializers have run:
  // if one throws, every future says so.
  static absl::StatusOr<ThreadPool> create(ThreadPoolOptions options = {});
  ThreadPool(ThreadPool&&) noexcept = default;
  ThreadPool& operator=(ThreadPool&& other) noexcept = default;
  ~ThreadPool() = default;  // close(), join(): what was accepted is finished

 private:
  using PoolOwner::PoolOwner;
};

namespace detail {
extern template class PoolOwner<OnThreads>;
}

}  // namespace warren
