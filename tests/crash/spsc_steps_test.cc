// A process is killed after every single instruction of every operation of SpscQueue<T>, in the library as it is
// released.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "crash/spsc_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Asleep = SpscState::Asleep;

// The ring has four slots; after a lead of 3 or 6 the queue stands across its end.
constexpr SpscState kEmpty{.name = "empty"};
constexpr SpscState kMiddle{.name = "middle", .items = 2, .living_peer = true};
constexpr SpscState kFull{.name = "full", .items = 4};
constexpr SpscState kWrapped{.name = "wrapped", .lead = 6, .items = 1};
constexpr SpscState kWrappedTwo{.name = "wrapped_two", .lead = 3, .items = 2, .living_peer = true};
constexpr SpscState kWrappedFull{.name = "wrapped_full", .lead = 7, .items = 4};
constexpr SpscState kMidCommit{.name = "died_mid_commit", .lead = 3, .items = 1, .mid_commit = true};
constexpr SpscState kConsumerAsleep{.name = "consumer_asleep", .lead = 2, .asleep = Asleep::kConsumer};
constexpr SpscState kProducerAsleep{.name = "producer_asleep", .lead = 2, .items = 4, .asleep = Asleep::kProducer};

using Windows = std::vector<std::string>;
const Windows kPushed{"owned", "committing", "after"};
const Windows kRefused{"owned"};
const Windows kPopped{"owned", "taken"};
const Windows kFirstPushed{"before", "owned", "committing", "after"};
const Windows kFirstPopped{"before", "owned", "taken"};

template <class T>
std::size_t give(const std::optional<T>& item, std::span<T> out) {
  if (!item) return 0;
  out[0] = *item;
  return 1;
}

template <std::size_t N>
struct SpscCase {
  SpscOperation<Item<N>> operation;
  SpscState state;
  Windows windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const SpscCase& c, std::ostream* out) { *out << c.name(); }
};

template <std::size_t N>
std::vector<SpscCase<N>> spsc_cases() {
  using T = Item<N>;
  using Op = SpscOperation<T>;
  using Items = std::span<const T>;
  using Out = std::span<T>;
  using Q = SpscQueue<T>;
  const Op try_push{.name = "try_push", .pushes = 1, .run = [](Q& q, Items items, Out) -> std::size_t {
                      return q.try_push(items[0]);
                    }};
  const Op push{
      .name = "push", .pushes = 1, .run = [](Q& q, Items items, Out) -> std::size_t { return q.push(items[0]); }};
  const Op push_n{.name = "push_n", .pushes = 3, .run = [](Q& q, Items items, Out) { return q.push_n(items); }};
  const Op commit{.name = "prepare_commit", .pushes = 2, .run = [](Q& q, Items items, Out) -> std::size_t {
                    const std::span<T> place = q.prepare(items.size());
                    std::ranges::copy(items.first(place.size()), place.begin());
                    q.commit(place.size());
                    return place.size();
                  }};
  const Op try_pop{.name = "try_pop", .pops = 1, .run = [](Q& q, Items, Out out) { return give(q.try_pop(), out); }};
  const Op pop{.name = "pop", .pops = 1, .run = [](Q& q, Items, Out out) { return give(q.pop(), out); }};
  const Op pop_n{.name = "pop_n", .pops = 3, .run = [](Q& q, Items, Out out) { return q.pop_n(out.first(3)); }};
  const Op consume{.name = "peek_consume", .pops = 4, .run = [](Q& q, Items, Out out) -> std::size_t {
                     const std::span<const T> found = q.peek();
                     std::ranges::copy(found, out.begin());
                     q.consume(found.size());
                     return found.size();
                   }};
  const Op close{.name = "close", .run = [](Q& q, Items, Out) -> std::size_t { return q.close(), 0; }, .closes = true};
  Op first_push = try_push, first_pop = try_pop;
  first_push.name = "first_push";
  first_pop.name = "first_pop";
  first_push.cold = first_pop.cold = true;

  std::vector<SpscCase<N>> cases;
  const auto add = [&](const Op& operation, const Windows& windows, std::initializer_list<SpscState> states) {
    for (const SpscState& state : states) cases.push_back({.operation = operation, .state = state, .windows = windows});
  };
  add(try_push, kPushed, {kEmpty, kMiddle, kWrapped, kMidCommit, kConsumerAsleep});
  add(try_push, kRefused, {kFull, kWrappedFull});
  add(push, kPushed, {kMiddle, kFull, kWrappedFull});
  add(push_n, kPushed, {kEmpty, kMiddle, kWrapped, kWrappedTwo, kMidCommit, kConsumerAsleep});
  add(commit, kPushed, {kEmpty, kMiddle, kMidCommit, kConsumerAsleep});
  add(try_pop, kPopped, {kMiddle, kFull, kWrapped, kWrappedFull, kMidCommit, kProducerAsleep});
  add(try_pop, kRefused, {kEmpty});
  add(pop, kPopped, {kEmpty, kMiddle, kMidCommit});
  add(pop_n, kPopped, {kMiddle, kWrappedTwo, kWrappedFull, kProducerAsleep});
  add(consume, kPopped, {kMiddle, kWrappedTwo, kFull, kProducerAsleep});
  add(close, {"before", "closed"}, {kEmpty, kMiddle, kMidCommit});
  add(first_push, kFirstPushed, {kMidCommit});
  add(first_pop, kFirstPopped, {kWrapped});
  return cases;
}

// Ordinarily every instruction of every case with 8 bytes, and some of the rest; the whole product under tools/soak.sh.
enum class Dimension { kKilled, kKilledWide, kHeld, kHeldThenKilled };

template <std::size_t N>
std::vector<SpscCase<N>> chosen(Dimension dimension) {
  static const std::set<std::string> wide{"try_push_wrapped", "try_push_died_mid_commit", "try_pop_wrapped",
                                          "push_n_wrapped_two", "pop_n_wrapped_two"};
  static const std::set<std::string> held{"try_push_middle", "try_push_wrapped_full", "push_n_wrapped",
                                          "try_pop_full",    "pop_n_wrapped_two",     "close_middle"};
  static const std::set<std::string> both{"try_push_empty", "try_push_full", "try_pop_middle"};
  std::vector<SpscCase<N>> cases = spsc_cases<N>();
  std::erase_if(cases, [&](const SpscCase<N>& c) {
    if (dimension == Dimension::kHeldThenKilled) return !whole_product() || !both.contains(c.name());
    if (whole_product()) return false;
    return (dimension == Dimension::kKilledWide && !wide.contains(c.name())) ||
           (dimension == Dimension::kHeld && !held.contains(c.name()));
  });
  return cases;
}

// Ten thousand instructions, most of which read /proc: ordinarily not all of those.
template <std::size_t N>
SweepOptions options_for(const SpscCase<N>& c) {
  if (!c.operation.cold || whole_product()) return {};
  return {.stride = 41, .all_of_last = 300};
}

template <std::size_t N>
MakeTrial maker(const SpscCase<N>& c) {
  return [&c] { return std::make_unique<SpscTrial<N>>(c.state, c.operation); };
}

class SpscKilled8 : public SweepTest<SpscCase<1>> {};
TEST_P(SpscKilled8, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, SpscKilled8, testing::ValuesIn(chosen<1>(Dimension::kKilled)), kCaseName);

class SpscKilled64 : public SweepTest<SpscCase<8>> {};
TEST_P(SpscKilled64, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name() + "_64", maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, SpscKilled64, testing::ValuesIn(chosen<8>(Dimension::kKilledWide)), kCaseName);

// Held, not dead: however slow it is, nobody may undo what it is doing.
class SpscHeld8 : public SweepTest<SpscCase<1>> {};
TEST_P(SpscHeld8, NothingOfItsOwnIsLost) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, SpscHeld8, testing::ValuesIn(chosen<1>(Dimension::kHeld)), kCaseName);

class SpscHeldThenKilled8 : public SweepTest<SpscCase<1>> {};
TEST_P(SpscHeldThenKilled8, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(pause_then_kill(c.name() + "_held_then_killed", maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, SpscHeldThenKilled8, testing::ValuesIn(chosen<1>(Dimension::kHeldThenKilled)), kCaseName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SpscHeldThenKilled8);

}  // namespace
}  // namespace warren::test
