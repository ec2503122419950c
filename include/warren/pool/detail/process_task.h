// How a Process's target travels to a process that is spawned.
#pragma once
#include <warren/pool/detail/callable.h>
#include <warren/pool/detail/passed.h>
#include <warren/pool/detail/start_target.h>
#include <warren/pool/detail/target.h>

#include <memory>
#include <tuple>
#include <utility>

namespace warren::detail {

// Bytes: the callable, the arguments.
template <class F, class... T>
struct ProcessTask {
  static void invoke(Reader& in, ResultSink& sink) {
    auto function = decode_callable<F>(in);
    if (!function.ok()) return sink.fail(function.status());
    auto arguments = get_all_passed<std::tuple<T...>, T...>(in);
    if (!arguments.ok()) return sink.fail(arguments.status());
    take_target(sink, [function = std::make_shared<F>(*std::move(function)),
                       arguments = std::make_shared<std::tuple<T...>>(*std::move(arguments))] {
      return run_target(*function, *arguments);
    });
  }
};

template <class F, class... T>
StartBytes process_bytes(const F& function, const std::tuple<T...>& arguments) {
  if constexpr ((Spawnable<T> && ...)) {
    return {.invoker = &registered<ProcessTask<F, T...>>(), .encode = [&](Writer& w, Luggage& luggage) {
              encode_callable<F>(w, function);
              std::apply([&](const T&... each) { (put_passed(w, each, luggage), ...); }, arguments);
            }};
  } else {
    return {};
  }
}

}  // namespace warren::detail
