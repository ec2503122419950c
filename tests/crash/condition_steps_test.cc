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
  SweepOptions few = {};  // instructions, but under tools/soak.sh

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const ConditionCase& c, std::ostream* out) { *out << c.name(); }
};

// Items, whether anybody was told, and whether the mutex is held. Until it sleeps the way of a taker is always the
// same.
constexpr SweepOptions kFromItsSleepOn{.stride = 5, .all_of_last = 360};
const std::vector<ConditionCase> kCases{
    {kPutOne, kNobodyWaits, {"0", "0, held", "1, held", "1", "1, notified"}},
    {kPutOne, kOneTakes, {"0", "0, held", "1, held", "1"}},
    {kPutOne, kOneTakesTold, {"0", "0, held", "1, held", "1"}, {.stride = 2}},
    {kPutForAll, kOneTakes, {"0", "0, held", "1, held", "1"}, {.stride = 2}},
    {kNotifyAll, kOneTakes, {"0", "0, notified"}},
    {kTake, kNobodyWaits, {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held", "0, notified"}},
    {kTake, kOneTakesLater, {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held"}, kFromItsSleepOn},
    {kTake,
     kOneTakesLaterTold,
     {"0", "0, held", "1, notified", "1, notified, held", "0, notified, held"},
     kFromItsSleepOn},
    {kGiveUp, kNobodyWaits, {"0", "0, held"}, {.stride = 5}},
};

class ConditionKilled : public SweepTest<ConditionCase> {};
TEST_P(ConditionKilled, NobodySleepsBesideAnItem) {
  const ConditionCase& c = GetParam();
  expect_survived(kill_after_every_instruction(
                      c.name(), [&] { return make_condition_trial(c.state, c.operation); },
                      whole_product() ? SweepOptions{} : c.few),
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

const std::vector<ConditionCase> kHeldCases{{kPutOne, kNobodyWaits, {}},
                                            {kPutOne, kOneTakes, {}},
                                            {kPutForAll, kOneTakes, {}},
                                            {kNotifyAll, kOneTakes, {}},
                                            {kTake, kNobodyWaits, {}}};

class ConditionHeld : public SweepTest<ConditionCase> {};
TEST_P(ConditionHeld, WhoBeginsToWaitMeanwhileIsTold) {
  const ConditionCase& c = GetParam();
  expect_survived(pause_after_every_instruction(
                      c.name(), [&] { return make_condition_trial<WithoutSlices>(c.state, c.operation); }),
                  {});
}
INSTANTIATE_TEST_SUITE_P(, ConditionHeld, testing::ValuesIn(kHeldCases), kCaseName);

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

// Gives whoever was woken the time to fall asleep again.
class LetsThemSleep : public Impatient {
 public:
  using Impatient::Impatient;
  void interfere() override {
    (void)eventually([this] { return sleeps(bystanders_.front().pid()); }, patience_);
  }
};

TEST(ConditionControl, CountingAfterTheWakeIsFoundToStrand) {
  const auto make = [] { return make_condition_trial<LetsThemSleep>(kOneTakes, kCountLate); };
  expect_found(Fault::Kind::kHung, pause_after_every_instruction("control", make));
}

// Who is woken dies, and the others never look again.
TEST(ConditionControl, WaitingWithoutSlicesIsFoundToMissWhatADeadOneTookAlong) {
  const auto make = [] { return make_condition_trial<Impatient>(kOneTakesLaterTold, kTake); };
  expect_found(Fault::Kind::kHung, kill_after_every_instruction("control", make, {.stride = 24}));
}

}  // namespace
}  // namespace warren::test
