// Durations and deadlines of every timed call.
#pragma once
#include <algorithm>
#include <chrono>
#include <concepts>
#include <type_traits>

namespace warren {

inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

namespace detail {

// In nanoseconds, held within what they can express. NaN: the least.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> d) noexcept {
  using Nanoseconds = std::chrono::nanoseconds;
  using Wide = std::chrono::duration<long double, std::nano>;
  if (!(d.count() > 0) && !(d.count() <= 0)) return Nanoseconds::min();
  const Wide wide = d;
  if (wide <= Wide(Nanoseconds::min())) return Nanoseconds::min();
  if (wide >= Wide(Nanoseconds::max())) return Nanoseconds::max();
  return std::chrono::duration_cast<Nanoseconds>(d);
}

template <class>
inline constexpr bool kNever = false;

}  // namespace detail

// Any std::chrono duration, saturated: seconds::max() stays "for ever" (a plain conversion to nanoseconds wraps to
// -1e9). Zero, negative and NaN: do not wait.
class Timeout {
 public:
  template <class Rep, class Period>
  constexpr Timeout(std::chrono::duration<Rep, Period> d) noexcept  // NOLINT: implicit on purpose
      : ns_(std::max(detail::saturated(d), std::chrono::nanoseconds::zero())) {}
  template <class Number>
    requires std::is_arithmetic_v<Number>
  constexpr Timeout(Number) noexcept {  // NOLINT: implicit, so that it is told below
    static_assert(detail::kNever<Number>,
                  "a time without a unit. Remedy: 5s or 500ms, with using namespace std::chrono_literals; or "
                  "std::chrono::seconds(5)");
  }

  [[nodiscard]] constexpr std::chrono::nanoseconds ns() const noexcept { return ns_; }  // 0 to kForever
  [[nodiscard]] constexpr bool forever() const noexcept { return ns_ == kForever; }

 private:
  std::chrono::nanoseconds ns_;
};

// A steady_clock time point; other clocks do not convert, since the wall clock jumps. The largest one is never reached.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  template <class D>
  constexpr Deadline(std::chrono::time_point<Clock, D> t) noexcept  // NOLINT: implicit on purpose
      : t_(detail::saturated(t.time_since_epoch())) {}
  template <class Other, class D>
    requires(!std::same_as<Other, Clock>)
  constexpr Deadline(std::chrono::time_point<Other, D>) noexcept {  // NOLINT: implicit, so that it is told below
    static_assert(
        detail::kNever<Other>,
        "a deadline is a time of std::chrono::steady_clock, since other clocks may jump. "
        "Remedy: std::chrono::steady_clock::now() + d, or the verb that takes a duration (try_x_for, wait_for)");
  }

  [[nodiscard]] static Deadline after(Timeout d) noexcept {
    if (d.forever()) return never();
    const Clock::time_point now = Clock::now();
    return d.ns() < Clock::time_point::max() - now ? Deadline(now + d.ns()) : never();
  }
  [[nodiscard]] static constexpr Deadline never() noexcept { return Deadline(Clock::time_point::max()); }

  [[nodiscard]] constexpr Clock::time_point time() const noexcept { return t_; }
  [[nodiscard]] constexpr bool forever() const noexcept { return t_ == Clock::time_point::max(); }
  [[nodiscard]] bool expired() const noexcept { return !forever() && Clock::now() >= t_; }
  [[nodiscard]] Timeout remaining() const noexcept {
    if (forever()) return kForever;
    const Clock::time_point now = Clock::now();
    return t_ > now ? t_ - now : Clock::duration::zero();
  }

 private:
  Clock::time_point t_;
};

}  // namespace warren
