// A first victim dies at every crash point of every operation of the substrate, a second one, its rescuer, at every
// point of the rescue, and a third process finds everything in order.
#include <gtest/gtest.h>

#include "crash/lane_trial.h"
#include "crash/mutex_trial.h"
#include "crash/name_trial.h"
#include "crash/points_test.h"
#include "crash/queue_trial.h"
#include "crash/spsc_trial.h"

namespace warren::test {
namespace {

PointTotal& total = *[] {
  auto* const made = new PointTotal("ipc");
  testing::AddGlobalTestEnvironment(made);
  return made;
}();

template <class Make>
void sweep(const std::string& name, const Make& make) {
  expect_survived(total, kill_at_every_point(name, make));
}

using T = Item64;
using Q = Queue<T>;
using S = SpscQueue<T>;
using Items = std::span<const T>;
using Out = std::span<T>;

constexpr QueueState kMiddle{.name = "middle", .lead = 3, .items = 2};
constexpr QueueState kDeadFirst{.name = "dead_first", .lead = 2, .dead_first = true, .items = 2};
constexpr QueueState kConsumerAsleep{.name = "consumer_asleep", .asleep = QueueState::Asleep::kConsumer};

void sweep_queue(const QueueState& state, const QueueOperation<Q>& operation) {
  sweep(std::string(operation.name) + " " + state.name,
        [&] { return std::make_unique<QueueTrial<8>>(state, operation); });
}

TEST(QueueAtEveryPoint, PushKilled) {
  const QueueOperation<Q> push{
      .name = "push_n", .pushes = 2, .run = [](Q& q, Items items, Out) { return q.push_n(items); }, .cold = true};
  sweep_queue(kMiddle, push);
  sweep_queue(kConsumerAsleep, push);
}

TEST(QueueAtEveryPoint, PopKilled) {
  const QueueOperation<Q> pop{.name = "pop",
                              .pops = 1,
                              .run = [](Q& q, Items, Out out) -> std::size_t {
                                const std::optional<T> item = q.pop();
                                if (item) out[0] = *item;
                                return item.has_value();
                              },
                              .cold = true};
  sweep_queue(kMiddle, pop);
  sweep_queue(kDeadFirst, pop);
}

TEST(QueueAtEveryPoint, BatchPopKilled) {
  const QueueOperation<Q> pop_n{
      .name = "pop_n", .pops = 3, .run = [](Q& q, Items, Out out) { return q.pop_n(out.first(3)); }, .cold = true};
  sweep_queue(kMiddle, pop_n);
  sweep_queue(kDeadFirst, pop_n);
}

TEST(QueueAtEveryPoint, CloseKilled) {
  const QueueOperation<Q> close{.name = "close",
                                .closes = true,
                                .run = [](Q& q, Items, Out) -> std::size_t { return q.close(), 0; },
                                .cold = true};
  sweep_queue(kMiddle, close);
  sweep_queue(kDeadFirst, close);
}

void sweep_spsc(const SpscState& state, const SpscOperation<T>& operation) {
  sweep(std::string(operation.name) + " " + state.name,
        [&] { return std::make_unique<SpscTrial<8>>(state, operation); });
}

constexpr SpscState kWrapped{.name = "wrapped", .lead = 3, .items = 1};
constexpr SpscState kMidCommit{.name = "died_mid_commit", .lead = 2, .items = 2, .mid_commit = true};
constexpr SpscState kAsleep{.name = "consumer_asleep", .asleep = SpscState::Asleep::kConsumer};

TEST(SpscAtEveryPoint, PushKilled) {
  const SpscOperation<T> push{
      .name = "push_n", .pushes = 2, .run = [](S& q, Items items, Out) { return q.push_n(items); }, .cold = true};
  sweep_spsc(kWrapped, push);
  sweep_spsc(kMidCommit, push);
  sweep_spsc(kAsleep, push);
}

TEST(SpscAtEveryPoint, PopKilled) {
  const SpscOperation<T> pop{
      .name = "pop_n", .pops = 2, .run = [](S& q, Items, Out out) { return q.pop_n(out.first(2)); }, .cold = true};
  sweep_spsc(kWrapped, pop);
  sweep_spsc(kMidCommit, pop);
}

TEST(SpscAtEveryPoint, CloseKilled) {
  const SpscOperation<T> close{.name = "close",
                               .run = [](S& q, Items, Out) -> std::size_t { return q.close(), 0; },
                               .closes = true,
                               .cold = true};
  sweep_spsc(kWrapped, close);
  sweep_spsc(kMidCommit, close);
}

TEST(MutexAtEveryPoint, TheNextOneGetsItAndIsTold) {
  for (const MutexState& state : {kFree, kOwnerFoundDead, kTold}) {
    for (const MutexOperation& operation : {kUpdate, kTryLock, kRepair}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return std::make_unique<MutexTrial>(state, operation); });
    }
  }
}

TEST(NamesAtEveryPoint, NothingStaysThatIsNotReclaimed) {
  for (const NameState& state : {kNoName, kStaleName, kHeldName}) {
    for (const NameOperation& operation : {kCreateName, kOpenName, kOpenOrCreateName, kComeAndGo, kUnlinkName}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return std::make_unique<NameTrial>(state, operation); });
    }
  }
}

TEST(SegmentAtEveryPoint, LanesAreCommittedClaimedAndGivenBack) {
  sweep("lanes", [] { return std::make_unique<LaneTrial>(); });
}

TEST(SegmentAtEveryPoint, Grows) {
  sweep("grow", [] { return std::make_unique<GrowTrial>(); });
}

}  // namespace
}  // namespace warren::test
