// Segments, their names and lanes: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/lane_trial.h"
#include "crash/name_trial.h"

namespace warren::test {
namespace {

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
