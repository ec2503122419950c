// Event, Semaphore, Condition: deaths at every crash point.
#include "crash/condition_trial.h"
#include "crash/event_trial.h"
#include "crash/ipc_points.h"
#include "crash/semaphore_trial.h"

namespace warren::test {
namespace {

TEST(EventAtEveryPoint, WhoWaitedIsReleasedAndItWorksOn) {
  for (const EventState& state : {kClearEvent, kSetEvent, kAwaited}) {
    for (const EventOperation& operation : {kSetIt, kPulse}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return make_event_trial(state, operation); });
    }
  }
}

TEST(SemaphoreAtEveryPoint, PermitsAreConservedAndNobodySleepsBesideOne) {
  sweep("acquire", [] { return make_semaphore_trial(kTwoPermits, kAcquire); });
  sweep("permit", [] { return make_semaphore_trial(kTwoPermits, kHold); });
  for (const SemaphoreState& state : {kNoPermits, kTwoPermits, kOneWaits}) {
    for (const SemaphoreOperation& operation : {kReleaseOne, kReleaseTwo}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return make_semaphore_trial(state, operation); });
    }
  }
}

TEST(ConditionAtEveryPoint, NobodySleepsBesideAnItem) {
  for (const ConditionState& state : {kNobodyWaits, kOneTakes, kOneTakesTold}) {
    for (const ConditionOperation& operation : {kPutOne, kPutForAll, kNotifyAll, kGiveUp}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return make_condition_trial(state, operation); });
    }
  }
}

}  // namespace
}  // namespace warren::test
