// Many futures: as_completed(), wait().
#pragma once
#include <warren/pool/detail/arrivals.h>
#include <warren/pool/future.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <vector>

namespace warren {

template <class T>
inline constexpr bool kIsFuture = false;
template <class R>
inline constexpr bool kIsFuture<Future<R>> = true;
template <class Rg>
concept FutureRange = std::ranges::forward_range<Rg> && kIsFuture<std::ranges::range_value_t<Rg>>;

// What as_completed() gives: a range that is read once, of references to the futures, in the order in which their tasks
// end, but for those that have ended before, or whose callbacks have still to run. It does not wait for callbacks:
// get() of the future that was given does. It ends early when the time is up; then status() is DeadlineExceeded. The
// futures stay where they are meanwhile; one that was given may be got as an rvalue, or dropped. For one thread.
template <class R>
class Completed {
 public:
  class Iterator {
   public:
    using value_type = Future<R>;
    using difference_type = std::ptrdiff_t;

    Iterator() noexcept = default;
    explicit Iterator(Completed& from) : from_(&from) { ++*this; }
    Future<R>& operator*() const { return *from_->futures_[*from_->current_]; }
    Iterator& operator++() {
      from_->current_ = from_->arrivals_->next(from_->deadline_);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !from_->current_.has_value(); }

   private:
    Completed* from_ = nullptr;
  };

  Completed(std::vector<Future<R>*> futures, std::unique_ptr<detail::Arrivals> arrivals, Deadline deadline)
      : futures_(std::move(futures)), arrivals_(std::move(arrivals)), deadline_(deadline) {}

  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() { return {}; }
  [[nodiscard]] absl::Status status() const {
    if (current_ || arrivals_->left() == 0 || !deadline_.expired()) return absl::OkStatus();
    return absl::DeadlineExceededError("the time is up, and not every task has ended");
  }

 private:
  std::vector<Future<R>*> futures_;
  std::unique_ptr<detail::Arrivals> arrivals_;
  Deadline deadline_;
  std::optional<std::size_t> current_;
};

// for (auto& f : as_completed(futures)). Those that have ended come first, in no certain order. A future without a task
// counts as ended. Of any pools, and of then() and map_async(). The time runs from this call.
template <FutureRange Rg>
Completed<typename std::ranges::range_value_t<Rg>::value_type> as_completed(Rg& futures, Timeout d = kForever) {
  using R = typename std::ranges::range_value_t<Rg>::value_type;
  constexpr bool kHeld = std::same_as<std::ranges::range_reference_t<Rg>, Future<R>&>;
  static_assert(kHeld,
                "as_completed() gives references to the futures, so it needs a range that holds them, not const");
  const Deadline deadline = Deadline::after(d);
  std::vector<Future<R>*> places;
  std::vector<std::shared_ptr<detail::TaskCore>> tasks;
  if constexpr (kHeld) {
    for (Future<R>& future : futures) {
      places.push_back(&future);
      tasks.push_back(detail::FutureAccess::task(future));
    }
  }
  return {std::move(places), std::make_unique<detail::Arrivals>(std::move(tasks)), deadline};
}

enum class ReturnWhen {
  kAllCompleted,
  kFirstCompleted,
  kFirstException,  // the first that failed, was lost or cancelled; all, where none does
};

struct Waited {
  std::vector<std::size_t> done, not_done;  // indices, ascending
};

namespace detail {
Waited wait_for_tasks(std::vector<std::shared_ptr<TaskCore>> tasks, ReturnWhen when, Deadline deadline);
}  // namespace detail

// Blocks until as many have ended as `when` says, or the time is up. Cancelled by any route, and a future without a
// task, count as done.
template <FutureRange Rg>
Waited wait(const Rg& futures, ReturnWhen when = ReturnWhen::kAllCompleted, Timeout d = kForever) {
  const Deadline deadline = Deadline::after(d);
  std::vector<std::shared_ptr<detail::TaskCore>> tasks;
  for (const auto& future : futures) tasks.push_back(detail::FutureAccess::task(future));
  return detail::wait_for_tasks(std::move(tasks), when, deadline);
}
// For all of them.
template <FutureRange Rg>
Waited wait(const Rg& futures, Timeout d) {
  return wait(futures, ReturnWhen::kAllCompleted, d);
}

}  // namespace warren
