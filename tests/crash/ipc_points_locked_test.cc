// Priority queue and stack: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/locked_trial.h"

namespace warren::test {
namespace {

template <std::size_t N, class Q>
void sweep_locked(const LockedState& state, const LockedOperation<Q>& operation) {
  SCOPED_TRACE(std::string(operation.name) + " " + state.name);
  sweep(operation.name, [&] { return std::make_unique<LockedTrial<N, Q>>(state, operation); });
}

TEST(LockedAtEveryPoint, APriorityQueueLosesNothing) {
  using Q = LockedRanked;
  for (const LockedState& state : {kLockedMiddle, kLockedHolderDead}) {
    sweep_locked<1, Q>(state, kLockedTryPush<Q>);
    sweep_locked<1, Q>(state, kLockedTryPop<Q>);
  }
  sweep_locked<1, Q>(kLockedMiddle, kLockedClose<Q>);
}

TEST(LockedAtEveryPoint, AStackLosesNothing) {
  using Q = LockedStacked;
  sweep_locked<1, Q>(kLockedHolderDead, kLockedTryPush<Q>);
  sweep_locked<1, Q>(kLockedMiddle, kLockedTryPop<Q>);
}

TEST(LockedAtEveryPoint, BlocksGoBack) {
  using Q = LockedRankedParcels;
  sweep_locked<kLockedParcelWords, Q>(kLockedMiddle, kLockedTryPush<Q>);
  sweep_locked<kLockedParcelWords, Q>(kLockedMiddle, kLockedTryPop<Q>);
}

}  // namespace
}  // namespace warren::test
