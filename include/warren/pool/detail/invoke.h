// How a task runs in its worker: arguments decoded, the function called, its result or its failure encoded.
#pragma once
#include <warren/pool/detail/callable.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/result_sink.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/task.h>

#include <tuple>
#include <utility>

namespace warren::detail {

// The argument as it is encoded: itself where it travels as what it is, else converted (a literal to a string).
template <class A>
void put_argument(Writer& w, const A& argument) {
  using Travels = typename Carried<const A&>::type;
  if constexpr (std::same_as<std::remove_cvref_t<A>, Travels>) {
    w.put(argument);
  } else {
    w.put(Travels(argument));
  }
}

template <class... T>
absl::StatusOr<std::tuple<T...>> get_arguments(Reader& r) {
  std::tuple<absl::StatusOr<T>...> values{r.get<T>()...};  // braces: from left to right
  if (!r.ok()) return r.status();
  return std::apply([](auto&... value) { return std::tuple<T...>(*std::move(value)...); }, values);
}

inline absl::Status undecodable(const absl::Status& why) {
  TaskError error;
  error.kind = TaskError::Kind::kUndecodable;
  error.what = "the task's bytes make no arguments: " + std::string(why.message());
  return make_task_status(absl::StatusCode::kDataLoss, error);
}

// Calls f, and hands a value to `put`. Failures of every kind come back as one layer.
template <class F, class... T, class Put>
absl::Status run_task(F& f, std::tuple<T...>& arguments, std::uint32_t attempt, Put&& put) {
  using Raw = typename Call<F, T...>::raw;
  try {
    if constexpr (std::is_void_v<Raw>) {
      call_task(f, arguments);
    } else if constexpr (std::same_as<std::decay_t<Raw>, absl::Status>) {
      if (absl::Status status = call_task(f, arguments); !status.ok())
        return status_of_returned(std::move(status), attempt);
    } else if constexpr (!std::same_as<typename ResultOf<std::decay_t<Raw>>::value, std::decay_t<Raw>>) {
      auto result = call_task(f, arguments);
      if (!result.ok()) return status_of_returned(result.status(), attempt);
      if constexpr (!std::is_void_v<typename ResultOf<std::decay_t<Raw>>::value>) put(*std::move(result));
    } else {
      put(call_task(f, arguments));
    }
    return absl::OkStatus();
  } catch (...) {
    return status_of_current_exception(attempt);
  }
}

// One call. Bytes: the callable, the arguments. Result: the value.
template <class F, class... T>
struct SingleTask {
  static void invoke(Reader& in, ResultSink& sink) {
    auto function = decode_callable<F>(in);
    if (!function.ok()) return sink.fail(undecodable(function.status()));
    auto arguments = get_arguments<T...>(in);
    if (!arguments.ok()) return sink.fail(undecodable(arguments.status()));
    const absl::Status status =
        run_task(*function, *arguments, sink.attempt(), [&](const auto& value) { sink.writer().put(value); });
    if (!status.ok()) sink.fail(status);
  }
};

// What stands before a chunk's callable and items.
struct ChunkHead {
  std::uint64_t first;    // items to pass over: they ran before
  std::uint64_t count;    // items to run
  std::uint32_t attempt;  // of the first of them
  std::uint32_t retries;
  std::uint32_t retry_on_any_failure;  // 0 or 1
  std::uint32_t each_is_timed = 0;     // 0 or 1: there is a deadline, of each item
};

// Many calls of one function. Bytes: ChunkHead, the callable, the items, each with its arguments. Result: for each item
// a tag and a value or a status, committed one by one: if the worker dies, what it finished stands.
template <class F, class... T>
struct ChunkTask {
  static void invoke(Reader& in, ResultSink& sink) {
    const auto head = in.get<ChunkHead>();
    auto function = decode_callable<F>(in);
    if (!head.ok() || !function.ok()) return sink.fail(undecodable(in.status()));
    for (std::uint64_t i = 0; i < head->first; ++i) (void)get_arguments<T...>(in);
    for (std::uint64_t i = 0; i < head->count; ++i) {
      const absl::Status status = run_item(*head, i == 0 ? head->attempt : 1, *function, in, sink);
      if (!status.ok()) return sink.fail(status);
      sink.commit();
    }
  }

 private:
  using Value = typename ResultOf<std::decay_t<typename Call<F, T...>::raw>>::value;

  // Not OK: the items cannot be read, or written, any further.
  static absl::Status run_item(const ChunkHead& head, std::uint32_t attempt, F& function, Reader& in,
                               ResultSink& sink) {
    auto arguments = get_arguments<T...>(in);
    if (!arguments.ok()) return undecodable(arguments.status());
    if constexpr ((std::copy_constructible<T> && ...)) {
      for (; head.retry_on_any_failure != 0 && attempt <= head.retries; ++attempt) {
        std::tuple<T...> copies = *arguments;
        const std::size_t before = sink.writer().size();
        absl::Status status = run_once(function, copies, attempt, sink);
        if (status.ok()) return sink.writer().status();
        if (sink.writer().size() != before) return status;  // a codec threw in the middle of a value
        sink.writer().put(ItemTag::kTriedAgain);
        sink.commit();
        sink.wait_before_next_attempt();
      }
    }
    const std::size_t before = sink.writer().size();
    absl::Status status = run_once(function, *arguments, attempt, sink);
    if (status.ok()) return sink.writer().status();
    if (sink.writer().size() != before) return status;  // as above
    sink.writer().put(ItemTag::kFailed);
    put_status(sink.writer(), status);
    return sink.writer().status();
  }

  // Plain closures start afresh for every item, however the items were cut into chunks.
  static absl::Status run_once(F& function, std::tuple<T...>& arguments, std::uint32_t attempt, ResultSink& sink) {
    sink.set_attempt(attempt);
    const auto put = [&sink](const auto& value) {
      Writer& out = sink.writer();  // asked for now: the task may have forked
      out.put(ItemTag::kValue);
      out.put(value);
    };
    absl::Status status;
    if constexpr (std::is_trivially_copyable_v<F>) {
      F fresh = function;
      status = run_task(fresh, arguments, attempt, put);
    } else {
      status = run_task(function, arguments, attempt, put);
    }
    if (std::is_void_v<Value> && status.ok()) sink.writer().put(ItemTag::kValue);
    return status;
  }
};

}  // namespace warren::detail
