// current_pool(): the pool that runs the task of the calling process, for tasks that submit tasks.
//
//   int fibonacci(int n) {
//     if (n < 2) return n;
//     auto before = warren::current_pool().submit(fibonacci, n - 1);
//     return *warren::current_pool().apply(fibonacci, n - 2) + *before.get();
//   }
//
// A task that waits for another one (get, map, as_completed, ...) lends its place: one more worker runs tasks
// meanwhile, and leaves when nobody has lent it a place for a while. So tasks that wait for tasks never wait for a
// worker, and no task ever runs within another one, whose death would take both along. Tasks that tasks submit go
// before those that none of the workers has begun, the deepest first; their priority counts for nothing. Who waits in
// another way (a Queue, an Event, a sleep) lends nothing.
//
// A place is lent by the waits of the thread that runs the task, and only by those: not by those of threads that it
// starts. One that it joins, and that waits for a task, waits for ever where no other worker is left: wait in the
// task itself. Likewise tasks for certain workers (TaskOptions::worker) must not wait for each other in a circle. A
// pool has at most 1024 processes, so that many tasks may wait at a time, and a chain of them be that deep. Where all
// wait, and for 30 s no other one can be started (1024 are there, or fork() fails), the pool breaks and says so.
//
// The worker of a task dies, and with it the futures that it held: what it had submitted runs on, as when futures are
// dropped, and its results are thrown away. Where the task is tried again it submits anew. The deadline of a task goes
// on while it waits.
//
// A task ends when it has returned and the callbacks of its futures have run: on_done(), then(), and maps in the
// background; and when those tasks have ended that it watched, by as_completed(), wait() or fileno(), even if it
// looked for a while only. While the pool closes, its tasks may submit. terminate() ends all.
#pragma once
#include <warren/pool/detail/on_processes.h>
#include <warren/pool/verbs.h>

namespace warren {

// The calls of a Pool but those that end or resize it. It is good for as long as the task, in all its threads.
//
// submit() and the maps never wait: they take more than max_pending, as many again but at least 4096, and 1048576 with
// max_pending. Beyond that the future fails, as ResourceExhausted. try_submit() keeps to max_pending. A task for the
// worker that its submitter runs in (TaskOptions::worker) is refused, as InvalidArgument: it would have to wait for its
// submitter.
class CurrentPool : public detail::Verbs<detail::OnProcesses> {
 public:
  CurrentPool(CurrentPool&&) noexcept = default;
  CurrentPool& operator=(CurrentPool&&) noexcept = default;
  ~CurrentPool() = default;

 private:
  friend CurrentPool current_pool();
  explicit CurrentPool(std::shared_ptr<detail::PoolClient> client) noexcept : Verbs(std::move(client)) {}
};

// Outside a task of a Pool, so in the program itself, in an initializer, in a ThreadPool and in a child that a task
// forked: one that refuses every call, with FailedPrecondition.
[[nodiscard]] CurrentPool current_pool();

}  // namespace warren
