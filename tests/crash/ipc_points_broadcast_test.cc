// Broadcast: deaths at every crash point of pushes, pops, and of subscribers that come and go.
#include "crash/broadcast_trial.h"
#include "crash/ipc_points.h"

namespace warren::test {
namespace {

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
