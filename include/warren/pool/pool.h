// Pool: preforked worker processes that run ordinary functions and give back futures.
//
// A worker's death fails only the task that it ran (or that is tried again, where its options allow); a new worker
// takes its place. Workers see the program's memory as it was when the pool was made: what they need later goes in as
// arguments. Make the pool before the program has threads: a fork copies only the thread that calls it, and whatever
// locks the others hold (a warning says so once). With StartMethod::kSpawn it may have them: then workers see the
// program as it is when it comes to enter() (start_method.h).
//
// Thread-safe. Only the process that made the pool uses it; a forked child's copy does nothing. A moved-from pool may
// only be assigned to or destroyed.
//
// Workers ignore Ctrl-C (it is the application's to handle) and write to the same stdout and stderr. They hold every
// descriptor that was open when the pool was made: a pipe or a socket of that time has its end of file only when they
// are gone too. A SIGTERM to the whole process group or service kills busy workers, and their tasks fail: who wants to
// finish them has it sent to the application alone (systemd: KillMode=mixed), and closes the pool then. std::exit() in
// a task runs the program's atexit handlers in the worker, and fails the task. The supervisor tells on stderr what
// breaks a pool; WARREN_LOG=info also tells each worker's death, WARREN_LOG=off nothing.
#pragma once
#include <sys/resource.h>
#include <warren/ipc/detail/check.h>
#include <warren/pool/detail/for_each.h>
#include <warren/pool/detail/map.h>
#include <warren/pool/detail/map_task.h>
#include <warren/pool/future.h>
#include <warren/pool/start_method.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

namespace warren {

struct PoolOptions {
  std::uint32_t workers = 0;               // 0: one per usable processor; at most 1024
  Function<void()> initializer = {};       // run first in every worker; if it throws, the pool breaks and says why
  std::uint64_t max_tasks_per_worker = 0;  // then another one takes its place, and nothing is lost; 0: no limit. A
                                           // chunk of map and imap is one task
  std::uint64_t max_worker_rss = 0;        // likewise, of bytes of memory as ps shows them (RSS), asked for between two
                                           // tasks; 0: no limit. What is shared with the application counts
  StartMethod start_method = StartMethod::kFork;  // kSpawn: for programs that have threads (start_method.h)
  std::size_t max_pending = 65536;  // tasks that have not ended; then submit waits, try_submit refuses. Results
                                    // that are not yet got do not count: they move out of the way
  std::string name = {};            // shown by ipc-inspect; at most 63 characters

  // A worker that has been idle for so long leaves, as long as min_workers stay. One comes back for a task that finds
  // all others busy.
  std::uint32_t min_workers = 1;
  Timeout idle_timeout = kForever;

  // What workers are like, from before the initializer on. If it cannot be done, the pool breaks and says why.
  std::vector<std::uint32_t> cpus = {};                // the processors that they may run on; empty: as the application
  bool pin_workers = false;                            // each on one of those, in turn
  int nice = 0;                                        // added to the application's; less than 0 needs privileges
  std::vector<std::pair<int, ::rlimit>> rlimits = {};  // {RLIMIT_AS, {soft, hard}}; setrlimit(2)
  std::map<std::string, std::optional<std::string>> environment = {};  // beside what is there; nullopt: without
  std::string working_directory = {};                                  // empty: the application's
  std::optional<std::vector<int>> keep_fds =
      {};  // of the descriptors open now these and 0 to 2 alone: all others become
           // /dev/null; nullopt: all. Handles and pipes of Warren see to theirs
};

struct ShutdownOptions {
  bool wait = true;
  bool cancel_pending = false;  // what no worker has begun; a submit() at the same time may come after it, and is run
};

// What apply_async calls, in the submitting process: one of them, once the task has ended.
template <class R>
struct Callbacks {
  std::function<void(R)> callback = {};
  std::function<void(absl::Status)> error_callback = {};
};
template <>
struct Callbacks<void> {
  std::function<void()> callback = {};
  std::function<void(absl::Status)> error_callback = {};
};

namespace detail {
// As a follower of the task.
template <class R>
auto caller_of(Callbacks<R> callbacks) {
  return [callbacks = std::move(callbacks)](Result<R> result) {
    if (!result.ok()) {
      if constexpr (std::is_void_v<R>) {
        if (callbacks.error_callback) callbacks.error_callback(std::move(result));
      } else {
        if (callbacks.error_callback) callbacks.error_callback(result.status());
      }
    } else if (callbacks.callback) {
      if constexpr (std::is_void_v<R>) {
        callbacks.callback();
      } else {
        callbacks.callback(*std::move(result));
      }
    }
  };
}

template <class F>
concept NotOptions = Asked<F> && !kIsOptions<F>;

// What the verbs give: TaskValue, and at the call what is wrong with the task (CheckedTask).
template <class F, class... A>
using Value = typename CheckedTask<F, A...>::value;
template <class F, class... Rg>
using ItemValue = typename CheckedMap<F, Rg...>::value;
template <class F, class... Rg>
using MapValue = typename MapOf<ItemValue<F, Rg...>>::value;
template <class F, class Rg>
using StarValue = typename MapOf<typename CheckedStar<F, Rg>::value>::value;
}  // namespace detail

class Pool {
 public:
  // InvalidArgument for what cannot be; ResourceExhausted for memory, descriptors, processes; those of kSpawn. Returns
  // before the workers have started: what hinders them, an initializer that throws included, the first future says.
  static absl::StatusOr<Pool> create(const PoolOptions& options = {});
  Pool(Pool&&) noexcept = default;
  Pool& operator=(Pool&& other) noexcept;
  ~Pool();  // close(), join(): what was accepted is finished

  // Never fails itself: a closed pool or a full memory is the future's error. Waits while max_pending are pending.
  template <detail::NotOptions F, class... A>
  Future<detail::Value<F, A...>> submit(F&& f, A&&... a) {
    return submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <detail::Asked F, class... A>
  Future<detail::Value<F, A...>> submit(const TaskOptions& options, F&& f, A&&... a);
  // nullopt: max_pending have not ended; the arguments are untouched then. All else, a closed pool too, is the
  // future's.
  template <detail::NotOptions F, class... A>
  [[nodiscard]] std::optional<Future<detail::Value<F, A...>>> try_submit(F&& f, A&&... a) {
    return try_submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <detail::Asked F, class... A>
  [[nodiscard]] std::optional<Future<detail::Value<F, A...>>> try_submit(const TaskOptions& options, F&& f, A&&... a);
  // submit and get.
  template <detail::NotOptions F, class... A>
  Result<detail::Value<F, A...>> apply(F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...).get();
  }
  template <detail::Asked F, class... A>
  Result<detail::Value<F, A...>> apply(const TaskOptions& options, F&& f, A&&... a) {
    return submit(options, std::forward<F>(f), std::forward<A>(a)...).get();
  }

  // submit, and on_done: pool.apply_async({.callback = [&](int r) { ... }}, f, 3).
  template <detail::NotOptions F, class... A>
  Future<detail::Value<F, A...>> apply_async(Callbacks<detail::Value<F, A...>> callbacks, F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...)
        .on_done(detail::caller_of<detail::Value<F, A...>>(std::move(callbacks)));
  }

  // One range per parameter, zipped to the shortest. Waits for every chunk. If an item failed, the first error in
  // order, which names the item; the results of the others are thrown away: who wants to keep them takes imap.
  template <detail::NotOptions F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<detail::MapValue<F, Rg...>> map(F&& f, Rg&&... ranges) {
    return map(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::Asked F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<detail::MapValue<F, Rg...>> map(const MapOptions& options, F&& f, Rg&&... ranges);
  template <detail::NotOptions F, class T>
  Result<detail::MapValue<F, std::initializer_list<T>>> map(F&& f, std::initializer_list<T> items) {
    return map(MapOptions{}, std::forward<F>(f), items);
  }
  template <detail::Asked F, class T>
  Result<detail::MapValue<F, std::initializer_list<T>>> map(const MapOptions& options, F&& f,
                                                            std::initializer_list<T> items) {
    return map(options, std::forward<F>(f), std::views::all(items));
  }

  // map in the background: the ranges are read here, and the future has the whole. Dropped: the items still run.
  // cancel() cancels the chunks that wait, kill() ends those that run, too: the whole fails then.
  template <detail::NotOptions F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<detail::MapValue<F, Rg...>> map_async(F&& f, Rg&&... ranges) {
    return map_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::Asked F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<detail::MapValue<F, Rg...>> map_async(const MapOptions& options, F&& f, Rg&&... ranges);
  template <detail::NotOptions F, class T>
  Future<detail::MapValue<F, std::initializer_list<T>>> map_async(F&& f, std::initializer_list<T> items) {
    return map_async(MapOptions{}, std::forward<F>(f), std::views::all(items));
  }

  // Elements are tuples, pairs or arrays: f(std::get<0>(e), ...).
  template <detail::NotOptions F, class Rg>
  Result<detail::StarValue<F, Rg>> starmap(F&& f, Rg&& tuples) {
    return starmap(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <detail::Asked F, class Rg>
  Result<detail::StarValue<F, Rg>> starmap(const MapOptions& options, F&& f, Rg&& tuples);

  template <detail::NotOptions F, class Rg>
  Future<detail::StarValue<F, Rg>> starmap_async(F&& f, Rg&& tuples) {
    return starmap_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <detail::Asked F, class Rg>
  Future<detail::StarValue<F, Rg>> starmap_async(const MapOptions& options, F&& f, Rg&& tuples);
  // Calls f(T&) for every element of an Array<T>, in place: nothing is copied. Waits until every element has run. No
  // lock is taken: who reads the array meanwhile, or runs another for_each over it, holds items.mutex() around both. An
  // element that fails (throws, returns a bad Status, kills its worker) costs the others nothing: they have run and are
  // changed. The first failure in order is returned, and names the element; that one is as f left it, and what a death
  // interrupted is half done, or done. Retries, only where they are asked for, call f again with the element as it is
  // then: ask where f may be run twice.
  template <detail::NotOptions F, class Items>
  absl::Status for_each(Items&& items, F&& f) {
    return for_each(MapOptions{}, std::forward<Items>(items), std::forward<F>(f));
  }
  template <detail::Asked F, class Items>
  absl::Status for_each(const MapOptions& options, Items&& items, F&& f);

  // The range is read as results are taken, in the calling thread, at most 4 chunks per worker ahead; an rvalue range
  // is kept, an lvalue must outlive the stream. imap gives results in order, imap_unordered as they come.
  template <detail::NotOptions F, class... Rg>
  Stream<detail::ItemValue<F, Rg...>> imap(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::Asked F, class... Rg>
  Stream<detail::ItemValue<F, Rg...>> imap(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::NotOptions F, class T>
  Stream<detail::ItemValue<F, std::vector<T>>> imap(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::vector<T>(items));
  }
  template <detail::NotOptions F, class... Rg>
  Stream<detail::ItemValue<F, Rg...>> imap_unordered(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::Asked F, class... Rg>
  Stream<detail::ItemValue<F, Rg...>> imap_unordered(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <detail::NotOptions F, class T>
  Stream<detail::ItemValue<F, std::vector<T>>> imap_unordered(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::vector<T>(items));
  }

  // No more tasks; what was accepted is finished, a map() under way in another thread included. A stream (imap) submits
  // no more: items it has not submitted fail with FailedPrecondition, and so do those behind an item whose worker dies
  // from now on, in the same chunk.
  void close();
  // No more tasks; workers are killed, what has not ended fails as Cancelled. Unlike all else here it may be called in
  // a signal handler (it may change errno).
  void terminate();
  // Waits until every worker has gone. FailedPrecondition: neither closed nor terminated, or workers could not be
  // started (it says why). Unavailable: the supervisor was killed. May be called again.
  absl::Status join() { return join_until(Deadline::never()); }
  absl::Status join_for(Timeout d) { return join_until(Deadline::after(d)); }  // + DeadlineExceeded: not yet
  absl::Status join_until(Deadline t);

  // close(), and join() if asked to wait; tasks that no worker has begun are cancelled if asked for, those of maps too.
  // Without a wait OK. In a callback too.
  absl::Status shutdown(const ShutdownOptions& options = {});

  // How many workers the pool keeps: as many as it was made with or resize() said, without those that have left since
  // they had nothing to do. A worker that died counts: another takes its place.
  [[nodiscard]] std::uint32_t workers() const noexcept { return client().workers(); }
  // Returns at once. More: they are started. Fewer: those of the highest numbers finish their task, and leave; tasks
  // that only they were to run (TaskOptions::worker) go to any. InvalidArgument for 0 and for more than 1024.
  absl::Status resize(std::uint32_t workers);

 private:
  explicit Pool(std::shared_ptr<detail::PoolClient> client) noexcept : client_(std::move(client)) {}
  void end() noexcept;
  [[nodiscard]] detail::PoolClient& client() const noexcept {
    WARREN_CHECK(client_ != nullptr, "this Pool was moved from: it may only be assigned to or destroyed");
    return *client_;
  }
  template <class F, class... Rg>
  Stream<detail::ItemValue<F, Rg...>> stream(const MapOptions& options, bool ordered, F&& f, Rg&&... ranges);

  std::shared_ptr<detail::PoolClient> client_;
};

// --- bodies ----------------------------------------------------------------------------------------------------------

namespace detail {
template <class F, class... A>
std::optional<FunctionId> single_task() {
  return registered<SingleTask<std::decay_t<F>, typename Carried<A>::type...>>().id();
}
}  // namespace detail

template <detail::Asked F, class... A>
Future<detail::Value<F, A...>> Pool::submit(const TaskOptions& options, F&& f, A&&... a) {
  if constexpr (detail::CheckedTask<F, A...>::ok) {
    return Future<detail::Value<F, A...>>(
        client().submit({.function = detail::single_task<F, A...>(), .options = options, .encode = [&](Writer& w) {
                           detail::encode_callable<std::decay_t<F>>(w, f);
                           (detail::put_argument(w, a), ...);
                         }}));
  } else {
    return {};  // told above
  }
}

template <detail::Asked F, class... A>
std::optional<Future<detail::Value<F, A...>>> Pool::try_submit(const TaskOptions& options, F&& f, A&&... a) {
  if constexpr (detail::CheckedTask<F, A...>::ok) {
    auto ticket =
        client().try_submit({.function = detail::single_task<F, A...>(), .options = options, .encode = [&](Writer& w) {
                               detail::encode_callable<std::decay_t<F>>(w, f);
                               (detail::put_argument(w, a), ...);
                             }});
    if (ticket == nullptr) return std::nullopt;
    return Future<detail::Value<F, A...>>(std::move(ticket));
  } else {
    return std::nullopt;  // told above
  }
}

template <detail::Asked F, class... Rg>
  requires(sizeof...(Rg) > 0)
Result<detail::MapValue<F, Rg...>> Pool::map(const MapOptions& options, F&& f, Rg&&... ranges) {
  if constexpr (detail::CheckedMap<F, Rg...>::ok) {
    return detail::run_map<std::decay_t<F>>(client(), options, f, detail::Zip<Rg...>(std::forward<Rg>(ranges)...));
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <detail::Asked F, class Rg>
Result<detail::StarValue<F, Rg>> Pool::starmap(const MapOptions& options, F&& f, Rg&& tuples) {
  if constexpr (detail::CheckedStar<F, Rg>::ok) {
    return detail::run_map<std::decay_t<F>>(client(), options, f, detail::Star<Rg>(std::forward<Rg>(tuples)));
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <detail::Asked F, class... Rg>
  requires(sizeof...(Rg) > 0)
Future<detail::MapValue<F, Rg...>> Pool::map_async(const MapOptions& options, F&& f, Rg&&... ranges) {
  if constexpr (detail::CheckedMap<F, Rg...>::ok) {
    using Task = detail::MapTask<detail::ItemValue<F, Rg...>>;
    return Future<detail::MapValue<F, Rg...>>(Task::template start<std::decay_t<F>>(
        client().shared_from_this(), options, f, detail::Zip<Rg...>(std::forward<Rg>(ranges)...)));
  } else {
    return {};  // told above
  }
}

template <detail::Asked F, class Rg>
Future<detail::StarValue<F, Rg>> Pool::starmap_async(const MapOptions& options, F&& f, Rg&& tuples) {
  if constexpr (detail::CheckedStar<F, Rg>::ok) {
    using Task = detail::MapTask<typename detail::CheckedStar<F, Rg>::value>;
    return Future<detail::StarValue<F, Rg>>(Task::template start<std::decay_t<F>>(
        client().shared_from_this(), options, f, detail::Star<Rg>(std::forward<Rg>(tuples))));
  } else {
    return {};  // told above
  }
}

template <detail::Asked F, class Items>
absl::Status Pool::for_each(const MapOptions& options, Items&& items, F&& f) {
  if constexpr (detail::check_for_each<std::decay_t<F>, std::remove_reference_t<Items>>()) {
    return detail::run_for_each<std::decay_t<F>>(client(), options, f, items);
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <class F, class... Rg>
Stream<detail::ItemValue<F, Rg...>> Pool::stream(const MapOptions& options, bool ordered, F&& f, Rg&&... ranges) {
  if constexpr (detail::CheckedMap<F, Rg...>::ok) {
    using Source = detail::MapStream<std::decay_t<F>, detail::Zip<Rg...>>;
    return Stream<detail::ItemValue<F, Rg...>>(std::make_unique<Source>(
        client().shared_from_this(), options, std::forward<F>(f), ordered, std::forward<Rg>(ranges)...));
  } else {
    return Stream<detail::ItemValue<F, Rg...>>(nullptr);  // told above
  }
}

}  // namespace warren
