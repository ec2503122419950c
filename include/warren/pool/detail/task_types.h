// The types of a task: what F called with A... takes and gives, and what wrong tasks are told.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/handle.h>

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace warren {
struct TaskOptions;
struct MapOptions;
}  // namespace warren

namespace warren::detail {

// --- results ---------------------------------------------------------------------------------------------------------

template <class R>
struct ResultOf {
  using value = R;
  using type = absl::StatusOr<R>;
};
template <>
struct ResultOf<void> {
  using value = void;
  using type = absl::Status;
};
template <>
struct ResultOf<absl::Status> : ResultOf<void> {};
template <class R>
struct ResultOf<absl::StatusOr<R>> : ResultOf<R> {};

// Of a Result<R>, whatever R is.
inline absl::Status status_of(const absl::Status& result) { return result; }
template <class R>
absl::Status status_of(const absl::StatusOr<R>& result) {
  return result.status();
}

template <class R>
concept TravellingResult = std::is_void_v<R> || Carriable<R>;

// --- arguments -------------------------------------------------------------------------------------------------------

// Arguments are decayed copies; a character literal or a view becomes a std::string.
template <class A>
struct Carried {
  using Decayed = std::decay_t<A>;
  static constexpr bool kText =
      !Carriable<Decayed> && std::is_convertible_v<A, std::string_view> && !std::is_null_pointer_v<Decayed>;
  using type = std::conditional_t<kText, std::string, Decayed>;
};

template <class T>
inline constexpr bool kIsReferenceWrapper = false;
template <class T>
inline constexpr bool kIsReferenceWrapper<std::reference_wrapper<T>> = true;

// As std::thread does: decayed copies, passed as rvalues; only a handle may also bind to T&.
template <class T>
using Passed = std::conditional_t<IsHandle<T>, T&, T>;

// What a call gives that does not fit: by the signature, where there is one. It stands for the result, so that what
// check() says is all that is said.
struct NoResult {};
template <class F>
struct ResultBySignature {
  using type = NoResult;
};
template <class F>
  requires requires(F f) { std::function(f); }
struct ResultBySignature<F> {
  using type = typename decltype(std::function(std::declval<F>()))::result_type;
};

template <class F, class... T>
struct Call {
  using raw = typename ResultBySignature<F>::type;
  static constexpr bool ok = false;
};
template <class F, class... T>
  requires std::invocable<F, T...>
struct Call<F, T...> {
  using raw = std::invoke_result_t<F, T...>;
  static constexpr bool ok = true;
};
template <class F, class... T>
  requires(!std::invocable<F, T...> && std::invocable<F, Passed<T>...>)
struct Call<F, T...> {
  using raw = std::invoke_result_t<F, Passed<T>...>;
  static constexpr bool ok = true;
};
template <class F, class... A>
using TaskCall = Call<std::decay_t<F>, typename Carried<A>::type...>;

// F as it is called: an lvalue where that gives the same, so that it may be called again.
template <class F, class... T>
struct Callee {
  using type = F&&;
};
template <class F, class... T>
  requires requires { requires std::same_as<std::invoke_result_t<F&, T...>, std::invoke_result_t<F, T...>>; }
struct Callee<F, T...> {
  using type = F&;
};
template <class F, class... T>
using CalleeOf = typename Callee<F, T...>::type;

// Calls f with the arguments that have arrived, in the way that Call<F, T...> found.
template <class F, class... T>
  requires(Call<F, T...>::ok)
decltype(auto) call_task(F& f, std::tuple<T...>& arguments) {
  return std::apply(
      [&f](T&... a) -> decltype(auto) {
        if constexpr (std::invocable<F, T...>) {
          return std::invoke(static_cast<CalleeOf<F, T...>>(f), std::move(a)...);
        } else {
          return std::invoke(static_cast<CalleeOf<F, Passed<T>...>>(f), static_cast<Passed<T>&&>(a)...);
        }
      },
      arguments);
}

// --- functions -------------------------------------------------------------------------------------------------------

template <class F>
inline constexpr bool kIsFunctionPointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

// Made anew on the other side: captureless lambdas, fn<f>.
template <class F>
concept EmptyFunction =
    std::is_empty_v<F> && !HasCodec<F> && (std::default_initializable<F> || std::is_trivially_copyable_v<F>);

template <class F>
concept TravellingFunction = kIsFunctionPointer<F> || EmptyFunction<F> || Carriable<F>;

// Satisfied by every F. It asks the question at the call, since g++ 12 forgets that a closure with captures is
// trivially copyable as soon as somebody asks whether it can be assigned: std::optional, std::pair, views. Bodies, and
// what they assert, are looked at only where the file ends.
template <class F>
concept Asked = TravellingFunction<std::decay_t<F>> || true;  // NOLINT(readability-simplify-boolean-expr)

// It was not asked in time.
template <class F>
consteval bool is_forgotten_closure() {
  if constexpr (TravellingFunction<F> || !std::is_class_v<F> || std::is_trivially_copyable_v<F>) {
    return false;
  } else {
    return std::is_trivially_copy_constructible_v<F> && std::is_trivially_move_constructible_v<F> &&
           std::is_trivially_destructible_v<F> && !std::is_copy_assignable_v<F> && !std::is_move_assignable_v<F>;
  }
}

// Assertions rather than constraints: SFINAE would hide what they say. Each check tells one thing, and gives whether
// all is well; who gets false goes no further, so that nothing else is told.
template <class F>
consteval bool check_function() {
  static_assert(
      !is_forgotten_closure<F>(),
      "this compiler no longer sees what this closure captures, since it was used in a std::optional, a std::pair "
      "or a view before. Remedy: give the task a lambda of its own, or warren::bind_front(f, value)");
  static_assert(TravellingFunction<F> || is_forgotten_closure<F>(),
                "this callable cannot travel: it captures a pointer, a reference (&), a view, a handle or an owning "
                "object. Remedy: pass that as an argument, or warren::bind_front(f, value); a member function as "
                "warren::fn<&Type::function>");
  return TravellingFunction<F>;
}

template <class A>
consteval bool check_argument() {
  using Value = std::decay_t<A>;
  using Travels = typename Carried<A>::type;
  if constexpr (kIsReferenceWrapper<Value>) {
    static_assert(!kIsReferenceWrapper<Value>,
                  "std::ref cannot travel: the worker has its own memory. Remedy: pass a value, and return the result");
    return false;
  } else if constexpr (!Carriable<Travels>) {
    constexpr Obstacle kWhat = obstacle<Travels>();
    if constexpr (kWhat == Obstacle::kHandle) {
      static_assert(
          kWhat != Obstacle::kHandle,
          "this handle cannot be an argument of a task: it belongs to this process alone. Remedy: the task opens "
          "or makes what it needs itself: of a Broadcast a subscribe(), of a Queue a lease(); a Connection goes with "
          "Process::start");
    } else if constexpr (kWhat == Obstacle::kPointer || kWhat == Obstacle::kOther) {
      static_assert(Carriable<Travels>,
                    "an argument cannot travel to another process: it holds a pointer, a reference, a view or private "
                    "state. Remedy: own the data; for private members template <> struct warren::Codec<T> : "
                    "warren::MemberCodec<&T::a_, &T::b_> {}; and friend struct warren::Codec<T>");
    } else {
      (void)check_carriable<Travels>();
    }
    return false;
  } else {
    static_assert(std::constructible_from<Value, A>, "a move-only argument: std::move it");
    return std::constructible_from<Value, A>;
  }
}

template <class F, class... A>
consteval bool check_call() {
  using Called = TaskCall<F, A...>;
  static_assert(Called::ok,
                "the function cannot be called with these arguments: their number or types differ, or a parameter is "
                "T& (a worker has copies, so it would change nothing: take T or const T&)");
  if constexpr (Called::ok) {
    using Value = typename ResultOf<std::decay_t<typename Called::raw>>::value;
    if constexpr (TravellingResult<Value>) {
      return true;
    } else if constexpr (obstacle<Value>() == Obstacle::kPointer || obstacle<Value>() == Obstacle::kOther) {
      static_assert(TravellingResult<Value>,
                    "the result cannot travel back: it holds a pointer, a reference, a view or private state. Remedy: "
                    "return the data, or specialise warren::Codec");
    } else {
      (void)check_carriable<Value>();
    }
  }
  return false;
}

// Threads share memory, so for them all is well.
template <bool Processes, class F, class... A>
consteval bool check() {
  if constexpr (!Processes) {
    return true;
  } else if constexpr (!check_function<std::decay_t<F>>()) {
    return false;
  } else if constexpr (!(int{check_argument<A>()} & ... & 1)) {
    return false;
  } else {
    return check_call<F, A...>();
  }
}

// Options where a function stands: another overload is meant, which clang 16 finds out after it has asked for the type.
template <class F>
inline constexpr bool kIsOptions =
    std::same_as<std::decay_t<F>, TaskOptions> || std::same_as<std::decay_t<F>, MapOptions>;

// Named in the types of what is public, so that check() speaks at the call, before anything is made of the result.
template <class F, class... A>
struct CheckedTask {
  static constexpr bool ok = !kIsOptions<F> && check<!kIsOptions<F>, F, A...>();
  using raw = typename TaskCall<F, A...>::raw;
  using value = typename ResultOf<std::decay_t<std::conditional_t<ok, raw, raw>>>::value;
};

}  // namespace warren::detail
