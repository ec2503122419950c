// SpscQueue: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/spsc_trial.h"

namespace warren::test {
namespace {

using T = Item64;
using S = SpscQueue<T>;
using Items = std::span<const T>;
using Out = std::span<T>;

void sweep_spsc(const SpscState& state, const SpscOperation<T>& operation) {
  sweep(std::string(operation.name) + " " + state.name,
        [&] { return std::make_unique<SpscTrial<8>>(state, operation); });
}

constexpr SpscState kWrapped{.name = "wrapped", .lead = 3, .items = 1};
constexpr SpscState kMidCommit{.name = "died_mid_commit", .lead = 2, .items = 2, .mid_commit = true};
constexpr SpscState kAsleep{.name = "consumer_asleep", .asleep = SpscState::Asleep::kConsumer};

TEST(SpscAtEveryPoint, PushKilled) {
  const SpscOperation<T> push{
      .name = "push_n", .pushes = 2, .run = [](S& q, Items items, Out) { return q.push_n(items); }, .cold = true};
  sweep_spsc(kWrapped, push);
  sweep_spsc(kMidCommit, push);
  sweep_spsc(kAsleep, push);
}

TEST(SpscAtEveryPoint, PopKilled) {
  const SpscOperation<T> pop{
      .name = "pop_n", .pops = 2, .run = [](S& q, Items, Out out) { return q.pop_n(out.first(2)); }, .cold = true};
  sweep_spsc(kWrapped, pop);
  sweep_spsc(kMidCommit, pop);
}

TEST(SpscAtEveryPoint, CloseKilled) {
  const SpscOperation<T> close{.name = "close",
                               .run = [](S& q, Items, Out) -> std::size_t { return q.close(), 0; },
                               .closes = true,
                               .cold = true};
  sweep_spsc(kWrapped, close);
  sweep_spsc(kMidCommit, close);
}

}  // namespace
}  // namespace warren::test
