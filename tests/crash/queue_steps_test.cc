// A process is killed after every single instruction of every operation of Queue<T>, in the library as it is released.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
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
// Chunks of two slots: the next push needs one that was left; the next pop leaves one.
constexpr QueueState kNextRun{.name = "next_run", .lead = 2, .unbounded = true};
constexpr QueueState kEndOfRun{.name = "end_of_run", .lead = 1, .items = 1, .unbounded = true};
constexpr QueueState kTwoRuns{.name = "two_runs", .lead = 1, .items = 3, .unbounded = true};
constexpr QueueState kDeadInRun{.name = "dead_in_run", .lead = 1, .dead_first = true, .items = 2, .unbounded = true};
constexpr QueueState kConsumerAsleep{.name = "consumer_asleep", .lead = 2, .asleep = Asleep::kConsumer};
constexpr QueueState kProducerAsleep{.name = "producer_asleep", .lead = 2, .items = 4, .asleep = Asleep::kProducer};

using Windows = std::vector<std::string>;
const Windows kPushed{"before", "announced", "claimed", "committed", "after"};
const Windows kPushedIntoNewRun{"before", "chunk claimed", "entered", "announced", "claimed", "committed", "after"};
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
  const Op try_pop{
      .name = "try_pop", .pops = 1, .run = [](Queue<T>& q, Items, Out out) { return give(q.try_pop(), out); }};
  const Op pop{.name = "pop", .pops = 1, .run = [](Queue<T>& q, Items, Out out) { return give(q.pop(), out); }};
  const Op pop_n{.name = "pop_n", .pops = 3, .run = [](Queue<T>& q, Items, Out out) { return q.pop_n(out.first(3)); }};
  const Op close{
      .name = "close", .closes = true, .run = [](Queue<T>& q, Items, Out) -> std::size_t { return q.close(), 0; }};
  Op first_push = try_push, first_pop = try_pop;
  first_push.name = "first_push";
  first_pop.name = "first_pop";
  first_push.cold = first_pop.cold = true;

  std::vector<QueueCase<N>> cases;
  const auto add = [&](const Op& operation, const Windows& windows, std::initializer_list<QueueState> states) {
    for (const QueueState& state : states)
      cases.push_back({.operation = operation, .state = state, .windows = windows});
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
  add(try_push, kPushedIntoNewRun, {kNextRun});
  if (whole_product()) add(push_n, kPushed, {kEndOfRun});  // needs one more chunk, and asks /proc/meminfo first
  add(try_pop, kPopped, {kEndOfRun, kTwoRuns});
  add(try_pop, kBuriedAndPopped, {kDeadInRun});
  add(pop_n, kPopped, {kTwoRuns});
  add(close, {"before", "closed"}, {kEmpty, kMiddle, kFull, kDeadFirst, kDeadLast});
  add(first_push, kPushed, {kMiddle});
  add(first_pop, kPopped, {kMiddle});
  return cases;
}

// Ordinarily every instruction of every case with 8 bytes, and some of the rest; the whole product under tools/soak.sh.
enum class Dimension { kKilled, kKilledWide, kHeld, kHeldThenKilled };

template <std::size_t N>
std::vector<QueueCase<N>> chosen(Dimension dimension) {
  static const std::set<std::string> wide{"try_push_wrapped",   "try_push_dead_first", "try_pop_wrapped",
                                          "try_pop_dead_first", "push_n_wrapped",      "pop_n_full"};
  static const std::set<std::string> held{
      "try_push_empty",     "try_push_wrapped_full", "try_push_dead_first", "push_n_wrapped", "try_pop_full",
      "try_pop_dead_first", "try_push_next_run",     "try_pop_end_of_run",  "pop_n_two_runs", "close_middle"};
  static const std::set<std::string> both{"try_push_empty", "try_push_full", "try_push_dead_first", "try_pop_middle"};
  std::vector<QueueCase<N>> cases = queue_cases<N>();
  std::erase_if(cases, [&](const QueueCase<N>& c) {
    if (dimension == Dimension::kHeldThenKilled) return !whole_product() || !both.contains(c.name());
    if (whole_product()) return false;
    return (dimension == Dimension::kKilledWide && !wide.contains(c.name())) ||
           (dimension == Dimension::kHeld && !held.contains(c.name()));
  });
  return cases;
}

// Ten thousand instructions, most of which read /proc: ordinarily not all of those.
template <std::size_t N>
SweepOptions options_for(const QueueCase<N>& c) {
  if (!c.operation.cold || whole_product()) return {};
  return {.stride = 41, .all_of_last = 300};
}

template <std::size_t N>
MakeTrial maker(const QueueCase<N>& c) {
  return [&c] { return std::make_unique<QueueTrial<N>>(c.state, c.operation); };
}

class QueueKilled8 : public SweepTest<QueueCase<1>> {};
TEST_P(QueueKilled8, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, QueueKilled8, testing::ValuesIn(chosen<1>(Dimension::kKilled)), kCaseName);

class QueueKilled64 : public SweepTest<QueueCase<8>> {};
TEST_P(QueueKilled64, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name() + "_64", maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, QueueKilled64, testing::ValuesIn(chosen<8>(Dimension::kKilledWide)), kCaseName);

// Held, not dead: however slow it is, nobody may undo what it is doing.
class QueueHeld8 : public SweepTest<QueueCase<1>> {};
TEST_P(QueueHeld8, NothingOfItsOwnIsLost) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, QueueHeld8, testing::ValuesIn(chosen<1>(Dimension::kHeld)), kCaseName);

class QueueHeldThenKilled8 : public SweepTest<QueueCase<1>> {};
TEST_P(QueueHeldThenKilled8, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(pause_then_kill(c.name() + "_held_then_killed", maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, QueueHeldThenKilled8, testing::ValuesIn(chosen<1>(Dimension::kHeldThenKilled)), kCaseName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(QueueHeldThenKilled8);

}  // namespace
}  // namespace warren::test
