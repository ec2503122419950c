// SharedMutex: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/shared_mutex_trial.h"

namespace warren::test {
namespace {

TEST(SharedMutexAtEveryPoint, TheOthersGoOnAndAreTold) {
  for (const SharedMutexState& state : {kUnlocked, kReaderDead, kWriterDead}) {
    for (const SharedMutexOperation& operation : {kRead, kWrite, kRepairShared}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return std::make_unique<SharedMutexTrial>(state, operation); });
    }
  }
}

}  // namespace
}  // namespace warren::test
