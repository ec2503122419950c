// ThreadPool: the verbs of Pool on threads of this process. Nothing is encoded or copied to another memory: any
// capture, any argument that std::thread takes (std::ref, move-only ones) and any result is fine.
//
// What differs from Pool:
// - Functions and arguments are kept as std::thread keeps them, decayed; only a literal or a string_view becomes a
//   std::string, where the function takes one. A result that cannot be copied is got once.
// - A task that crashes, calls std::exit() or ends its thread (pthread_exit) does so to the program. One that throws
// fails.
// - Nobody can end a thread: terminate() and kill() reach what has not begun. What runs goes on to its end, and its
//   future has its result then; of a map, the item. Destroy what tasks refer to only behind join().
// - TaskOptions: priority, retries with RetryOn::kAnyFailure, backoff (it passes in the task's thread) and
// soft_deadline
//   are as in Pool; stop_requested() is also true once the pool was terminated. Further attempts have copies of the
//   arguments: of what cannot be copied, InvalidArgument. RetryOn::kDeath retries nothing, since no worker dies alone.
//   `deadline` and `worker` are InvalidArgument. `name`, and the text of report(), are shown nowhere.
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
#include <warren/ipc/detail/check.h>
#include <warren/pool/detail/thread_map.h>
#include <warren/pool/pool.h>

#include <functional>
#include <initializer_list>
#include <ranges>
#include <string>

namespace warren {

struct ThreadPoolOptions {
  std::uint32_t workers = 0;               // 0: one per usable processor; at most 1024
  std::function<void()> initializer = {};  // run first in every thread; if it throws, the pool breaks and says why
  std::size_t max_pending = 65536;         // tasks that have not ended; then submit waits, try_submit refuses
  std::string name = {};                   // of the threads; the first 15 characters are kept
};

namespace detail {
template <class F, class... A>
using ThreadValue = typename CheckedThreadTask<F, A...>::value;
template <class F, class... Rg>
using ThreadItemValue = typename CheckedThreadMap<F, Rg...>::value;
template <class F, class... Rg>
using ThreadMapValue = typename MapOf<ThreadItemValue<F, Rg...>>::value;
template <class F, class Rg>
using ThreadStarValue = typename MapOf<typename CheckedThreadStar<F, Rg>::value>::value;
template <class F>
concept NoOptions = !kIsOptions<F>;
}  // namespace detail

class ThreadPool {
 public:
  // InvalidArgument for what cannot be; ResourceExhausted: no thread is left. Returns before the initializers have run:
  // if one throws, every future says so.
  static absl::StatusOr<ThreadPool> create(ThreadPoolOptions options = {});
  ThreadPool(ThreadPool&&) noexcept = default;
  ThreadPool& operator=(ThreadPool&& other) noexcept;
  ~ThreadPool();  // close(), join(): what was accepted is finished

  // Never fails itself: a closed pool is the future's error. Waits while max_pending have not ended. What copying an
  // argument throws is thrown here.
  template <detail::NoOptions F, class... A>
  Future<detail::ThreadValue<F, A...>> submit(F&& f, A&&... a) {
    return submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <class F, class... A>
  Future<detail::ThreadValue<F, A...>> submit(const TaskOptions& options, F&& f, A&&... a);
  // nullopt: max_pending have not ended; the arguments are untouched then. All else, a closed pool too, is the
  // future's.
  template <detail::NoOptions F, class... A>
  [[nodiscard]] std::optional<Future<detail::ThreadValue<F, A...>>> try_submit(F&& f, A&&... a) {
    return try_submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <class F, class... A>
  [[nodiscard]] std::optional<Future<detail::ThreadValue<F, A...>>> try_submit(const TaskOptions& options, F&& f,
                                                                               A&&... a);
  // submit and get.
  template <detail::NoOptions F, class... A>
  Result<detail::ThreadValue<F, A...>> apply(F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...).get();
  }
  template <class F, class... A>
  Result<detail::ThreadValue<F, A...>> apply(const TaskOptions& options, F&& f, A&&... a) {
    return submit(options, std::forward<F>(f), std::forward<A>(a)...).get();
  }
  // submit, and on_done: pool.apply_async({.callback = [&](int r) { ... }}, f, 3).
  template <detail::NoOptions F, class... A>
  Future<detail::ThreadValue<F, A...>> apply_async(Callbacks<detail::ThreadValue<F, A...>> callbacks, F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...)
        .on_done(detail::caller_of<detail::ThreadValue<F, A...>>(std::move(callbacks)));
  }

  // One range per parameter, zipped to the shortest. Items are copied out of the ranges, and each chunk has a copy of
  // the function: std::ref(f) is one for all. Waits for every chunk. If an item failed, the first error in order, which
  // names the item; the results of the others are thrown away: who wants to keep them takes imap.
  template <detail::NoOptions F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<detail::ThreadMapValue<F, Rg...>> map(F&& f, Rg&&... ranges) {
    return map(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <class F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<detail::ThreadMapValue<F, Rg...>> map(const MapOptions& options, F&& f, Rg&&... ranges);
  template <detail::NoOptions F, class T>
  Result<detail::ThreadMapValue<F, std::initializer_list<T>>> map(F&& f, std::initializer_list<T> items) {
    return map(MapOptions{}, std::forward<F>(f), items);
  }
  template <class F, class T>
  Result<detail::ThreadMapValue<F, std::initializer_list<T>>> map(const MapOptions& options, F&& f,
                                                                  std::initializer_list<T> items) {
    return map(options, std::forward<F>(f), std::views::all(items));
  }

  // map in the background: the ranges are read here, and the future has the whole. Dropped: the items still run.
  // cancel() cancels the chunks that wait; true if there were some: the whole fails then.
  template <detail::NoOptions F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<detail::ThreadMapValue<F, Rg...>> map_async(F&& f, Rg&&... ranges) {
    return map_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <class F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<detail::ThreadMapValue<F, Rg...>> map_async(const MapOptions& options, F&& f, Rg&&... ranges);
  template <detail::NoOptions F, class T>
  Future<detail::ThreadMapValue<F, std::initializer_list<T>>> map_async(F&& f, std::initializer_list<T> items) {
    return map_async(MapOptions{}, std::forward<F>(f), std::views::all(items));
  }

  // Elements are tuples, pairs or arrays: f(std::get<0>(e), ...).
  template <detail::NoOptions F, class Rg>
  Result<detail::ThreadStarValue<F, Rg>> starmap(F&& f, Rg&& tuples) {
    return starmap(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <class F, class Rg>
  Result<detail::ThreadStarValue<F, Rg>> starmap(const MapOptions& options, F&& f, Rg&& tuples);
  template <detail::NoOptions F, class Rg>
  Future<detail::ThreadStarValue<F, Rg>> starmap_async(F&& f, Rg&& tuples) {
    return starmap_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <class F, class Rg>
  Future<detail::ThreadStarValue<F, Rg>> starmap_async(const MapOptions& options, F&& f, Rg&& tuples);

  // The range is read as results are taken, in the calling thread, at most 4 chunks per worker ahead; an rvalue range
  // is kept, an lvalue must outlive the stream. imap gives results in order, imap_unordered as they come.
  template <detail::NoOptions F, class... Rg>
  Stream<detail::ThreadItemValue<F, Rg...>> imap(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <class F, class... Rg>
  Stream<detail::ThreadItemValue<F, Rg...>> imap(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::NoOptions F, class T>
  Stream<detail::ThreadItemValue<F, std::vector<T>>> imap(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::vector<T>(items));
  }
  template <detail::NoOptions F, class... Rg>
  Stream<detail::ThreadItemValue<F, Rg...>> imap_unordered(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <class F, class... Rg>
  Stream<detail::ThreadItemValue<F, Rg...>> imap_unordered(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::NoOptions F, class T>
  Stream<detail::ThreadItemValue<F, std::vector<T>>> imap_unordered(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::vector<T>(items));
  }

  // Calls f(T&) for every element of an Array<T>, a container or a span, in place. Waits until every element has run;
  // an element that fails costs the others nothing. The first failure in order is returned, and names the element.
  template <detail::NoOptions F, class Items>
  absl::Status for_each(Items&& items, F&& f) {
    return for_each(MapOptions{}, std::forward<Items>(items), std::forward<F>(f));
  }
  template <class F, class Items>
  absl::Status for_each(const MapOptions& options, Items&& items, F&& f);

  // No more tasks; what was accepted is finished. A stream submits no more: items it has not submitted fail with
  // FailedPrecondition.
  void close();
  // No more tasks; those that have not begun fail as Cancelled at once, the items of maps too. Those that run go on.
  void terminate();
  // Waits until every thread has gone; in a task or a callback of this pool, until all other tasks have ended.
  // FailedPrecondition: neither closed nor terminated, or the initializer threw. May be called again.
  absl::Status join() { return join_until(Deadline::never()); }
  absl::Status join_for(Timeout d) { return join_until(Deadline::after(d)); }  // + DeadlineExceeded: not yet
  absl::Status join_until(Deadline t);

  // close(), and join() if asked to wait; tasks that have not begun are cancelled if asked for, those of maps too.
  // Without a wait OK.
  absl::Status shutdown(const ShutdownOptions& options = {});

  [[nodiscard]] std::uint32_t workers() const noexcept { return crew().workers(); }

 private:
  explicit ThreadPool(std::shared_ptr<detail::ThreadCrew> crew) noexcept : crew_(std::move(crew)) {}
  void end() noexcept;
  [[nodiscard]] detail::ThreadCrew& crew() const noexcept {
    WARREN_CHECK(crew_ != nullptr, "this ThreadPool was moved from: it may only be assigned to or destroyed");
    return *crew_;
  }
  template <class F, class... Rg>
  Stream<detail::ThreadItemValue<F, Rg...>> stream(const MapOptions& options, bool ordered, F&& f, Rg&&... ranges);

  std::shared_ptr<detail::ThreadCrew> crew_;
};

// --- bodies ----------------------------------------------------------------------------------------------------------

template <class F, class... A>
Future<detail::ThreadValue<F, A...>> ThreadPool::submit(const TaskOptions& options, F&& f, A&&... a) {
  if constexpr (detail::CheckedThreadTask<F, A...>::ok) {
    (void)crew().take_place(true);
    return Future<detail::ThreadValue<F, A...>>(detail::enqueue_task<detail::ThreadTaskOf<F, A...>>(
        crew(), false, options, std::forward<F>(f), std::forward<A>(a)...));
  } else {
    return {};  // told above
  }
}

template <class F, class... A>
std::optional<Future<detail::ThreadValue<F, A...>>> ThreadPool::try_submit(const TaskOptions& options, F&& f,
                                                                           A&&... a) {
  if constexpr (detail::CheckedThreadTask<F, A...>::ok) {
    if (!crew().take_place(false)) return std::nullopt;
    return Future<detail::ThreadValue<F, A...>>(detail::enqueue_task<detail::ThreadTaskOf<F, A...>>(
        crew(), false, options, std::forward<F>(f), std::forward<A>(a)...));
  } else {
    return std::nullopt;  // told above
  }
}

template <class F, class... Rg>
  requires(sizeof...(Rg) > 0)
Result<detail::ThreadMapValue<F, Rg...>> ThreadPool::map(const MapOptions& options, F&& f, Rg&&... ranges) {
  if constexpr (detail::CheckedThreadMap<F, Rg...>::ok) {
    return detail::run_map<std::decay_t<F>>(crew(), options, f, detail::Zip<Rg...>(std::forward<Rg>(ranges)...));
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <class F, class... Rg>
  requires(sizeof...(Rg) > 0)
Future<detail::ThreadMapValue<F, Rg...>> ThreadPool::map_async(const MapOptions& options, F&& f, Rg&&... ranges) {
  if constexpr (detail::CheckedThreadMap<F, Rg...>::ok) {
    using Task = detail::ThreadMapTask<detail::ThreadItemValue<F, Rg...>>;
    return Future<detail::ThreadMapValue<F, Rg...>>(
        Task::template start<std::decay_t<F>>(crew(), options, f, detail::Zip<Rg...>(std::forward<Rg>(ranges)...)));
  } else {
    return {};  // told above
  }
}

template <class F, class Rg>
Result<detail::ThreadStarValue<F, Rg>> ThreadPool::starmap(const MapOptions& options, F&& f, Rg&& tuples) {
  if constexpr (detail::CheckedThreadStar<F, Rg>::ok) {
    return detail::run_map<std::decay_t<F>>(crew(), options, f, detail::Star<Rg>(std::forward<Rg>(tuples)));
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <class F, class Rg>
Future<detail::ThreadStarValue<F, Rg>> ThreadPool::starmap_async(const MapOptions& options, F&& f, Rg&& tuples) {
  if constexpr (detail::CheckedThreadStar<F, Rg>::ok) {
    using Task = detail::ThreadMapTask<typename detail::CheckedThreadStar<F, Rg>::value>;
    return Future<detail::ThreadStarValue<F, Rg>>(
        Task::template start<std::decay_t<F>>(crew(), options, f, detail::Star<Rg>(std::forward<Rg>(tuples))));
  } else {
    return {};  // told above
  }
}

template <class F, class... Rg>
Stream<detail::ThreadItemValue<F, Rg...>> ThreadPool::stream(const MapOptions& options, bool ordered, F&& f,
                                                             Rg&&... ranges) {
  if constexpr (detail::CheckedThreadMap<F, Rg...>::ok) {
    using Source = detail::MapStream<std::decay_t<F>, detail::Zip<Rg...>, detail::ThreadCrew>;
    return Stream<detail::ThreadItemValue<F, Rg...>>(std::make_unique<Source>(
        crew().shared_from_this(), options, std::forward<F>(f), ordered, std::forward<Rg>(ranges)...));
  } else {
    return Stream<detail::ThreadItemValue<F, Rg...>>(nullptr);  // told above
  }
}

template <class F, class Items>
absl::Status ThreadPool::for_each(const MapOptions& options, Items&& items, F&& f) {
  if constexpr (!detail::check_thread_for_each<F, Items>()) {
    return absl::UnimplementedError("");  // told above
  } else if constexpr (detail::kIsArray<std::remove_cvref_t<Items>>) {
    auto elements = items.span();
    return detail::run_thread_for_each<std::decay_t<F>>(crew(), options, f, elements);
  } else {
    return detail::run_thread_for_each<std::decay_t<F>>(crew(), options, f, items);
  }
}

}  // namespace warren
