// A process is killed, or held, after every single instruction of a lease, its end, and the recovery of a dead one's.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "crash/broken_leases.h"
#include "crash/lease_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Dead = LeaseState::Dead;
using Windows = std::vector<std::string>;
constexpr std::size_t kParcel = 36;  // words: more than a slot takes

constexpr LeaseState kItems{.name = "items", .lead = 6, .items = 2};
constexpr LeaseState kReturned{.name = "returned", .lead = 3, .items = 1, .returned = true};
constexpr LeaseState kDeadHolder{.name = "dead_holder", .lead = 2, .dead = Dead::kHolder};
constexpr LeaseState kDeadNamed{.name = "dead_named", .lead = 2, .items = 1, .dead = Dead::kNamed};
constexpr LeaseState kDeadNamedAlone{.name = "dead_named_alone", .lead = 2, .dead = Dead::kNamed};
constexpr LeaseState kDeadClaimant{.name = "dead_claimant", .lead = 2, .items = 1, .dead = Dead::kClaimant};
constexpr LeaseState kEndOfRun{.name = "end_of_run", .lead = 1, .items = 1, .unbounded = true};

template <std::size_t N>
bool lease_and_ack(Queue<Item<N>>& q, Item<N>& out) {
  auto lease = q.try_lease();
  if (!lease) return false;
  out = *lease;
  lease.ack();
  return true;
}
template <std::size_t N>
bool lease_and_drop(Queue<Item<N>>& q, Item<N>&) {
  auto lease = q.try_lease();
  return false;
}
template <std::size_t N>
bool pop(Queue<Item<N>>& q, Item<N>& out) {
  const std::optional<Item<N>> item = q.try_pop();
  if (item) out = *item;
  return item.has_value();
}
// The lease finds head marked, and nothing there.
template <std::size_t N>
bool pop_and_drop(Queue<Item<N>>& q, Item<N>& out) {
  const bool popped = pop(q, out);
  auto lease = q.try_lease();
  return popped;
}
template <std::size_t N>
bool pop_n(Queue<Item<N>>& q, Item<N>& out) {
  return q.try_pop_n(std::span(&out, 1)) != 0;
}

template <std::size_t N>
constexpr LeaseOperation<Queue<Item<N>>> kAck{.name = "lease_and_ack", .run = lease_and_ack<N>};
template <std::size_t N>
constexpr LeaseOperation<Queue<Item<N>>> kDrop{.name = "lease_and_drop", .takes = false, .run = lease_and_drop<N>};
template <std::size_t N>
constexpr LeaseOperation<Queue<Item<N>>> kPop{.name = "pop", .run = pop<N>};
template <std::size_t N>
constexpr LeaseOperation<Queue<Item<N>>> kPopAndDrop{.name = "pop_and_drop", .run = pop_and_drop<N>};
template <std::size_t N>
constexpr LeaseOperation<Queue<Item<N>>> kPopN{.name = "pop_n", .run = pop_n<N>};

template <std::size_t N>
struct LeaseCase {
  LeaseOperation<Queue<Item<N>>> operation;
  LeaseState state;
  Windows windows;
  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const LeaseCase& c, std::ostream* out) { *out << c.name(); }
};

template <std::size_t N>
std::vector<LeaseCase<N>> cases() {
  return {
      {kAck<N>, kItems, {"before", "claimed", "named", "confirmed", "held", "gone"}},
      {kDrop<N>, kItems, {"before", "claimed", "named", "confirmed", "held", "unmarked", "returned"}},
      {kAck<N>, kReturned, {"returned", "held", "gone"}},
      {kDrop<N>, kReturned, {"returned", "held"}},
      {kPop<N>, kReturned, {"returned", "gone"}},
      {kPopN<N>, kReturned, {"returned", "gone"}},
      {kPop<N>, kDeadHolder, {"dead's", "unmarked", "returned", "gone"}},
      {kAck<N>, kDeadHolder, {"dead's", "unmarked", "returned", "held", "gone"}},
      {kPop<N>, kDeadNamed, {"before", "dead's", "gone"}},
      {kPop<N>, kDeadNamedAlone, {"before", "dead's", "unmarked", "returned", "gone"}},
      {kAck<N>, kDeadClaimant, {"claimed", "held", "gone"}},
  };
}
std::vector<LeaseCase<8>> slot_cases() {
  auto all = cases<8>();
  all.push_back({kAck<8>, kEndOfRun, {"named", "held", "gone"}});
  all.push_back({kPopAndDrop<8>, kReturned, {"returned", "gone"}});
  return all;
}
template <std::size_t N>
std::vector<LeaseCase<N>> few(std::vector<LeaseCase<N>> all, std::vector<std::size_t> which) {
  if (whole_product()) return all;
  std::vector<LeaseCase<N>> some;
  for (const std::size_t i : which) some.push_back(all[i]);
  return some;
}

// Ordinarily every instruction of the cases whose steps no other has.
template <std::size_t N>
SweepOptions options_for(const LeaseCase<N>& c) {
  static const std::set<std::string> all{"lease_and_ack_items", "pop_returned",         "pop_dead_holder",
                                         "pop_dead_named",      "pop_dead_named_alone", "pop_and_drop_returned"};
  return {.stride = whole_product() || (N == 8 && all.contains(c.name())) ? 1u : 5u};
}

template <std::size_t N>
MakeTrial maker(const LeaseCase<N>& c) {
  return [&c] { return std::make_unique<LeaseTrial<N>>(c.state, c.operation); };
}

class LeaseKilled : public SweepTest<LeaseCase<8>> {};
TEST_P(LeaseKilled, SurvivorsGetWhatIsNotAcknowledged) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, LeaseKilled, testing::ValuesIn(slot_cases()), kCaseName);

class LeaseOfABlockKilled : public SweepTest<LeaseCase<kParcel>> {};
TEST_P(LeaseOfABlockKilled, NeitherItemNorBlockIsLost) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name() + "_block", maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, LeaseOfABlockKilled, testing::ValuesIn(few(cases<kParcel>(), {0, 4})), kCaseName);

// Held, not dead: others take, return and sweep meanwhile, and may not take what is its.
class LeaseHeld : public SweepTest<LeaseCase<8>> {};
TEST_P(LeaseHeld, NothingOfItsOwnIsTaken) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, LeaseHeld, testing::ValuesIn(few(slot_cases(), {0, 1, 2, 4, 9})), kCaseName);

class LeaseOfABlockHeld : public SweepTest<LeaseCase<kParcel>> {};
TEST_P(LeaseOfABlockHeld, NothingOfItsOwnIsTaken) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_block_held", maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, LeaseOfABlockHeld, testing::ValuesIn(few(cases<kParcel>(), {0})), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

class LeaseControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
  template <class Q>
  static MakeTrial trial(const LeaseState& state, const LeaseOperation<Q>& operation) {
    return [&state, operation] {
      return std::make_unique<LeaseTrial<kLeased, Q>>(state, operation, std::chrono::milliseconds(20));
    };
  }
  static void expect_found(const Coverage& coverage, Fault::Kind kind) {
    std::cout << coverage << "\n" << coverage.complaints();
    EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
  }
};

TEST_F(LeaseControl, ATakingThatNamesNobodyIsFoundToLoseItems) {
  const LeaseOperation<NamesNobody> lease{
      .name = "lease", .takes = false, .run = [](NamesNobody& q, NamesNobody::T&) { return q.take(), false; }};
  expect_found(kill_after_every_instruction("names nobody", trial(kItems, lease), {.stride = 5}), Fault::Kind::kLost);
}

TEST_F(LeaseControl, ConsumersThatConfirmNobodyAreFoundToLoseItems) {
  const LeaseOperation<ConfirmsNobody> drop{
      .name = "lease", .takes = false, .run = [](ConfirmsNobody& q, ConfirmsNobody::T&) {
        auto lease = q.try_lease();
        return false;
      }};
  expect_found(kill_after_every_instruction("confirms nobody", trial(kItems, drop), {.stride = 5}), Fault::Kind::kLost);
}

TEST_F(LeaseControl, WhatCameBackAndIsTakenByAStoreIsFoundToBeDoubled) {
  const LeaseOperation<TakesBackByStore> pop{.name = "pop", .run = [](TakesBackByStore& q, TakesBackByStore::T& out) {
                                               const auto item = q.try_pop();
                                               if (item) out = *item;
                                               return item.has_value();
                                             }};
  expect_found(pause_after_every_instruction("takes back by store", trial(kReturned, pop)), Fault::Kind::kDoubled);
}

}  // namespace
}  // namespace warren::test
