// ThreadTask<R, F, T...>: one call of F with T..., run by a thread of a ThreadPool. Nothing is encoded.
#pragma once
#include <warren/pool/detail/invoke.h>
#include <warren/pool/detail/local_task.h>
#include <warren/pool/detail/thread_crew.h>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace warren::detail {

// --- types -----------------------------------------------------------------------------------------------------------

// As std::thread does: decayed copies. A character literal or a view becomes a std::string as it does for a Pool, where
// the function takes one, since what it points to may be gone before the task runs.
template <class A>
struct Kept {
  using Decayed = std::decay_t<A>;
  static constexpr bool kText = std::same_as<Decayed, const char*> || std::same_as<Decayed, std::string_view>;
  using type = std::conditional_t<kText, std::string, Decayed>;
};

template <class F, class... A>
struct ThreadCall {
  using Arguments = std::tuple<std::decay_t<A>...>;
  using Called = Call<std::decay_t<F>, std::decay_t<A>...>;
};
template <class F, class... A>
  requires(Call<std::decay_t<F>, typename Kept<A>::type...>::ok)
struct ThreadCall<F, A...> {
  using Arguments = std::tuple<typename Kept<A>::type...>;
  using Called = Call<std::decay_t<F>, typename Kept<A>::type...>;
};

template <class F, class... A>
consteval bool check_thread_call() {
  constexpr bool kFunction = std::constructible_from<std::decay_t<F>, F>;
  constexpr bool kArguments = (std::constructible_from<std::decay_t<A>, A> && ...);
  constexpr bool kCallable = ThreadCall<F, A...>::Called::ok;
  static_assert(kFunction, "a move-only function: std::move it, or std::ref(f) where the thread may use yours");
  static_assert(!kFunction || kArguments, "a move-only argument: std::move it");
  static_assert(!kFunction || !kArguments || kCallable,
                "the function cannot be called with these arguments: their number or types differ, or a parameter is "
                "T&. Remedy: std::ref(x) where the thread may use yours, else T or const T&");
  return kFunction && kArguments && kCallable;
}

template <class F, class... A>
consteval bool check_thread_task() {
  if constexpr (kIsOptions<F>) {
    return false;  // another overload is meant
  } else {
    return check_thread_call<F, A...>();
  }
}

template <class F, class... A>
struct CheckedThreadTask {
  static constexpr bool ok = check_thread_task<F, A...>();
  using raw = typename ThreadCall<F, A...>::Called::raw;
  using value = typename ResultOf<std::decay_t<std::conditional_t<ok, raw, raw>>>::value;
};

// --- calls -----------------------------------------------------------------------------------------------------------

// What starts afresh for each item and attempt. Not is_trivially_copyable: g++ 12 forgets that of a closure as soon as
// somebody asks whether it can be assigned.
template <class F>
inline constexpr bool kPlainFunction = std::is_trivially_copy_constructible_v<F> && std::is_trivially_destructible_v<F>;

template <class R, class F, class... T>
Result<R> call_once(F& f, std::tuple<T...>& arguments, std::uint32_t attempt) {
  if constexpr (std::is_void_v<R>) {
    return run_task(f, arguments, attempt, [](auto&&) {});
  } else {
    Result<R> result = absl::UnknownError("");
    absl::Status status = run_task(f, arguments, attempt,
                                   [&result](auto&& value) { result.emplace(std::forward<decltype(value)>(value)); });
    if (!status.ok()) return status;
    return result;
  }
}

// What one attempt may use up and the next may have again. Not every type that says so can be copied (a vector of
// move-only elements, a struct that has one), so it is asked of those that could travel, too.
template <class T>
inline constexpr bool kForEveryAttempt =
    std::is_trivially_copyable_v<T> || (Carriable<T> && std::copy_constructible<T>);

// A pointer, a std::function and the like: there may be no function in it.
template <class F>
[[nodiscard]] bool is_no_function(const F& f) noexcept {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F> ||
                (std::constructible_from<F, std::nullptr_t> && requires { bool{f == nullptr}; })) {
    return f == nullptr;
  } else {
    return false;
  }
}

inline absl::Status no_function() {
  return refused("the function pointer is null", absl::StatusCode::kInvalidArgument);
}

// Further attempts have the arguments afresh, and a plain function; another function is called again as it is then.
template <class R, class F, class... T>
Result<R> call_with_retries(ThreadCrew& crew, F& f, std::tuple<T...>& arguments, const TaskOptions& options) {
  if (is_no_function(f)) return no_function();
  std::uint32_t attempt = 1;
  if (options.retry_on == RetryOn::kAnyFailure && options.retries != 0) {
    if constexpr (std::same_as<CalleeOf<F, T...>, F&> && (kForEveryAttempt<T> && ...)) {
      for (; attempt <= options.retries; ++attempt) {
        std::tuple<T...> copies = arguments;
        begin_attempt(attempt, options.soft_deadline);
        Result<R> result = [&] {
          if constexpr (kPlainFunction<F>) {
            F function = f;
            return call_once<R>(function, copies, attempt);
          } else {
            return call_once<R>(f, copies, attempt);
          }
        }();
        if (result.ok() || !crew.pause(options.backoff)) return result;
      }
    } else {
      return absl::InvalidArgumentError(
          "retries of a task whose function or arguments one attempt uses up. Remedy: arguments that can be copied");
    }
  }
  begin_attempt(attempt, options.soft_deadline);
  return call_once<R>(f, arguments, attempt);
}

template <class R, class F, class Arguments>
class ThreadTask final : public LocalTask<R>, public ThreadWork {
 public:
  template <class Function, class... A>
  ThreadTask(std::shared_ptr<ThreadCrew> crew, const TaskOptions& options, Function&& f, A&&... a)
      : crew_(std::move(crew)), call_(std::in_place, options, std::forward<Function>(f), std::forward<A>(a)...) {}

  [[nodiscard]] bool running() const override { return being_run() && !this->ended(); }
  bool cancel() override { return crew_->cancel(*this); }
  bool kill() override { return cancel(); }  // nobody can end a thread
  [[nodiscard]] TaskId id() const noexcept override { return work_id(); }
  [[nodiscard]] double progress() const noexcept override { return this->successful() ? 1 : reported(); }

 private:
  struct Held {
    template <class Function, class... A>
    explicit Held(const TaskOptions& o, Function&& f, A&&... a)
        : options(o), function(std::forward<Function>(f)), arguments(std::forward<A>(a)...) {}
    TaskOptions options;
    F function;
    Arguments arguments;
  };

  void run() noexcept override {
    outcome_.emplace(call_with_retries<R>(*crew_, call_->function, call_->arguments, call_->options));
    call_.reset();
  }
  void fail(const absl::Status& why) noexcept override {
    outcome_.emplace(why);
    call_.reset();
  }
  void tell() override { this->set(*std::move(outcome_)); }

  const std::shared_ptr<ThreadCrew> crew_;
  std::optional<Held> call_;          // until it has run
  std::optional<Result<R>> outcome_;  // until it is told
};

// A place in the crew, given back where the task cannot be made: copying its arguments threw.
class HeldPlace {
 public:
  explicit HeldPlace(ThreadCrew& crew) noexcept : crew_(&crew) {}
  ~HeldPlace() {
    if (crew_ != nullptr) crew_->give_place();
  }
  HeldPlace(const HeldPlace&) = delete;
  HeldPlace& operator=(const HeldPlace&) = delete;
  void used() noexcept { crew_ = nullptr; }

 private:
  ThreadCrew* crew_;
};

template <class F, class... A>
using ThreadTaskOf =
    ThreadTask<typename CheckedThreadTask<F, A...>::value, std::decay_t<F>, typename ThreadCall<F, A...>::Arguments>;

// In a place that was taken. The options of a chunk are its items', but for the priority.
template <class Task, class... A>
std::shared_ptr<Task> enqueue_task(ThreadCrew& crew, bool chunk, const TaskOptions& options, A&&... a) {
  HeldPlace place(crew);
  auto task = std::make_shared<Task>(crew.shared_from_this(), chunk ? TaskOptions{} : options, std::forward<A>(a)...);
  place.used();
  crew.enqueue(task, options, chunk);
  return task;
}

}  // namespace warren::detail
