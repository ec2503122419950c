// Queue: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/queue_trial.h"

namespace warren::test {
namespace {

using T = Item64;
using Q = Queue<T>;
using Items = std::span<const T>;
using Out = std::span<T>;

constexpr QueueState kMiddle{.name = "middle", .lead = 3, .items = 2};
constexpr QueueState kDeadFirst{.name = "dead_first", .lead = 2, .dead_first = true, .items = 2};
constexpr QueueState kNextRun{.name = "next_run", .lead = 2, .unbounded = true};
constexpr QueueState kEndOfRun{.name = "end_of_run", .lead = 1, .items = 1, .unbounded = true};
constexpr QueueState kTwoRuns{.name = "two_runs", .lead = 1, .items = 3, .unbounded = true};
constexpr QueueState kConsumerAsleep{.name = "consumer_asleep", .asleep = QueueState::Asleep::kConsumer};

void sweep_queue(const QueueState& state, const QueueOperation<Q>& operation) {
  sweep(std::string(operation.name) + " " + state.name,
        [&] { return std::make_unique<QueueTrial<8>>(state, operation); });
}

TEST(QueueAtEveryPoint, PushKilled) {
  const QueueOperation<Q> push{
      .name = "push_n", .pushes = 2, .run = [](Q& q, Items items, Out) { return q.push_n(items); }, .cold = true};
  sweep_queue(kMiddle, push);
  sweep_queue(kConsumerAsleep, push);
  sweep_queue(kNextRun, push);
  sweep_queue(kEndOfRun, push);  // needs one more chunk
}

TEST(QueueAtEveryPoint, PopKilled) {
  const QueueOperation<Q> pop{.name = "pop",
                              .pops = 1,
                              .run = [](Q& q, Items, Out out) -> std::size_t {
                                const std::optional<T> item = q.pop();
                                if (item) out[0] = *item;
                                return item.has_value();
                              },
                              .cold = true};
  sweep_queue(kMiddle, pop);
  sweep_queue(kDeadFirst, pop);
}

TEST(QueueAtEveryPoint, BatchPopKilled) {
  const QueueOperation<Q> pop_n{
      .name = "pop_n", .pops = 3, .run = [](Q& q, Items, Out out) { return q.pop_n(out.first(3)); }, .cold = true};
  sweep_queue(kMiddle, pop_n);
  sweep_queue(kDeadFirst, pop_n);
  sweep_queue(kTwoRuns, pop_n);
}

TEST(QueueAtEveryPoint, CloseKilled) {
  const QueueOperation<Q> close{.name = "close",
                                .closes = true,
                                .run = [](Q& q, Items, Out) -> std::size_t { return q.close(), 0; },
                                .cold = true};
  sweep_queue(kMiddle, close);
  sweep_queue(kDeadFirst, close);
}

}  // namespace
}  // namespace warren::test
