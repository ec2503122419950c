// What a worker of a Supervisor may run: a process's target, which may take a Shutdown& first.
#pragma once
#include <warren/pool/detail/target.h>
#include <warren/pool/shutdown.h>

#include <functional>
#include <tuple>
#include <utility>

namespace warren {
struct SupervisorOptions;
}

namespace warren::detail {

using WorkerTarget = std::function<absl::StatusOr<int>(Shutdown&)>;

template <class F>
concept NotSupervisorOptions = Asked<F> && !std::same_as<std::decay_t<F>, SupervisorOptions>;

// The target with its first argument, as std::jthread passes a stop_token to who takes one.
template <class F>
struct WithShutdown {
  F& function;
  Shutdown& shutdown;

  template <class... A>
    requires std::invocable<F&, Shutdown&, A...>
  decltype(auto) operator()(A&&... a) const {
    return std::invoke(function, shutdown, std::forward<A>(a)...);
  }
};

template <class F, class... A>
inline constexpr bool kTakesShutdown = TaskCall<WithShutdown<std::decay_t<F>>, A...>::ok;

template <class F, class... A>
consteval bool check_worker_target() {
  if constexpr (!kTakesShutdown<F, A...>) {
    constexpr bool kIsLast = sizeof...(A) != 0 && std::invocable<std::decay_t<F>&, std::decay_t<A>..., Shutdown&>;
    static_assert(!kIsLast,
                  "a worker's target takes its Shutdown& before the arguments. Remedy: "
                  "[](warren::Shutdown& shutdown, int first) { ... }");
    if constexpr (kIsLast) {
      return false;
    } else {
      return check_target<F, A...>();
    }
  } else if constexpr (!check_function<std::decay_t<F>>()) {
    return false;
  } else if constexpr (!(int{check_target_argument<A>()} & ... & 1)) {
    return false;
  } else {
    return check_target_call<WithShutdown<std::decay_t<F>>, A...>();
  }
}

template <class F, class... T>
absl::StatusOr<int> run_worker_target(F& function, Shutdown& shutdown, std::tuple<T...>& arguments) {
  if constexpr (kTakesShutdown<F, T...>) {
    WithShutdown<F> bound{function, shutdown};
    return run_target(bound, arguments);
  } else {
    return run_target(function, arguments);
  }
}

}  // namespace warren::detail
