// What may be sent as a task: the function, its arguments, its result.
#pragma once
#include <absl/status/status.h>
#include <sys/types.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/time.h>
#include <warren/pool/detail/callable.h>
#include <warren/pool/detail/start_target.h>
#include <warren/pool/detail/task_types.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace warren {

// What a call may give back: StatusOr<R>; Status for void; never StatusOr<StatusOr<R>>.
template <class R>
using Result = typename detail::ResultOf<R>::type;

// R of Future<R>: what F returns, decayed, with Status and StatusOr taken off.
template <class F, class... A>
using TaskValue = typename detail::ResultOf<std::decay_t<typename detail::TaskCall<F, A...>::raw>>::value;

// A function or member function named at compile time: fn<parse>, fn<&Image::area>.
template <auto F>
struct Fn {
  template <class... A>
  constexpr auto operator()(A&&... a) const -> std::invoke_result_t<decltype(F), A...> {
    return std::invoke(F, std::forward<A>(a)...);
  }
};
template <auto F>
inline constexpr Fn<F> fn{};

// functools.partial: bound values are arguments, so they may be strings and containers. They are passed as const.
template <class F, class... B>
struct BoundFront {
  F function;
  std::tuple<B...> bound;

  template <class... A>
  constexpr auto operator()(A&&... a) const -> std::invoke_result_t<const F&, const B&..., A...>;
  template <class... A>
  constexpr auto operator()(A&&... a)
      -> std::invoke_result_t<F&, std::conditional_t<IsHandle<B>, B&, const B&>..., A...>;
};
template <detail::Asked F, class... B>
constexpr BoundFront<std::decay_t<F>, typename detail::Carried<B>::type...> bind_front(F&& f, B&&... bound);

namespace detail {
struct FunctionAccess {
  template <class F>
  static const StartBytes& bytes(const F& function) noexcept {
    return function.bytes_;
  }
};
}  // namespace detail

// A nullary task, erased: initializers, periodic work.
template <class Signature>
class Function;
template <class R>
class Function<R()> {
 public:
  Function() noexcept = default;
  template <detail::Asked F>
    requires(!std::same_as<std::decay_t<F>, Function>)
  Function(F&& f) {  // NOLINT: implicit on purpose
    using Held = std::decay_t<F>;
    if constexpr (detail::check_function<Held>()) {
      static_assert(std::is_invocable_r_v<R, Held&>,
                    "this callable cannot be called without arguments. Remedy: warren::bind_front(f, arguments...)");
      if constexpr (std::is_invocable_r_v<R, Held&>) {
        auto held = std::make_shared<Held>(std::forward<F>(f));
        if constexpr (std::is_void_v<R>) {
          bytes_ = {.invoker = &detail::registered<detail::InitializerTask<Held>>(),
                    .encode = [held](Writer& w, detail::Luggage&) { detail::encode_callable<Held>(w, *held); }};
        }
        call_ = [held = std::move(held)]() -> R { return std::invoke(*held); };
      }
    }
  }

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(call_); }
  R operator()() const { return call_(); }  // only when there is one

 private:
  friend struct detail::FunctionAccess;
  std::function<R()> call_;
  detail::StartBytes bytes_;  // of what gives nothing
};

enum class RetryOn {
  kDeath,       // of the worker, also one that was killed since the deadline was over
  kAnyFailure,  // also: threw, returned a failure
};

struct TaskOptions {
  std::string name = {};             // shown by ipc-inspect; the first 24 characters are kept
  Timeout deadline = kForever;       // of one attempt, from its start: then its worker is killed, also one that is
                                     // stopped, and another takes its place; DeadlineExceeded
  Timeout soft_deadline = kForever;  // likewise, but only current_task().stop_requested() becomes true
  std::uint32_t retries = 0;  // attempts after the first; after the last one that kills its worker it is tried no
                              // more
  Timeout backoff = std::chrono::nanoseconds::zero();  // before each attempt after the first, the same for all. Its
                                                       // worker runs other tasks meanwhile; but a chunk waits there
  RetryOn retry_on = RetryOn::kDeath;
  int priority = 0;  // larger first, and among equals who came first: -10 to 10, what is beyond counts as that. Tasks
                     // that run already are not interrupted
  std::optional<std::uint32_t> worker = {};  // this one alone may run it, 0 to Pool::workers() - 1, and does so before
                                             // all others, whatever their priority. If it dies, the one in its place
};

namespace detail {
// A field that stands elsewhere, and says so when it is set.
struct Misplaced {
  Misplaced() = default;
  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T> || std::convertible_to<T, Timeout> ||
             std::convertible_to<T, std::string>)
  constexpr Misplaced(T) noexcept {  // NOLINT: implicit on purpose
    static_assert(kNever<T>,
                  "this is an item's option, not a map's. Remedy: {.task = {.retries = 3}}, likewise "
                  "{.task = {.deadline = 5s}} and the others");
  }
};
}  // namespace detail

struct MapOptions {
  std::optional<std::size_t> chunksize = {};  // items per task; default: map ceil(n / (4 workers)), imap 1
  TaskOptions task = {};                      // deadline and retries are an item's, not a chunk's
  detail::Misplaced name = {};                // not here, but in `task`; and so are all that follow
  detail::Misplaced deadline = {};
  detail::Misplaced soft_deadline = {};
  detail::Misplaced retries = {};
  detail::Misplaced backoff = {};
  detail::Misplaced retry_on = {};
  detail::Misplaced priority = {};
  detail::Misplaced worker = {};
};

struct TaskId {
  std::uint64_t value = 0;
  friend auto operator<=>(const TaskId&, const TaskId&) = default;
};

// Why a task failed, beyond the code.
struct TaskError {
  enum class Kind : std::uint8_t { kReturned, kThrew, kDied, kDeadline, kCancelled, kRefused, kUndecodable };
  Kind kind = Kind::kReturned;
  std::string type = {};                 // of the exception, as it is written in C++
  std::string what = {};                 // its text, or that of the status
  std::string host = {};                 // where it ran
  pid_t worker = 0;                      // 0: it ran nowhere
  int signal = 0;                        // kDied: what killed the worker; 0: it exited
  int exit_code = 0;                     // kDied, and no signal
  std::uint32_t attempt = 0;             // the first is 1
  std::optional<std::size_t> item = {};  // of a map, starmap or imap: its place in the input, from 0
};

// From a future, or from any status that came out of one. nullopt: the status is not a task's failure.
[[nodiscard]] std::optional<TaskError> task_error(const absl::Status& status);

// The task that the calling thread runs in a worker.
class CurrentTask {
 public:
  // True once the soft deadline of this attempt is over: the task should come to an end, and nothing makes it. Only in
  // the thread that runs the task.
  [[nodiscard]] bool stop_requested() const noexcept;
  [[nodiscard]] std::uint32_t attempt() const noexcept;  // the first is 1; 0 outside a task
  [[nodiscard]] TaskId id() const noexcept;
  // For Future::progress(), 0 to 1, and a text of at most 63 bytes for ipc-inspect. Does nothing outside a task.
  void report(double fraction, std::string_view text = {}) const noexcept;
};
[[nodiscard]] CurrentTask current_task() noexcept;

// --- bodies ----------------------------------------------------------------------------------------------------------

template <class F, class... B>
template <class... A>
constexpr auto BoundFront<F, B...>::operator()(A&&... a) const -> std::invoke_result_t<const F&, const B&..., A...> {
  return std::apply([&](const B&... b) -> decltype(auto) { return std::invoke(function, b..., std::forward<A>(a)...); },
                    bound);
}
template <class F, class... B>
template <class... A>
constexpr auto BoundFront<F, B...>::operator()(A&&... a)
    -> std::invoke_result_t<F&, std::conditional_t<IsHandle<B>, B&, const B&>..., A...> {
  return std::apply(
      [&](B&... b) -> decltype(auto) {
        return std::invoke(function, static_cast<std::conditional_t<IsHandle<B>, B&, const B&>>(b)...,
                           std::forward<A>(a)...);
      },
      bound);
}

template <detail::Asked F, class... B>
constexpr BoundFront<std::decay_t<F>, typename detail::Carried<B>::type...> bind_front(F&& f, B&&... bound) {
  return {std::forward<F>(f), std::tuple<typename detail::Carried<B>::type...>(std::forward<B>(bound)...)};
}

template <detail::TravellingFunction F, class... B>
struct Codec<BoundFront<F, B...>> {
  using parts = detail::TypeList<B...>;
  static void encode(Writer& w, const BoundFront<F, B...>& b) {
    detail::encode_callable(w, b.function);
    std::apply([&w](const B&... value) { (w.put(value), ...); }, b.bound);
  }
  static absl::StatusOr<BoundFront<F, B...>> decode(Reader& r) {
    auto function = detail::decode_callable<F>(r);
    if (!function.ok()) return function.status();
    std::tuple<absl::StatusOr<B>...> values{r.get<B>()...};  // braces: from left to right
    if (!r.ok()) return r.status();
    return std::apply(
        [&function](auto&... value) {
          return BoundFront<F, B...>{*std::move(function), std::tuple<B...>(*std::move(value)...)};
        },
        values);
  }
};

}  // namespace warren

template <>
struct std::hash<warren::TaskId> {
  std::size_t operator()(warren::TaskId id) const noexcept { return std::hash<std::uint64_t>()(id.value); }
};
