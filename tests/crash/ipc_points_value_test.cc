// Value: deaths at every crash point. A load has none: it leaves nothing.
#include "crash/ipc_points.h"
#include "crash/value_trial.h"

namespace warren::test {
namespace {

TEST(ValueAtEveryPoint, TheValueIsTheOldOrTheNewOne) {
  for (const ValueState& state : {kValueQuiet, kValueWriterDead}) {
    for (const ValueOperation& operation : {kValueStore, kValueExchange, kValueUpdate}) {
      SCOPED_TRACE(std::string(operation.name) + " " + state.name);
      sweep(operation.name, [&] { return std::make_unique<ValueTrial>(state, operation); });
    }
  }
}

}  // namespace
}  // namespace warren::test
