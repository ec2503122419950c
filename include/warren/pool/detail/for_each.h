// for_each: an array's elements changed where they lie. Each task carries the array's handle and a range of indices.
#pragma once
#include <warren/ipc/array.h>
#include <warren/ipc/detail/process.h>
#include <warren/pool/detail/chunks.h>
#include <warren/pool/detail/keep_until_idle.h>
#include <warren/pool/detail/map.h>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace warren::detail {

// --- what wrong ones are told ----------------------------------------------------------------------------------------

template <class Items>
inline constexpr bool kIsArray = false;
template <class T>
inline constexpr bool kIsArray<Array<T>> = true;

// Whether F's last parameter is a T of its own, where F has one signature.
template <class T, class Signature>
inline constexpr bool kLastIsCopy = false;
template <class T, class R, class... A>
  requires(sizeof...(A) != 0)
inline constexpr bool kLastIsCopy<T, std::function<R(A...)>> =
    std::same_as<std::tuple_element_t<sizeof...(A) - 1, std::tuple<A...>>, T>;
template <class T, class F>
inline constexpr bool kTakesCopy = false;
template <class T, class F>
  requires requires(F f) { std::function(f); }
inline constexpr bool kTakesCopy<T, F> = kLastIsCopy<T, decltype(std::function(std::declval<F>()))>;
template <class T, auto F>
inline constexpr bool kTakesCopy<T, Fn<F>> = kTakesCopy<T, std::decay_t<decltype(F)>>;
template <class T, class F, class... B>
inline constexpr bool kTakesCopy<T, BoundFront<F, B...>> = kTakesCopy<T, F>;

template <class T, class F>
consteval bool check_changes() {
  constexpr bool kCopies = kTakesCopy<T, F>;
  static_assert(!kCopies,
                "for_each changes the elements where they lie, and this function takes a copy of each: nothing would "
                "change. Remedy: take T&; or const T&, where it only reads");
  return !kCopies;
}

template <class F, class Items>
consteval bool check_for_each() {
  static_assert(kIsArray<Items>,
                "for_each changes the elements of a warren::Array<T> where they lie, and this is none, or const. "
                "Remedy: Array<T>::create(items); or map, which takes any range and gives results");
  if constexpr (!kIsArray<Items>) {
    return false;
  } else if constexpr (!check_function<F>()) {
    return false;
  } else {
    constexpr bool kCallable = std::invocable<F&, typename Items::value_type&>;
    static_assert(kCallable,
                  "for_each calls the function with a T& for each element of an Array<T>, and this one cannot be "
                  "called so. Remedy: [](T& x) { ... }; what else it needs by warren::bind_front(f, value)");
    if constexpr (!kCallable) {
      return false;
    } else {
      return check_changes<typename Items::value_type, F>();
    }
  }
}

// --- in the worker ---------------------------------------------------------------------------------------------------

// What a range's result begins with. Behind it stand events: kTriedAgain or kFailed, the place in the range as a u32,
// and with kFailed a status.
struct RangeProgress {
  ItemTag tag = ItemTag::kValue;  // not kTaskFailed, which may stand here instead
  std::uint8_t reserved[3] = {};
  std::uint32_t done = 0;
};
static_assert(sizeof(RangeProgress) == 8 && offsetof(RangeProgress, done) == 4);
inline constexpr std::size_t kLongestRange = std::numeric_limits<std::uint32_t>::max();

// Runs elements, and counts them as they are finished, so that a death names the one that ran. Plain memory is behind
// the count: nobody reads it before this process has ended the task, or has ended.
template <class F, class T>
class RangeRun {
 public:
  RangeRun(const ChunkHead& head, F& function, std::span<T> elements, ResultSink& sink)
      : head_(head), function_(function), elements_(elements), sink_(sink) {}

  void run() {
    sink_.writer().put(RangeProgress{});
    sink_.commit();
    std::uint32_t attempt = head_.attempt;
    sink_.set_attempt(attempt);
    bool told = false;
    while (next_ < elements_.size()) {
      // An element that has failed before runs by itself, since its attempt has another number; and each does whose
      // time is measured.
      const bool alone = attempt != 1 || head_.each_is_timed != 0;
      const std::size_t end = alone ? next_ + 1 : elements_.size();
      if (const absl::Status failure = run_until(end, attempt); !failure.ok()) {
        if (head_.retry_on_any_failure != 0 && attempt <= head_.retries) {
          if (!tell(ItemTag::kTriedAgain)) return;
          sink_.wait_before_next_attempt();
          sink_.set_attempt(++attempt);
          continue;
        }
        // The first is what for_each gives, so of the others only the count is kept.
        if (!std::exchange(told, true) && !tell(ItemTag::kFailed, failure)) return;
        count(++next_);
      }
      if (alone) sink_.set_attempt(attempt = 1);
    }
  }

 private:
  // The failure of the element that is next then. One handler around the loop: the loop is all that most calls cost.
  absl::Status run_until(std::size_t end, std::uint32_t attempt) {
    const std::uint64_t epoch = process_epoch();
    const std::atomic_ref<std::uint32_t> done(progress());
    try {
      while (next_ < end) {
        if constexpr (std::is_trivially_copyable_v<F>) {
          F fresh = function_;  // as in map: however the elements were cut into ranges
          if (absl::Status status = call(fresh); !status.ok()) return status_of_returned(std::move(status), attempt);
        } else if (absl::Status status = call(function_); !status.ok()) {
          return status_of_returned(std::move(status), attempt);
        }
        if (process_epoch() != epoch) [[unlikely]]
          sink_.commit();  // it forked, and this child came out of it too: it leaves here
        ++next_;
        // Not before the element's bytes, nor after the next one's: a death may come between any two instructions.
        std::atomic_signal_fence(std::memory_order_seq_cst);  // [T20] the element is whole; pairs with T20
        done.store(static_cast<std::uint32_t>(next_), std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // likewise [T20], of the next
      }
      return absl::OkStatus();
    } catch (...) {
      return status_of_current_exception(attempt);
    }
  }

  absl::Status call(F& function) {
    using Given = std::decay_t<std::invoke_result_t<F&, T&>>;
    if constexpr (std::same_as<Given, absl::Status>) {
      return std::invoke(function, elements_[next_]);
    } else if constexpr (requires(Given given) { static_cast<absl::Status>(given.status()); }) {
      return std::invoke(function, elements_[next_]).status();
    } else {
      (void)std::invoke(function, elements_[next_]);
      return absl::OkStatus();
    }
  }

  // Of the element that is next. False: memory ended, and with it the task, where it stands.
  bool tell(ItemTag tag, const absl::Status& failure = absl::OkStatus()) {
    Writer& out = sink_.writer();  // asked for now: the task may have forked
    out.put(tag);
    out.put(static_cast<std::uint32_t>(next_));
    if (tag == ItemTag::kFailed) put_status(out, failure);
    sink_.commit();
    return out.ok();
  }

  // Where it lies now: what is told behind it may have moved it.
  std::uint32_t& progress() {
    std::byte* const result = const_cast<std::byte*>(sink_.writer().written().data());
    return *reinterpret_cast<std::uint32_t*>(result + offsetof(RangeProgress, done));
  }
  void count(std::size_t done) {
    std::atomic_ref(progress()).store(static_cast<std::uint32_t>(done), std::memory_order_relaxed);
  }

  const ChunkHead& head_;
  F& function_;
  std::span<T> elements_;
  ResultSink& sink_;
  std::size_t next_ = 0;
};

// Calls of one function with the elements [first, first + count) of an array. Bytes: ChunkHead, the callable, the
// array. Result: RangeProgress, and events behind it.
template <class F, class T>
struct RangeTask {
  static void invoke(Reader& in, ResultSink& sink) {
    const auto head = in.get<ChunkHead>();
    auto function = decode_callable<F>(in);
    auto array = in.get<Array<T>>();
    if (!head.ok() || !function.ok() || !array.ok()) return sink.fail(undecodable(in.status()));
    if (head->first > array->size() || head->count > array->size() - head->first || head->count > kLongestRange)
      return sink.fail(undecodable(absl::OutOfRangeError("elements that the array does not have")));
    keep_until_idle(std::make_shared<Array<T>>(*array));
    RangeRun<F, T>(*head, *function, array->span().subspan(head->first, head->count), sink).run();
  }
};

// --- in the application ----------------------------------------------------------------------------------------------

template <class F, class T>
Chunk submit_range(PoolClient& client, const TaskOptions& options, const F& f, const Array<T>& array, std::size_t first,
                   std::size_t count) {
  return submit_chunk_as<RangeTask<F, T>>(client, options, f,
                                          {.ticket = nullptr, .begin = 0, .first = first, .count = count, .attempt = 1},
                                          [&array](Writer& w) { w.put(array); });
}

// Of a range that has ended: its first failure goes to fail(index, status). Returns the ranges of elements that have to
// run (again).
template <class Fail>
std::vector<Chunk> collect_range(const Chunk& chunk, const TaskOptions& options, Fail&& fail) {
  Remains remains{.attempt = chunk.attempt};
  std::uint32_t tried_again = 0, tried_element = 0;
  const absl::Status status = chunk.ticket->read([&](Reader& in) {
    if (in.remaining() == 0) return;  // it died before it began
    absl::StatusOr<ItemTag> tag = in.get<ItemTag>();
    if (tag.ok() && *tag == ItemTag::kValue) {
      (void)in.bytes(sizeof(RangeProgress::reserved));
      remains.done = std::min<std::uint64_t>(in.get<std::uint32_t>().value_or(0), chunk.count);
      if (in.remaining() == 0) return;
      tag = in.get<ItemTag>();
    }
    for (;; tag = in.get<ItemTag>()) {
      if (!tag.ok() || *tag == ItemTag::kTaskFailed) {
        remains.failure = tag.ok() ? get_status(in) : tag.status();
        return;
      }
      const std::uint32_t element = in.get<std::uint32_t>().value_or(0);
      if (*tag == ItemTag::kFailed) {
        fail(chunk.first + element, get_status(in));
      } else {
        tried_again = element == tried_element ? tried_again + 1 : 1;
        tried_element = element;
      }
      if (in.remaining() == 0) return;
    }
  });
  if (remains.done != 0) remains.attempt = 1;
  if (tried_element == remains.done) remains.attempt += tried_again;
  return go_on(chunk, options, status, std::move(remains), fail);
}

template <class F, class T>
absl::Status run_for_each(PoolClient& client, const MapOptions& options, const F& f, const Array<T>& array) {
  const auto under_way = begin_map(client, options);
  if (!under_way.ok()) return under_way.status();
  const Array<T> kept = array;  // while workers open it
  const std::size_t size =
      std::min(options.chunksize.value_or(default_chunksize(kept.size(), client.most_workers())), kLongestRange);
  std::deque<Chunk> chunks;
  for (std::size_t first = 0; first < kept.size(); first += chunks.back().count) {
    chunks.push_back(submit_range(client, options.task, f, kept, first, std::min(size, kept.size() - first)));
  }
  absl::Status failure;
  const auto fail = [&failure](std::size_t element, const absl::Status& status) {
    if (failure.ok()) failure = status_of_item(status, element);
  };
  collect_all(chunks, [&](const Chunk& chunk) { return collect_range(chunk, options.task, fail); });
  return failure;
}

}  // namespace warren::detail
