// The calls that Pool and ThreadPool share, and what they promise: submit, map and the others, and how a pool ends.
// What a ThreadPool does otherwise stands in thread_pool.h.
#pragma once
#include <warren/ipc/detail/check.h>
#include <warren/pool/detail/map.h>
#include <warren/pool/future.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

namespace warren {

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
      if (callbacks.error_callback) callbacks.error_callback(status_of(result));
    } else if (callbacks.callback) {
      if constexpr (std::is_void_v<R>) {
        callbacks.callback();
      } else {
        callbacks.callback(*std::move(result));
      }
    }
  };
}

template <class F, class Way>
concept AskedOf = Way::template kAsked<F>;
template <class F, class Way>
concept FunctionOf = AskedOf<F, Way> && !kIsOptions<F>;

// `Way` is how calls are run: OnProcesses, OnThreads. It names the client that takes them, what is wrong with a call
// (Task, Map, Star: `ok`, and the `value` that it gives, so that the compiler tells it at the call), and how one call,
// a map in the background and a for_each are handed to the client.
template <class Way>
class Verbs {
 protected:
  using Client = typename Way::Client;

  template <class F, class... A>
  using Value = typename Way::template Task<F, A...>::value;
  template <class F, class... Rg>
  using ItemValue = typename Way::template Map<F, Rg...>::value;
  template <class F, class... Rg>
  using MapValue = typename MapOf<ItemValue<F, Rg...>>::value;
  template <class F, class Rg>
  using StarItemValue = typename Way::template Star<F, Rg>::value;
  template <class F, class Rg>
  using StarValue = typename MapOf<StarItemValue<F, Rg>>::value;

 public:
  // Never fails itself: a closed pool or a full memory is the future's error. Waits while max_pending are pending.
  template <FunctionOf<Way> F, class... A>
  Future<Value<F, A...>> submit(F&& f, A&&... a) {
    return submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <AskedOf<Way> F, class... A>
  Future<Value<F, A...>> submit(const TaskOptions& options, F&& f, A&&... a) {
    return Future<Value<F, A...>>(one_call(true, options, std::forward<F>(f), std::forward<A>(a)...));
  }
  // nullopt: max_pending have not ended; the arguments are untouched then. All else, a closed pool too, is the
  // future's.
  template <FunctionOf<Way> F, class... A>
  [[nodiscard]] std::optional<Future<Value<F, A...>>> try_submit(F&& f, A&&... a) {
    return try_submit(TaskOptions{}, std::forward<F>(f), std::forward<A>(a)...);
  }
  template <AskedOf<Way> F, class... A>
  [[nodiscard]] std::optional<Future<Value<F, A...>>> try_submit(const TaskOptions& options, F&& f, A&&... a) {
    auto task = one_call(false, options, std::forward<F>(f), std::forward<A>(a)...);
    if (task == nullptr) return std::nullopt;
    return Future<Value<F, A...>>(std::move(task));
  }
  // submit and get.
  template <FunctionOf<Way> F, class... A>
  Result<Value<F, A...>> apply(F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...).get();
  }
  template <AskedOf<Way> F, class... A>
  Result<Value<F, A...>> apply(const TaskOptions& options, F&& f, A&&... a) {
    return submit(options, std::forward<F>(f), std::forward<A>(a)...).get();
  }
  // submit, and on_done: pool.apply_async({.callback = [&](int r) { ... }}, f, 3).
  template <FunctionOf<Way> F, class... A>
  Future<Value<F, A...>> apply_async(Callbacks<Value<F, A...>> callbacks, F&& f, A&&... a) {
    return submit(std::forward<F>(f), std::forward<A>(a)...).on_done(caller_of<Value<F, A...>>(std::move(callbacks)));
  }

  // One range per parameter, zipped to the shortest. Waits for every chunk. If an item failed, the first error in
  // order, which names the item; the results of the others are thrown away: who wants to keep them takes imap.
  template <FunctionOf<Way> F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<MapValue<F, Rg...>> map(F&& f, Rg&&... ranges) {
    return map(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <AskedOf<Way> F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Result<MapValue<F, Rg...>> map(const MapOptions& options, F&& f, Rg&&... ranges) {
    if constexpr (Way::template Map<F, Rg...>::ok) {
      return run_map<std::decay_t<F>>(client(), options, f, Zip<Rg...>(std::forward<Rg>(ranges)...));
    } else {
      return absl::UnimplementedError("");  // told above
    }
  }
  template <FunctionOf<Way> F, class T>
  Result<MapValue<F, std::initializer_list<T>>> map(F&& f, std::initializer_list<T> items) {
    return map(MapOptions{}, std::forward<F>(f), items);
  }
  template <AskedOf<Way> F, class T>
  Result<MapValue<F, std::initializer_list<T>>> map(const MapOptions& options, F&& f, std::initializer_list<T> items) {
    return map(options, std::forward<F>(f), std::views::all(items));
  }

  // map in the background: the ranges are read here, and the future has the whole. Dropped: the items still run.
  // cancel() cancels the chunks that wait, kill() ends those that run, too: the whole fails then.
  template <FunctionOf<Way> F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<MapValue<F, Rg...>> map_async(F&& f, Rg&&... ranges) {
    return map_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <AskedOf<Way> F, class... Rg>
    requires(sizeof...(Rg) > 0)
  Future<MapValue<F, Rg...>> map_async(const MapOptions& options, F&& f, Rg&&... ranges) {
    if constexpr (Way::template Map<F, Rg...>::ok) {
      return in_background<ItemValue<F, Rg...>, std::decay_t<F>>(options, f, Zip<Rg...>(std::forward<Rg>(ranges)...));
    } else {
      return {};  // told above
    }
  }
  template <FunctionOf<Way> F, class T>
  Future<MapValue<F, std::initializer_list<T>>> map_async(F&& f, std::initializer_list<T> items) {
    return map_async(MapOptions{}, std::forward<F>(f), std::views::all(items));
  }

  // Elements are tuples, pairs or arrays: f(std::get<0>(e), ...).
  template <FunctionOf<Way> F, class Rg>
  Result<StarValue<F, Rg>> starmap(F&& f, Rg&& tuples) {
    return starmap(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <AskedOf<Way> F, class Rg>
  Result<StarValue<F, Rg>> starmap(const MapOptions& options, F&& f, Rg&& tuples) {
    if constexpr (Way::template Star<F, Rg>::ok) {
      return run_map<std::decay_t<F>>(client(), options, f, Star<Rg>(std::forward<Rg>(tuples)));
    } else {
      return absl::UnimplementedError("");  // told above
    }
  }

  template <FunctionOf<Way> F, class Rg>
  Future<StarValue<F, Rg>> starmap_async(F&& f, Rg&& tuples) {
    return starmap_async(MapOptions{}, std::forward<F>(f), std::forward<Rg>(tuples));
  }
  template <AskedOf<Way> F, class Rg>
  Future<StarValue<F, Rg>> starmap_async(const MapOptions& options, F&& f, Rg&& tuples) {
    if constexpr (Way::template Star<F, Rg>::ok) {
      return in_background<StarItemValue<F, Rg>, std::decay_t<F>>(options, f, Star<Rg>(std::forward<Rg>(tuples)));
    } else {
      return {};  // told above
    }
  }

  // Calls f(T&) for every element of an Array<T>, in place: nothing is copied. Waits until every element has run. No
  // lock is taken: who reads the array meanwhile, or runs another for_each over it, holds items.mutex() around both. An
  // element that fails (throws, returns a bad Status, kills its worker) costs the others nothing: they have run and are
  // changed. The first failure in order is returned, and names the element; that one is as f left it, and what a death
  // interrupted is half done, or done. Retries, only where they are asked for, call f again with the element as it is
  // then: ask where f may be run twice.
  template <FunctionOf<Way> F, class Items>
  absl::Status for_each(Items&& items, F&& f) {
    return for_each(MapOptions{}, std::forward<Items>(items), std::forward<F>(f));
  }
  template <AskedOf<Way> F, class Items>
  absl::Status for_each(const MapOptions& options, Items&& items, F&& f) {
    if constexpr (Way::template check_for_each<F, Items>()) {
      return Way::template for_each<std::decay_t<F>>(client(), options, f, items);
    } else {
      return absl::UnimplementedError("");  // told above
    }
  }

  // The range is read as results are taken, in the calling thread, at most 4 chunks per worker ahead; an rvalue range
  // is kept, an lvalue must outlive the stream. imap gives results in order, imap_unordered as they come.
  template <FunctionOf<Way> F, class... Rg>
  Stream<ItemValue<F, Rg...>> imap(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <AskedOf<Way> F, class... Rg>
  Stream<ItemValue<F, Rg...>> imap(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, true, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <FunctionOf<Way> F, class T>
  Stream<ItemValue<F, std::vector<T>>> imap(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, true, std::forward<F>(f), std::vector<T>(items));
  }
  template <FunctionOf<Way> F, class... Rg>
  Stream<ItemValue<F, Rg...>> imap_unordered(F&& f, Rg&&... ranges) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <AskedOf<Way> F, class... Rg>
  Stream<ItemValue<F, Rg...>> imap_unordered(const MapOptions& options, F&& f, Rg&&... ranges) {
    return stream(options, false, std::forward<F>(f), std::forward<Rg>(ranges)...);
  }
  template <FunctionOf<Way> F, class T>
  Stream<ItemValue<F, std::vector<T>>> imap_unordered(F&& f, std::initializer_list<T> items) {
    return stream(MapOptions{}, false, std::forward<F>(f), std::vector<T>(items));
  }

  // How many workers the pool keeps: as many as it was made with or resize() said, without those that have left since
  // they had nothing to do. A worker that died counts: another takes its place.
  [[nodiscard]] std::uint32_t workers() const noexcept { return client().workers(); }

 protected:
  explicit Verbs(std::shared_ptr<Client> client) noexcept : client_(std::move(client)) {}
  Verbs(Verbs&&) noexcept = default;
  Verbs& operator=(Verbs&&) noexcept = default;
  ~Verbs() = default;

  [[nodiscard]] Client& client() const noexcept {
    WARREN_CHECK(client_ != nullptr, Way::kMovedFrom);
    return *client_;
  }
  [[nodiscard]] bool moved_from() const noexcept { return client_ == nullptr; }

 private:
  // Null: not to wait, and max_pending have not ended.
  template <class F, class... A>
  std::shared_ptr<TaskCore> one_call(bool wait, const TaskOptions& options, F&& f, A&&... a) {
    if constexpr (Way::template Task<F, A...>::ok) {
      return Way::submit(client(), wait, options, std::forward<F>(f), std::forward<A>(a)...);
    } else {
      return nullptr;  // told above
    }
  }
  template <class R, class F, class Source>
  Future<typename MapOf<R>::value> in_background(const MapOptions& options, const F& f, Source&& source) {
    return Future<typename MapOf<R>::value>(
        Way::template Background<R>::template start<F>(client(), options, f, std::forward<Source>(source)));
  }
  template <class F, class... Rg>
  Stream<ItemValue<F, Rg...>> stream(const MapOptions& options, bool ordered, F&& f, Rg&&... ranges) {
    if constexpr (Way::template Map<F, Rg...>::ok) {
      using Source = MapStream<std::decay_t<F>, Zip<Rg...>, Client>;
      return Stream<ItemValue<F, Rg...>>(std::make_unique<Source>(
          client().shared_from_this(), options, std::forward<F>(f), ordered, std::forward<Rg>(ranges)...));
    } else {
      return Stream<ItemValue<F, Rg...>>(nullptr);  // told above
    }
  }

  std::shared_ptr<Client> client_;
};

// Who made a pool, and ends it. A forked child's copy leaves it alone.
template <class Way>
class PoolOwner : public Verbs<Way> {
 public:
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

 protected:
  explicit PoolOwner(std::shared_ptr<typename Way::Client> client) noexcept : Verbs<Way>(std::move(client)) {}
  PoolOwner(PoolOwner&&) noexcept = default;
  PoolOwner& operator=(PoolOwner&& other) noexcept;
  ~PoolOwner();
  [[nodiscard]] absl::Status check_mine() const;  // FailedPrecondition in a forked child

 private:
  void end() noexcept;
};

}  // namespace detail
}  // namespace warren
