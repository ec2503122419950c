// The account of a queue's items: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/join_trial.h"

namespace warren::test {
namespace {

void sweep_join(const JoinState& state, const JoinOperation& operation) {
  sweep(std::string(operation.name) + " " + state.name, [&] { return std::make_unique<JoinTrial>(state, operation); });
}

TEST(JoinAtEveryPoint, PopKilled) {
  sweep_join(kQueued, kJoinPop);
  sweep_join(kQueued, kJoinPopN);
}

TEST(JoinAtEveryPoint, TaskDoneKilled) {
  sweep_join(kQueued, kTaskDone);
  sweep_join(kSurvivorHasOne, kTaskDoneOfAnother);
}

TEST(JoinAtEveryPoint, ThreadsEndKilled) { sweep_join(kQueued, kHandOver); }

TEST(JoinAtEveryPoint, JoinKilled) {
  sweep_join(kLostOne, kJoin);
  sweep_join(kLostAndSwept, kJoin);
}

}  // namespace
}  // namespace warren::test
