// BoundedSemaphore: deaths at every crash point.
#include "crash/bounded_semaphore_trial.h"
#include "crash/ipc_points.h"

namespace warren::test {
namespace {

TEST(BoundedSemaphoreAtEveryPoint, AllPermitsComeBack) {
  for (const BoundedState& state : {kAllFree, kOneIsDeads, kAllAreDeads}) {
    SCOPED_TRACE(state.name);
    sweep(kUse.name, [&] { return std::make_unique<BoundedTrial>(state, kUse); });
  }
}

}  // namespace
}  // namespace warren::test
