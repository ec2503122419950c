// What a process of its own may run: checked here, and run here, in the child.
#pragma once
#include <absl/status/statusor.h>
#include <warren/pool/detail/start_target.h>
#include <warren/pool/detail/task_types.h>

#include <array>
#include <concepts>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren {
struct ProcessOptions;
class Connection;
}  // namespace warren

namespace warren::detail {

template <class F>
concept NotProcessOptions = Asked<F> && !std::same_as<std::decay_t<F>, ProcessOptions>;

// Instead of a subclass.
template <class F>
concept HasRun = requires(F& f) { f.run(); };

// --- arguments: a task's, and handles --------------------------------------------------------------------------------

template <class T>
struct HoldsHandles : std::bool_constant<IsHandle<T>> {};
template <class T>
concept Passable = Carriable<T> || HoldsHandles<T>::value;
template <class T, class Allocator>
struct HoldsHandles<std::vector<T, Allocator>> : std::bool_constant<Passable<T>> {};
template <class T, std::size_t N>
struct HoldsHandles<std::array<T, N>> : std::bool_constant<Passable<T>> {};
template <class T>
struct HoldsHandles<std::optional<T>> : std::bool_constant<Passable<T>> {};
template <class... T>
struct HoldsHandles<std::tuple<T...>> : std::bool_constant<(Passable<T> && ...)> {};
template <class A, class B>
struct HoldsHandles<std::pair<A, B>> : std::bool_constant<Passable<A> && Passable<B>> {};

// A vector says that it can be copied, whatever it holds.
template <class T>
struct Copies : std::is_copy_constructible<T> {};
template <class T, class Allocator>
struct Copies<std::vector<T, Allocator>> : Copies<T> {};

template <class A>
consteval bool check_target_argument() {
  using Value = std::decay_t<A>;
  if constexpr (HoldsHandles<Value>::value) {
    constexpr bool kMade =
        Copies<Value>::value || (std::constructible_from<Value, A> && std::is_rvalue_reference_v<A&&> &&
                                 !std::is_const_v<std::remove_reference_t<A>>);
    static_assert(kMade, "a move-only argument: std::move it");
    return kMade;
  } else {
    return check_argument<A>();
  }
}

// Ends of pipes among the arguments. The child lets go of every other one.
template <class T>
void find_connections(const T& argument, std::vector<const Connection*>& found) {
  if constexpr (std::same_as<T, Connection>) {
    found.push_back(&argument);
  } else if constexpr (!HoldsHandles<T>::value || IsHandle<T>) {
    return;
  } else if constexpr (std::ranges::range<T>) {
    for (const auto& each : argument) find_connections(each, found);
  } else if constexpr (requires { argument.has_value(); }) {
    if (argument.has_value()) find_connections(*argument, found);
  } else {
    std::apply([&found](const auto&... each) { (find_connections(each, found), ...); }, argument);
  }
}

// --- the call --------------------------------------------------------------------------------------------------------

template <class R>
concept GivesExitCode =
    std::is_void_v<R> || std::same_as<R, int> || std::same_as<R, absl::Status> || std::same_as<R, absl::StatusOr<int>>;

template <class F, class... T>
decltype(auto) call_target(F& function, std::tuple<T...>& arguments) {
  if constexpr (HasRun<F> && sizeof...(T) == 0) {
    return function.run();
  } else {
    return call_task(function, arguments);
  }
}

template <class F, class... A>
consteval bool check_target_call() {
  constexpr bool kRuns = HasRun<F> && sizeof...(A) == 0;
  static_assert(kRuns || TaskCall<F, A...>::ok,
                "the target cannot be called with these arguments: their number or types differ, or a parameter is T& "
                "(the process has copies, so it would change nothing: take T or const T&; handles may be T&)");
  if constexpr (kRuns || TaskCall<F, A...>::ok) {
    using Result = std::decay_t<decltype(call_target(std::declval<F&>(),
                                                     std::declval<std::tuple<typename Carried<A>::type...>&>()))>;
    static_assert(GivesExitCode<Result>,
                  "the target of a process gives void, int (the exit code), absl::Status or absl::StatusOr<int>. "
                  "Remedy: send results through a Queue, a Pipe or a Value, or use Pool::submit");
    return GivesExitCode<Result>;
  }
  return false;
}

template <class F, class... A>
consteval bool check_target() {
  if constexpr (!check_function<std::decay_t<F>>()) {
    return false;
  } else if constexpr (!(int{check_target_argument<A>()} & ... & 1)) {
    return false;
  } else {
    return check_target_call<std::decay_t<F>, A...>();
  }
}

template <class F, class... T>
absl::StatusOr<int> run_target(F& function, std::tuple<T...>& arguments) {
  using Result = decltype(call_target(function, arguments));
  if constexpr (std::is_void_v<Result>) {
    call_target(function, arguments);
    return 0;
  } else if constexpr (std::same_as<std::decay_t<Result>, absl::Status>) {
    if (absl::Status status = call_target(function, arguments); !status.ok()) return status;
    return 0;
  } else {
    return call_target(function, arguments);
  }
}

}  // namespace warren::detail
