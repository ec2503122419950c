// A notifier is held after every single instruction while another thread falls asleep on the word. Afterwards that one
// is awake, or W stands, so that the next notifier wakes it: nobody sleeps where nobody looks.
#include <gtest/gtest.h>
#include <warren/ipc/detail/wait.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "crash/sweep_test.h"
#include "support/child.h"
#include "support/stepper.h"
#include "support/watch.h"

namespace warren::test {
namespace {

using detail::kWakeAll;
using layout::WaitMode;
using Word = std::atomic<std::uint32_t>;
using namespace std::chrono_literals;

struct Notice {
  const char* name;
  int count;
  bool slept_before;  // somebody was asleep already
};

class NotifyTrial : public Trial {
 public:
  explicit NotifyTrial(const Notice& notice) : notice_(notice) {
    (void)detail::join_membarrier();
    *word_ = 1;  // W, of somebody who has returned meanwhile
    if (notice.slept_before) sleepers_[0].emplace(sleeper());
  }
  void operation() override { detail::notify(*word_, WaitMode::kFenced, notice_.count); }
  void interfere() override { sleepers_[1].emplace(sleeper()); }
  std::string window(pid_t) override { return {}; }
  Verdict survive(bool) override {
    Verdict verdict;
    int woken = 0;
    for (std::optional<Child>& sleeper : sleepers_) {
      if (!sleeper) continue;
      if ((word_->load() & 1) != 0) {
        woken += ended_within(*sleeper, 0s) ? 1 : 0;
      } else if (ended_within(*sleeper, 5s)) {
        ++woken;
      } else {
        verdict.add(Fault::Kind::kHung, "asleep, and W does not stand");
      }
    }
    if (sleepers_[0] && woken == 0 && !eventually([&] { return any_gone(); }, 10s)) {
      verdict.add(Fault::Kind::kHung, "nobody was woken");
    }
    return verdict;
  }

 private:
  // Found nothing when it tested again, and sleeps.
  Child sleeper() {
    Child child(
        [this] { (void)detail::sleep_on(*word_, detail::arm(*word_, WaitMode::kFenced), Deadline::never(), 1h); });
    await_futex_sleep(child.pid());
    return child;
  }
  bool any_gone() const {
    for (const std::optional<Child>& sleeper : sleepers_) {
      if (sleeper && process_state(sleeper->pid()) == 'Z') return true;
    }
    return false;
  }

  Notice notice_;
  Shared<Word> word_{0u};
  std::array<std::optional<Child>, 2> sleepers_;
};

class NotifySteps : public ::testing::TestWithParam<Notice> {};
INSTANTIATE_TEST_SUITE_P(Of, NotifySteps,
                         ::testing::Values(Notice{"one", 1, false}, Notice{"one_of_sleepers", 1, true},
                                           Notice{"two_of_sleepers", 2, true}, Notice{"all", kWakeAll, false}),
                         [](const auto& notice) { return notice.param.name; });

TEST_P(NotifySteps, WhoFallsAsleepMeanwhileIsWokenOrSeen) {
  if (!Stepped::supported()) GTEST_SKIP() << "no single-stepping here";
  expect_survived(
      pause_after_every_instruction(GetParam().name, [] { return std::make_unique<NotifyTrial>(GetParam()); }), {});
}

}  // namespace
}  // namespace warren::test
