// Broadcast: deaths at every crash point of pushes, pops, and of subscribers that come and go.
#include "crash/broadcast_trial.h"
#include "crash/ipc_points.h"

namespace warren::test {
namespace {

TEST(BroadcastAtEveryPoint, BlocksOfItemsAreFreed) {
  for (const BroadcastState& state : {kBroadcastLoses, kBroadcastWriterDead}) {
    SCOPED_TRACE(state.name);
    sweep("push_in_blocks", [&] { return std::make_unique<BroadcastTrialOf<40>>(state, kBroadcastPush); });
  }
}

TEST(BroadcastAtEveryPoint, ClosingIsWholeOrNotDone) {
  sweep("close", [] { return std::make_unique<BroadcastTrial>(kBroadcastCloses, kBroadcastClose); });
}

TEST(BroadcastAtEveryPoint, EverybodyElseSeesOneOrderAndNobodyIsHeldUp) {
  for (const BroadcastState& state : {kBroadcastLoses, kBroadcastWaits, kBroadcastWriterDead, kBroadcastReaderDead}) {
    for (const BroadcastOperation& operation : {kBroadcastPush, kBroadcastPop, kBroadcastJoin, kBroadcastLeave}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      // Where everybody may lose, no cell is taken and none is given back.
      if (state.mode == SlowReader::kLoses && !operation.pushes && !operation.pops) continue;
      sweep(operation.name, [&] { return std::make_unique<BroadcastTrial>(state, operation); });
    }
  }
}

}  // namespace
}  // namespace warren::test
