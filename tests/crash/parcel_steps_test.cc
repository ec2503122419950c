// A process is killed, or held, after every single instruction of a push or pop whose item travels in a block.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "crash/broken_parcels.h"
#include "crash/parcel_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using T = Parcelled;
using Windows = std::vector<std::string>;

constexpr QueueState kEmpty{.name = "empty"};
constexpr QueueState kMiddle{.name = "middle", .items = 2};
constexpr QueueState kFull{.name = "full", .items = 4};
constexpr QueueState kWrapped{.name = "wrapped", .lead = 6, .items = 1};
constexpr QueueState kDeadFirst{.name = "dead_first", .lead = 3, .dead_first = true, .items = 2};

// Without a bound, in chunks of two slots: the next push needs one that was left; the next pop leaves one.
constexpr QueueState kNextRun{.name = "next_run", .lead = 2, .unbounded = true};
constexpr QueueState kEndOfRun{.name = "end_of_run", .lead = 1, .items = 1, .unbounded = true};
constexpr QueueState kDeadInRun{.name = "dead_in_run", .lead = 1, .dead_first = true, .items = 2, .unbounded = true};

template <class Q>
std::size_t push_one_of(Q& q, std::span<const T> items, std::span<T>) {
  return q.try_push(items[0]);
}
template <class Q>
std::size_t pop_one_of(Q& q, std::span<const T>, std::span<T> out) {
  const std::optional<T> item = q.try_pop();
  if (item) out[0] = *item;
  return item.has_value();
}
std::size_t push_loan(Queue<T>& q, std::span<const T> items, std::span<T>) {
  Loan<T> loan = q.try_loan();
  if (!loan) return 0;
  *loan = items[0];
  return q.push(std::move(loan));
}
std::size_t pop_borrow(Queue<T>& q, std::span<const T>, std::span<T> out) {
  const Borrow<T> item = q.try_borrow();
  if (item) out[0] = *item;
  return static_cast<bool>(item);
}

template <class Q = Queue<T>>
inline constexpr QueueOperation<Q> kPush{.name = "try_push", .pushes = 1, .run = push_one_of<Q>};
template <class Q = Queue<T>>
inline constexpr QueueOperation<Q> kPop{.name = "try_pop", .pops = 1, .run = pop_one_of<Q>};
constexpr QueueOperation<Queue<T>> kLoan{.name = "loan", .pushes = 1, .run = push_loan};
constexpr QueueOperation<Queue<T>> kBorrow{.name = "borrow", .pops = 1, .run = pop_borrow};
constexpr QueueOperation<Queue<T>> kPopN{
    .name = "pop_n", .pops = 3, .run = [](Queue<T>& q, std::span<const T>, std::span<T> out) {
      return q.pop_n(out.first(3));
    }};

struct ParcelCase {
  QueueOperation<Queue<T>> operation;
  QueueState state;
  Windows windows;
  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const ParcelCase& c, std::ostream* out) { *out << c.name(); }
};

const Windows kPushed{"before", "before+block", "announced+block", "claimed+block", "claimed", "committed", "after"};
const Windows kPopped{"before", "taken+item's", "taken+block", "taken"};
const Windows kPushedIntoNewRun{
    "before+block", "chunk claimed+block", "entered+block", "announced+block", "claimed+block",
    "claimed",      "committed",           "after"};

std::vector<ParcelCase> cases(bool held) {
  std::vector<ParcelCase> all{
      {kPush<>, kMiddle, kPushed},         {kPush<>, kWrapped, kPushed},
      {kLoan, kWrapped, kPushed},          {kPop<>, kWrapped, kPopped},
      {kBorrow, kFull, kPopped},           {kPop<>, kDeadFirst, {"buried", "taken+item's", "taken+block"}},
      {kPush<>, kFull, {"before"}},        {kPopN, kFull, kPopped},
      {kPush<>, kEmpty, {"before+block"}},
  };
  if (!held && !whole_product()) all.erase(all.begin());  // as the next one
  if (held && !whole_product()) all = {all[1], all[3]};
  all.push_back({kPush<>, kNextRun, kPushedIntoNewRun});
  all.push_back({kPop<>, kEndOfRun, kPopped});
  if (!held) all.push_back({kPop<>, kDeadInRun, {"buried", "taken+item's", "taken+block"}});
  return all;
}

// Those that are long beside others that step through the same.
SweepOptions options_for(const ParcelCase& c) {
  if (whole_product() || (c.operation.pops <= 1 && !c.state.dead_first && c.state.items + c.state.lead != 0)) return {};
  return {.stride = 5};
}

MakeTrial maker(const ParcelCase& c) {
  return [&c] { return std::make_unique<ParcelTrial<>>(c.state, c.operation); };
}

class ParcelKilled : public SweepTest<ParcelCase> {};
TEST_P(ParcelKilled, NeitherItemNorBlockIsLost) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, ParcelKilled, testing::ValuesIn(cases(false)), kCaseName);

// Held, not dead: others reclaim meanwhile, and may not take what is its.
class ParcelHeld : public SweepTest<ParcelCase> {};
TEST_P(ParcelHeld, NothingOfItsOwnIsTaken) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, ParcelHeld, testing::ValuesIn(cases(true)), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

class ParcelControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
  template <class Q>
  static MakeTrial trial(const QueueOperation<Q>& operation) {
    return
        [&operation] { return std::make_unique<ParcelTrial<Q>>(kWrapped, operation, std::chrono::milliseconds(20)); };
  }
  static void expect_found(const Coverage& coverage, Fault::Kind kind) {
    std::cout << coverage << "\n" << coverage.complaints();
    EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
  }
};

TEST_F(ParcelControl, TakesWithoutAWordAreFoundToLoseItems) {
  expect_found(pause_after_every_instruction("unannounced take", trial(kPop<TakesUnannounced>)), Fault::Kind::kLost);
}

TEST_F(ParcelControl, AnItemThatGetsItsBlockAfterTheCommitIsFoundToBeLost) {
  expect_found(pause_after_every_instruction("late hand-over", trial(kPush<HandsOverTooLate>)), Fault::Kind::kLost);
}

TEST_F(ParcelControl, BlocksWithoutAnOwnerWhoCanDieAreFoundToBeLeft) {
  expect_found(kill_after_every_instruction("nobody's block", trial(kPush<OwnsAsTheItem>)), Fault::Kind::kLeft);
}

}  // namespace
}  // namespace warren::test
