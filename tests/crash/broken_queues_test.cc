// Negative controls of the every-instruction harness: what is broken on purpose must be found, by the kind of its
// fault.
#include <gtest/gtest.h>

#include <iostream>

#include "crash/broken_queues.h"
#include "crash/queue_trial.h"
#include "support/kill_sweep.h"
#include "support/stepper.h"

namespace warren::test {
namespace {

using T = Item64;

constexpr QueueState kMiddle{.name = "middle", .lead = 6, .items = 1};
constexpr std::chrono::nanoseconds kShortPatience = 20ms;  // what hangs here hangs for good

constexpr QueueState kTwoRuns{.name = "two_runs", .lead = 1, .items = 3, .unbounded = true};

template <class Q>
MakeTrial pushing(const QueueState& state = kMiddle) {
  return [state] {
    constexpr QueueOperation<Q> push{
        .name = "try_push", .pushes = 1, .run = [](Q& q, std::span<const T> items, std::span<T>) {
          return std::size_t{q.try_push(items[0])};
        }};
    return std::make_unique<QueueTrial<8, Q>>(state, push, kShortPatience);
  };
}

template <class Q>
MakeTrial popping() {
  return [] {
    constexpr QueueOperation<Q> pop{
        .name = "try_pop", .pops = 1, .run = [](Q& q, std::span<const T>, std::span<T> out) {
          const std::optional<T> item = q.try_pop();
          if (item) out[0] = *item;
          return std::size_t{item.has_value()};
        }};
    return std::make_unique<QueueTrial<8, Q>>(kMiddle, pop, kShortPatience);
  };
}

void expect_found(const Coverage& coverage, Fault::Kind kind) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

class HarnessControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
};

// The frame of the trials itself must not be what is found.
TEST_F(HarnessControl, TheRightQueueIsClean) {
  EXPECT_TRUE(kill_after_every_instruction("right", pushing<Queue<T>>()).clean());
  EXPECT_TRUE(pause_after_every_instruction("right", pushing<Queue<T>>()).clean());
}

TEST_F(HarnessControl, UnannouncedPushIsFoundToLoseItems) {
  expect_found(pause_after_every_instruction("unannounced push", pushing<PushesUnannounced<T>>()), Fault::Kind::kLost);
}

TEST_F(HarnessControl, EarlyCommitIsFoundToTearItems) {
  expect_found(kill_after_every_instruction("early commit", pushing<CommitsTooEarly<T>>()), Fault::Kind::kTorn);
}

TEST_F(HarnessControl, TicketQueueIsFoundToHang) {
  expect_found(kill_after_every_instruction("ticket queue", pushing<NeverBuries<T>>()), Fault::Kind::kHung);
}

TEST_F(HarnessControl, PopByStoreIsFoundToDoubleItems) {
  expect_found(pause_after_every_instruction("pop by store", popping<TakesByStore<T>>()), Fault::Kind::kDoubled);
}

TEST_F(HarnessControl, ChunkFreedInUseIsFoundToLoseItems) {
  expect_found(kill_after_every_instruction("chunk freed in use", pushing<FreesRunInUse<T>>(kTwoRuns)),
               Fault::Kind::kLost);
}

}  // namespace
}  // namespace warren::test
