// Mutex: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/mutex_trial.h"

namespace warren::test {
namespace {

TEST(MutexAtEveryPoint, TheNextOneGetsItAndIsTold) {
  for (const MutexState& state : {kFree, kOwnerFoundDead, kTold}) {
    for (const MutexOperation& operation : {kUpdate, kTryLock, kRepair}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return std::make_unique<MutexTrial>(state, operation); });
    }
  }
}

}  // namespace
}  // namespace warren::test
