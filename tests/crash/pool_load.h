// Tasks of every kind, and the account of them: each began as often as its result says, whoever died meanwhile.
#pragma once
#include <warren/pool/pool.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "support/history.h"
#include "support/pool_view.h"
#include "support/pool_world.h"

namespace warren::test {

// Of negative controls: what a task does to the pool that runs it. Set before the pool is made.
inline void (*mistake)() = nullptr;

using std::chrono_literals::operator""h;

inline constexpr std::size_t kSubmitted = 7;  // gate: opens when everything is

inline void began(int number) {
  ++marks->ran[static_cast<std::size_t>(number)];
  if (mistake == nullptr) return;
  marks->pass(kSubmitted);
  mistake();
}
inline std::vector<std::string> large_value(int number) {
  return std::vector<std::string>(22, std::string(50'000, static_cast<char>('a' + number % 26)));
}

inline int plain_task(int number) { return began(number), number; }
// Its result grows block by block, beyond what gives its memory back when it is released.
inline std::vector<std::string> growing_task(int number) { return began(number), large_value(number); }
// So do its arguments.
inline int reading_task(int number, const std::vector<std::string>& value) {
  return began(number), value == large_value(number) ? number : -1;
}
// So do those of the task that it submits and waits for.
inline int nesting_task(int number) {
  began(number);
  const auto same = [](const std::vector<std::string>& value, int which) { return value == large_value(which); };
  auto forgotten = current_pool().submit({.retries = 40}, same, large_value(number), number);
  forgotten = {};
  return current_pool().apply({.retries = 40}, same, large_value(number), number).value() ? number : -1;
}
inline int throwing_task(int number) {
  began(number);
  return current_task().attempt() < 3 ? throw std::runtime_error(std::string(300, 'x')) : number;
}

// One turn of one thread. Tasks count in marks->ran from `base` on.
class PoolLoad {
 public:
  static constexpr int kNumbers = 70;
  struct Options {
    int base = 0;
    bool supervisor_may_die = false;                // what has not ended by then is Unavailable
    bool nests = false;                             // tasks of tasks too
    std::chrono::nanoseconds patience = kPromptly;  // with all of it
  };

  explicit PoolLoad(Pool& pool) : PoolLoad(pool, Options{}) {}
  PoolLoad(Pool& pool, const Options& options) : pool_(pool), options_(options) {}

  // Submits, gets, and accounts.
  std::vector<Fault> run() {
    const int base = options_.base;
    for (int i = 0; i < kNumbers; ++i) marks->ran[static_cast<std::size_t>(base + i)] = 0;
    end_ = std::chrono::steady_clock::now() + options_.patience;
    const TaskOptions at_once{.retries = kRetries, .retry_on = RetryOn::kAnyFailure};  // the worker hints to it itself
    const TaskOptions on_anything{
        .deadline = 1h, .retries = kRetries, .backoff = 1ms, .retry_on = RetryOn::kAnyFailure, .priority = 1};
    std::array<Future<int>, kEach> plain, throws;
    std::array<Future<int>, kFew> reads;
    std::array<Future<std::vector<std::string>>, kFew> grown;
    std::array<Future<int>, kEach> nests;
    for (int i = 0; i < kEach; ++i) {
      const auto at = static_cast<std::size_t>(i);
      plain[at] = pool_.submit(plain_task, base + kPlain + i);
      throws[at] = pool_.submit(i == 0 ? at_once : on_anything, throwing_task, base + kThrows + i);
      if (options_.nests) nests[at] = pool_.submit({.retries = kRetries}, nesting_task, base + kNests + i);
      if (i >= kFew) continue;
      grown[at] = pool_.submit(growing_task, base + kGrown + i);
      const TaskOptions on_death{
          .retries = kRetries, .priority = -1, .worker = static_cast<std::uint32_t>(i) % pool_.workers()};
      reads[at] = pool_.submit(on_death, reading_task, base + kReads + i, large_value(base + kReads + i));
      pool_.submit(growing_task, base + kForgotten + i);
    }
    const int first = base + kItems;
    auto items = pool_.imap({.chunksize = 4}, plain_task, std::views::iota(first, first + kItemCount));
    marks->open(kSubmitted);
    for (int i = 0; i < kEach; ++i) {
      const auto at = static_cast<std::size_t>(i);
      account_for_once(plain[at].get_for(left()), base + kPlain + i);
      account_for_retried(throws[at].get_for(left()), base + kThrows + i);
      if (options_.nests) account_for_retried(std::move(nests[at]).get_for(left()), base + kNests + i);
      if (i >= kFew) continue;
      account_for_grown(grown[at].get_for(left()), base + kGrown + i);
      account_for_retried(reads[at].get_for(left()), base + kReads + i);
    }
    int item = first;
    while (const auto each = items.next_for(left())) account_for_once(*each, item++);
    if (item != first + kItemCount) {
      fault(items.done() ? Fault::Kind::kLost : Fault::Kind::kHung,
            std::to_string(item - first) + " of " + std::to_string(kItemCount) + " items came");
    }
    for (int i = 0; i < kFew; ++i) not_more_than(base + kForgotten + i, 1);
    return std::exchange(faults_, {});
  }
  static constexpr std::size_t tasks() { return 2 * kEach + 3 * kFew + kItemCount; }

  [[nodiscard]] std::size_t lost() const { return lost_; }                // told as failed by a worker's death,
  [[nodiscard]] std::size_t unavailable() const { return unavailable_; }  // and by the supervisor's

  // When nothing is submitted any more: what the tasks used is free.
  std::vector<Fault> look_for_leftovers(const PoolView& view) {
    const auto empty = [&] { return view.slots_in_use() == 0 && view.owned_blocks() == 0; };
    if (!eventually(empty, options_.patience)) {
      fault(Fault::Kind::kLeft,
            std::to_string(view.slots_in_use()) + " slots, " + std::to_string(view.owned_blocks()) + " blocks");
    }
    return std::exchange(faults_, {});
  }
  std::vector<Fault> serve_on() {
    constexpr int kTasks = 20;
    std::vector<Future<int>> twice;
    for (int i = 0; i < kTasks; ++i) {
      twice.push_back(pool_.submit(
          {.retries = kRetries}, [](int x) { return 2 * x; }, i));
    }
    for (int i = 0; i < kTasks; ++i) {
      const absl::StatusOr<int> result = twice[static_cast<std::size_t>(i)].get_for(options_.patience);
      if (is_supervisors(result.status())) continue;
      if (!result.ok() || *result != 2 * i) {
        fault(Fault::Kind::kHung, "the pool does not serve on: " + result.status().ToString());
      }
    }
    return std::exchange(faults_, {});
  }

 private:
  static constexpr int kPlain = 0, kGrown = 10, kThrows = 20, kReads = 30, kItems = 40, kForgotten = 60, kNests = 65;
  static constexpr int kEach = 3, kFew = 2, kItemCount = 8;
  static constexpr std::uint32_t kRetries = 40;

  void fault(Fault::Kind kind, std::string text) { faults_.push_back({.kind = kind, .text = std::move(text)}); }
  [[nodiscard]] std::chrono::nanoseconds left() const { return end_ - std::chrono::steady_clock::now(); }
  static std::uint32_t ran(int number) { return marks->ran[static_cast<std::size_t>(number)]; }
  static std::string name(int number) { return "task " + std::to_string(number); }

  void not_more_than(int number, std::uint32_t most) {
    if (ran(number) > most) {
      fault(Fault::Kind::kDoubled, name(number) + " began " + std::to_string(ran(number)) + " times");
    }
  }
  bool is_supervisors(const absl::Status& status) {
    const bool told_so = absl::IsUnavailable(status) && options_.supervisor_may_die;
    unavailable_ += told_so;
    return told_so;
  }
  // A death, and nothing else, may be why.
  void account_for_failure(const absl::Status& status, int number) {
    if (absl::IsDeadlineExceeded(status)) return fault(Fault::Kind::kHung, name(number) + " does not end");
    if (is_supervisors(status)) return;
    if (!absl::IsAborted(status)) return fault(Fault::Kind::kOther, name(number) + ": " + status.ToString());
    ++lost_;
  }
  void account_for_once(const absl::StatusOr<int>& result, int number) {
    if (!result.ok()) {
      account_for_failure(result.status(), number);
    } else if (*result != number || ran(number) == 0) {
      fault(Fault::Kind::kTorn, name(number) + " gave " + std::to_string(*result));
    }
    not_more_than(number, 1);
  }
  void account_for_grown(const absl::StatusOr<std::vector<std::string>>& result, int number) {
    if (!result.ok()) {
      account_for_failure(result.status(), number);
    } else if (*result != large_value(number) || ran(number) == 0) {
      fault(Fault::Kind::kTorn, "the large result of " + name(number));
    }
    not_more_than(number, 1);
  }
  // With more attempts than anybody kills it succeeds.
  void account_for_retried(const absl::StatusOr<int>& result, int number) {
    if (result.ok()) {
      if (*result != number) fault(Fault::Kind::kTorn, name(number) + " gave " + std::to_string(*result));
    } else if (absl::IsAborted(result.status())) {
      fault(Fault::Kind::kLost,
            name(number) + ", begun " + std::to_string(ran(number)) + " times: " + result.status().ToString());
    } else {
      account_for_failure(result.status(), number);
    }
    not_more_than(number, kRetries + 1);
  }

  Pool& pool_;
  Options options_;
  std::chrono::steady_clock::time_point end_;
  std::vector<Fault> faults_;
  std::size_t lost_ = 0, unavailable_ = 0;
};

}  // namespace warren::test
