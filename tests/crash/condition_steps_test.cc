// A process is killed after, or held at, every single instruction of every operation of Condition, in the library as it
// is released. And two conditions with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/condition_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct ConditionCase {
  ConditionOperation operation;
  ConditionState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const ConditionCase& c, std::ostream* out) { *out << c.name(); }
};

// Items, whether anybody was told, and whether the mutex is held.
const std::vector<ConditionCase> kCases{
    {kPutOne, kNobodyWaits, {"0", "0, held", "1, held", "1", "1, notified"}},
    {kPutOne, kOneTakes, {"0", "0, held", "1, held", "1"}},
    {kPutOne, kOneTakesTold, {"0", "0, held", "1, held", "1"}},
    {kPutForAll, kOneTakes, {"0", "0, held", "1, held", "1"}},
    {kNotifyAll, kOneTakes, {"0", "0, notified"}},
    {kTake, kNobodyWaits, {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held", "0, notified"}},
    {kTake, kOneTakesLater, {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held"}},
    {kTake, kOneTakesLaterTold, {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held"}},
    {kGiveUp, kNobodyWaits, {"0", "0, held"}},
};

class ConditionKilled : public SweepTest<ConditionCase> {};
TEST_P(ConditionKilled, NobodySleepsBesideAnItem) {
  const ConditionCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), [&] { return make_condition_trial(c.state, c.operation); }),
                  c.windows);
}
INSTANTIATE_TEST_SUITE_P(, ConditionKilled, testing::ValuesIn(kCases), kCaseName);

// Nobody dies, so nobody needs a slice.
class WithoutSlices : public ConditionTrial {
 public:
  WithoutSlices(const ConditionState& state, const ConditionOperation& operation) : ConditionTrial(state, operation) {
    bystander_slice_ = kNoSlices;
  }
};

class ConditionHeld : public SweepTest<ConditionCase> {};
TEST_P(ConditionHeld, WhoBeginsToWaitMeanwhileIsTold) {
  const ConditionCase& c = GetParam();
  expect_survived(pause_after_every_instruction(
                      c.name(), [&] { return make_condition_trial<WithoutSlices>(c.state, c.operation); }),
                  {});
}
INSTANTIATE_TEST_SUITE_P(, ConditionHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

class Impatient : public WithoutSlices {
 public:
  Impatient(const ConditionState& state, const ConditionOperation& operation) : WithoutSlices(state, operation) {
    patience_ = 100ms;
  }
};

// Wakes before it counts: who was woken finds that nothing was counted.
constexpr ConditionOperation kCountLate{.name = "count_late",
                                        .run =
                                            [](ConditionTrial& t) {
                                              t.put();
                                              detail::notify(t.words().waiters,
                                                             Reach::attachment(t.condition()).wait_mode(), 1);
                                              t.words().notified.fetch_add(1);
                                            },
                                        .puts = 1};

TEST(ConditionControl, CountingAfterTheWakeIsFoundToStrand) {
  const auto make = [] { return make_condition_trial<Impatient>(kNobodyWaits, kCountLate); };
  expect_found(Fault::Kind::kHung, pause_after_every_instruction("control", make));
}

// Who is woken dies, and the others never look again.
TEST(ConditionControl, WaitingWithoutSlicesIsFoundToMissWhatADeadOneTookAlong) {
  const auto make = [] { return make_condition_trial<Impatient>(kOneTakesLaterTold, kTake); };
  expect_found(Fault::Kind::kHung, kill_after_every_instruction("control", make, {.stride = 12}));
}

}  // namespace
}  // namespace warren::test
