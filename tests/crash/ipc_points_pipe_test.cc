// Pipe: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/pipe_trial.h"

namespace warren::test {
namespace {

void sweep_pipe(const PipeState& state, const PipeOperation& operation) {
  SCOPED_TRACE(std::string(operation.name) + " " + state.name);
  sweep(std::string(operation.name) + " " + state.name, [&] { return std::make_unique<PipeTrial>(state, operation); });
}

TEST(PipeAtEveryPoint, SenderKilled) {
  sweep_pipe(kPipeWrapped, kSendSmall);
  sweep_pipe(kPipeReceiverAsleep, kSendSmall);
}

TEST(PipeAtEveryPoint, ReceiverKilled) {
  sweep_pipe(kPipeWrapped, kRecvSmall);
  sweep_pipe(kPipeEmpty, kRecvLarge);
}

// Whoever watches a bell empties it when there is nothing left.
TEST(PipeAtEveryPoint, WatcherKilled) {
  const PipeOperation watch{.name = "fileno_and_recv", .run = [](PipeTrial& t) { t.watch_and_recv(); }};
  sweep_pipe(kPipeMiddle, watch);
}

}  // namespace
}  // namespace warren::test
