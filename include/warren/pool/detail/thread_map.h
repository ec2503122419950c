// map, imap and for_each of a ThreadPool: chunks of items, each chunk one task.
#pragma once
#include <warren/ipc/array.h>
#include <warren/pool/detail/for_each.h>
#include <warren/pool/detail/map.h>
#include <warren/pool/detail/thread_task.h>

#include <atomic>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <utility>
#include <vector>

namespace warren::detail {

// --- what wrong ones are told ----------------------------------------------------------------------------------------

template <class F>
consteval bool check_shared_function() {
  constexpr bool kCopied = std::copy_constructible<std::decay_t<F>> && std::constructible_from<std::decay_t<F>, F>;
  static_assert(kCopied,
                "map and imap call copies of the function, one for each chunk, and this one cannot be copied. Remedy: "
                "std::ref(f), which all threads call at once");
  return kCopied;
}

template <class F, class... A>
consteval bool check_thread_map() {
  if constexpr (kIsOptions<F>) {
    return false;  // another overload is meant
  } else if constexpr (!check_shared_function<F>()) {
    return false;
  } else {
    return check_thread_call<std::decay_t<F>, A...>();
  }
}

template <class F, class... A>
struct CheckedThreadApply {
  static constexpr bool ok = check_thread_map<F, typename Carried<A>::type...>();
  using raw = typename Call<std::decay_t<F>, typename Carried<A>::type...>::raw;
  using value = typename ResultOf<std::decay_t<std::conditional_t<ok, raw, raw>>>::value;
};

template <class F, class... Rg>
using CheckedThreadMap = CheckedRanges<CheckedThreadApply, F, Rg...>;
template <class F, class Rg>
using CheckedThreadStar = CheckedTuples<CheckedThreadApply, F, Rg>;

template <class Rg>
inline constexpr bool kElementsInPlace = false;
template <class Rg>
  requires std::ranges::forward_range<Rg>
inline constexpr bool kElementsInPlace<Rg> = std::is_lvalue_reference_v<std::ranges::range_reference_t<Rg>>;

template <class F, class Items>
consteval bool check_thread_for_each() {
  if constexpr (kIsArray<std::remove_cvref_t<Items>>) {
    return check_thread_for_each<F, decltype(std::declval<Items&>().span())>();
  } else {
    static_assert(kElementsInPlace<Items>,
                  "for_each changes the elements of a range where they lie: a container, a span, a warren::Array<T>. "
                  "This is none, or each of its elements is made when it is read (std::vector<bool>, a view). Remedy: "
                  "map, which takes any range and gives results");
    if constexpr (!kElementsInPlace<Items>) {
      return false;
    } else if constexpr (!check_shared_function<F>()) {
      return false;
    } else {
      constexpr bool kCallable = std::invocable<std::decay_t<F>&, std::ranges::range_reference_t<Items>>;
      static_assert(kCallable,
                    "for_each calls the function with each element, a T&, and this one cannot be called so. Remedy: "
                    "[](T& x) { ... }");
      if constexpr (!kCallable) {
        return false;
      } else {
        return check_changes<std::ranges::range_value_t<Items>, std::decay_t<F>>();
      }
    }
  }
}

// --- chunks ----------------------------------------------------------------------------------------------------------

struct ThreadChunk {
  std::shared_ptr<TaskCore> ticket;
  std::size_t begin = 0;
  std::size_t count = 0;
};
template <>
struct ChunkOf<ThreadCrew> {
  using type = ThreadChunk;
};

inline absl::Status cut_short() {
  TaskError error;
  error.kind = TaskError::Kind::kCancelled;
  error.what = "the pool was terminated";
  return make_task_status(absl::StatusCode::kCancelled, error);
}

// One item of many: what call(f) gives. A plain closure starts afresh for each, as in a Pool.
template <class Outcome, class F, class Call>
Outcome run_item(ThreadCrew& crew, F& function, Call&& call) {
  if (crew.terminated()) return cut_short();
  if constexpr (kPlainFunction<F>) {
    F fresh = function;
    return call(fresh);
  } else {
    return call(function);
  }
}

// The items of a chunk, one after the other.
template <class R, class F, class Item>
struct ChunkCall {
  ThreadCrew* crew;  // the task holds it
  TaskOptions options;
  F function;
  std::vector<Item> items;

  std::vector<Result<R>> operator()() {
    std::vector<Result<R>> results;
    results.reserve(items.size());
    for (Item& item : items) {
      results.push_back(
          run_item<Result<R>>(*crew, function, [&](F& f) { return call_with_retries<R>(*crew, f, item, options); }));
    }
    return results;
  }
};

template <class F, class... T>
ThreadChunk submit_chunk(ThreadCrew& crew, const TaskOptions& options, const F& f, std::size_t begin,
                         std::vector<std::tuple<T...>> items) {
  using Item = std::tuple<T...>;
  using R = typename CallOf<F, Item>::Value;
  using Calls = ChunkCall<R, F, Item>;
  const std::size_t count = items.size();
  (void)crew.take_place(true);
  return {.ticket = enqueue_task<ThreadTask<std::vector<Result<R>>, Calls, std::tuple<>>>(
              crew, true, options, Calls{&crew, options, f, std::move(items)}),
          .begin = begin,
          .count = count};
}

// Of a chunk that has ended, once: calls give(index, Result<R>) for each of its items in order.
template <class R, class Give>
std::vector<ThreadChunk> collect(const ThreadChunk& chunk, const TaskOptions&, Give&& give) {
  auto* const results = static_cast<absl::StatusOr<std::vector<Result<R>>>*>(chunk.ticket->value());
  for (std::size_t i = 0; i < chunk.count; ++i) {
    const std::size_t item = chunk.begin + i;
    if (results == nullptr) {
      give(item,
           named<Result<R>>(absl::FailedPreconditionError("this task belongs to the process that made it"), item));
    } else {
      give(item, named<Result<R>>(results->ok() ? std::move((**results)[i]) : Result<R>(results->status()), item));
    }
  }
  return {};
}

// --- map_async -------------------------------------------------------------------------------------------------------

// The results of all chunks, or the first failure in order.
template <class R>
class ThreadMapTask final : public LocalTask<typename MapOf<R>::value> {
 public:
  template <class F, class Source>
  static std::shared_ptr<ThreadMapTask> start(ThreadCrew& crew, const MapOptions& options, const F& f,
                                              Source&& source) {
    auto task = std::make_shared<ThreadMapTask>();
    const auto under_way = begin_map(crew, options);
    if (!under_way.ok()) return task->set(under_way.status()), task;
    auto chunks = submit_all<F, typename std::remove_cvref_t<Source>::Item>(crew, options, f, source);
    task->chunks_.assign(std::move_iterator(chunks.begin()), std::move_iterator(chunks.end()));
    if (task->chunks_.empty()) return task->whole(), task;
    task->left_ = task->chunks_.size();
    for (const ThreadChunk& chunk : task->chunks_) {
      chunk.ticket->watch(task.get(), [task](TaskCore&) { task->one_ended(); });
    }
    return task;
  }

  [[nodiscard]] bool running() const override { return !this->ended(); }
  [[nodiscard]] double progress() const noexcept override {
    const std::size_t left = left_.load(std::memory_order_relaxed);
    return chunks_.empty() ? 0 : 1 - static_cast<double>(left) / static_cast<double>(chunks_.size());
  }
  // The chunks that wait. True: there were some, so the whole fails.
  bool cancel() override {
    bool any = false;
    for (const ThreadChunk& chunk : chunks_) any = chunk.ticket->cancel() || any;
    return any;
  }
  bool kill() override { return cancel(); }
  [[nodiscard]] TaskId id() const noexcept override {
    return chunks_.empty() ? TaskId{} : chunks_.front().ticket->id();
  }

 private:
  void one_ended() {
    if (--left_ == 0) whole();
  }
  void whole() {
    Whole<R> all;
    for (const ThreadChunk& chunk : chunks_) {
      (void)collect<R>(chunk, TaskOptions{}, [&all](std::size_t, Result<R> result) { all.add(std::move(result)); });
    }
    this->set(all.take());
  }

  std::vector<ThreadChunk> chunks_;
  std::atomic<std::size_t> left_ = 0;
};

// --- for_each --------------------------------------------------------------------------------------------------------

struct FirstFailure {
  std::size_t element = 0;
  absl::Status status = {};
};

// Elements [begin, begin + count), where they lie.
template <class F, class Iterator>
struct RangeCall {
  ThreadCrew* crew;
  TaskOptions options;
  F function;
  Iterator first;
  std::size_t begin;
  std::size_t count;

  FirstFailure operator()() {
    FirstFailure failure;
    Iterator it = first;
    for (std::size_t i = 0; i < count; ++i, ++it) {
      auto status = run_item<absl::Status>(*crew, function, [&](F& f) { return call(f, *it); });
      if (!status.ok() && failure.status.ok()) failure = {.element = begin + i, .status = std::move(status)};
    }
    return failure;
  }

 private:
  template <class T>
  absl::Status call(F& f, T& element) {
    if (is_no_function(f)) return no_function();
    std::tuple<std::reference_wrapper<T>> argument{element};
    auto on_element = [&f](std::reference_wrapper<T> x) { return std::invoke(f, x.get()); };
    using Raw = typename ResultOf<std::decay_t<std::invoke_result_t<F&, T&>>>::value;
    return status_of(call_with_retries<Raw>(*crew, on_element, argument, options));
  }
};

template <class F, class Items>
absl::Status run_thread_for_each(ThreadCrew& crew, const MapOptions& options, const F& f, Items& items) {
  const auto under_way = begin_map(crew, options);
  if (!under_way.ok()) return under_way.status();
  using Calls = RangeCall<F, std::ranges::iterator_t<Items>>;
  const auto all = static_cast<std::size_t>(std::ranges::distance(items));
  const std::size_t size = options.chunksize.value_or(default_chunksize(all, crew.workers()));
  std::vector<std::shared_ptr<ThreadTask<FirstFailure, Calls, std::tuple<>>>> tasks;
  auto first = std::ranges::begin(items);
  for (std::size_t begin = 0; begin < all;) {
    const std::size_t count = std::min(size, all - begin);
    (void)crew.take_place(true);
    tasks.push_back(enqueue_task<ThreadTask<FirstFailure, Calls, std::tuple<>>>(
        crew, true, options.task, Calls{&crew, options.task, f, first, begin, count}));
    begin += count;
    std::ranges::advance(first, static_cast<std::ptrdiff_t>(count));
  }
  absl::Status failure;
  std::size_t begin = 0;
  for (const auto& task : tasks) {
    (void)task->wait(Deadline::never());
    const auto& result = *static_cast<absl::StatusOr<FirstFailure>*>(task->value());
    if (failure.ok() && !result.ok()) failure = status_of_item(result.status(), begin);
    if (failure.ok() && !result->status.ok()) failure = status_of_item(result->status, result->element);
    begin += size;
  }
  return failure;
}

}  // namespace warren::detail
