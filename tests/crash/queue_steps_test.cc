// A process is killed after every single instruction of every operation of Queue<T>, in the library as it is released.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "crash/queue_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Asleep = QueueState::Asleep;

// The ring has four slots; after a lead of 6 the queue stands across its end.
constexpr QueueState kEmpty{.name = "empty"};
constexpr QueueState kMiddle{.name = "middle", .items = 2};
constexpr QueueState kFull{.name = "full", .items = 4};
constexpr QueueState kWrapped{.name = "wrapped", .lead = 6, .items = 1};
constexpr QueueState kWrappedFull{.name = "wrapped_full", .lead = 7, .items = 4};
constexpr QueueState kDeadFirst{.name = "dead_first", .lead = 3, .dead_first = true, .items = 2};
constexpr QueueState kDeadAlone{.name = "dead_alone", .lead = 5, .dead_first = true};
constexpr QueueState kDeadLast{.name = "dead_last", .lead = 2, .items = 2, .dead_last = true};
constexpr QueueState kFullOfDead{.name = "full_of_dead", .lead = 1, .dead_first = true, .items = 2, .dead_last = true};
constexpr QueueState kConsumerAsleep{.name = "consumer_asleep", .lead = 2, .asleep = Asleep::kConsumer};
constexpr QueueState kProducerAsleep{.name = "producer_asleep", .lead = 2, .items = 4, .asleep = Asleep::kProducer};

using Windows = std::vector<std::string>;
const Windows kPushed{"before", "announced", "claimed", "committed", "after"};
const Windows kRefused{"before"};
const Windows kPopped{"before", "taken"};
const Windows kBuriedAndPopped{"before", "buried", "passed", "taken"};
const Windows kBuried{"before", "buried", "passed"};

template <class T>
std::size_t give(const std::optional<T>& item, std::span<T> out) {
  if (!item) return 0;
  out[0] = *item;
  return 1;
}

template <std::size_t N>
struct QueueCase {
  using T = Item<N>;
  QueueOperation<Queue<T>> operation;
  QueueState state;
  Windows windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const QueueCase& c, std::ostream* out) { *out << c.name(); }
};

template <std::size_t N>
std::vector<QueueCase<N>> queue_cases() {
  using T = Item<N>;
  using Op = QueueOperation<Queue<T>>;
  using Items = std::span<const T>;
  using Out = std::span<T>;
  const Op try_push{.name = "try_push", .pushes = 1, .run = [](Queue<T>& q, Items items, Out) -> std::size_t {
                      return q.try_push(items[0]);
                    }};
  const Op push{.name = "push", .pushes = 1, .run = [](Queue<T>& q, Items items, Out) -> std::size_t {
                  return q.push(items[0]);
                }};
  const Op push_n{.name = "push_n", .pushes = 3, .run = [](Queue<T>& q, Items items, Out) { return q.push_n(items); }};
  const Op try_pop{.name = "try_pop", .pops = 1, .run = [](Queue<T>& q, Items, Out out) { return give(q.try_pop(), out); }};
  const Op pop{.name = "pop", .pops = 1, .run = [](Queue<T>& q, Items, Out out) { return give(q.pop(), out); }};
  const Op pop_n{.name = "pop_n", .pops = 3, .run = [](Queue<T>& q, Items, Out out) { return q.pop_n(out.first(3)); }};
  const Op close{.name = "close", .closes = true, .run = [](Queue<T>& q, Items, Out) -> std::size_t { return q.close(), 0; }};
  Op first_push = try_push, first_pop = try_pop;
  first_push.name = "first_push";
  first_pop.name = "first_pop";
  first_push.cold = first_pop.cold = true;

  std::vector<QueueCase<N>> cases;
  const auto add = [&](const Op& operation, const Windows& windows, std::initializer_list<QueueState> states) {
    for (const QueueState& state : states) cases.push_back({.operation = operation, .state = state, .windows = windows});
  };
  add(try_push, kPushed, {kEmpty, kMiddle, kWrapped, kDeadFirst, kDeadAlone, kDeadLast, kConsumerAsleep});
  add(try_push, kRefused, {kFull, kWrappedFull, kFullOfDead});
  add(push, kPushed, {kMiddle, kFull, kWrappedFull, kFullOfDead});
  add(push_n, kPushed, {kEmpty, kMiddle, kFull, kWrapped, kDeadLast, kConsumerAsleep});
  add(try_pop, kPopped, {kMiddle, kFull, kWrapped, kWrappedFull, kDeadLast, kProducerAsleep});
  add(try_pop, kBuriedAndPopped, {kDeadFirst, kFullOfDead});
  add(try_pop, kBuried, {kDeadAlone});
  add(try_pop, {"before"}, {kEmpty});
  add(pop, kPopped, {kEmpty, kMiddle, kWrapped, kProducerAsleep});
  add(pop, kBuriedAndPopped, {kDeadFirst, kDeadAlone});
  add(pop_n, kPopped, {kEmpty, kMiddle, kFull, kWrapped, kDeadLast, kProducerAsleep});
  add(pop_n, kBuriedAndPopped, {kDeadFirst});
  add(close, {"before", "closed"}, {kEmpty, kMiddle, kFull, kDeadFirst, kDeadLast});
  add(first_push, kPushed, {kMiddle});
  add(first_pop, kPopped, {kMiddle});
  return cases;
}

template <std::size_t N>
MakeTrial maker(const QueueCase<N>& c) {
  return [&c] { return std::make_unique<QueueTrial<N>>(c.state, c.operation); };
}

class QueueKilled8 : public testing::TestWithParam<QueueCase<1>> {};
class QueueKilled64 : public testing::TestWithParam<QueueCase<8>> {};
class QueueHeld8 : public testing::TestWithParam<QueueCase<1>> {};

const auto case_name = [](const auto& info) { return info.param.name(); };

TEST_P(QueueKilled8, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, QueueKilled8, testing::ValuesIn(queue_cases<1>()), case_name);

TEST_P(QueueKilled64, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, QueueKilled64, testing::ValuesIn(queue_cases<8>()), case_name);

TEST_P(QueueHeld8, NothingOfItsOwnIsLost) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, QueueHeld8, testing::ValuesIn(queue_cases<1>()), case_name);

}  // namespace
}  // namespace warren::test
