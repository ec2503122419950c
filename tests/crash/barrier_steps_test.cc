// A process is killed after, or held at, every single instruction of every operation of Barrier, in the library as it
// is released. And two barriers with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/barrier_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct BarrierCase {
  BarrierOperation operation;
  std::vector<std::string> windows;
  bool looks_for_dead = false;  // in /proc: tens of thousands of instructions, ordinarily not all of those

  [[nodiscard]] std::string name() const { return operation.name; }
  [[nodiscard]] SweepOptions options() const {
    if (!looks_for_dead || whole_product()) return {};
    return {.stride = 97, .all_of_last = 200};
  }
  friend void PrintTo(const BarrierCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<BarrierCase> kCases{
    {kArriveLast, {"not arrived", "completed"}}, {kArriveFirst, {"not arrived", "arrived"}},
    {kTimeOut, {"arrived", "broken"}, true},     {kAbort, {"not arrived", "broken"}},
    {kReset, {"not arrived", "reset"}, true},    {kResetBroken, {"broken", "reset"}, true},
};

MakeTrial maker(const BarrierCase& c) {
  return [&c] { return std::make_unique<BarrierTrial>(c.operation); };
}

class BarrierKilled : public SweepTest<BarrierCase> {};
TEST_P(BarrierKilled, EverybodyIsThroughOrTold) {
  const BarrierCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), c.options()), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, BarrierKilled, testing::ValuesIn(kCases), kCaseName);

// Not the one who resets what somebody else has broken meanwhile: both are right.
const std::vector<BarrierCase> kHeld{kCases[0], kCases[2], kCases[3]};

class BarrierHeld : public SweepTest<BarrierCase> {};
TEST_P(BarrierHeld, AllOrNoneAreThrough) {
  const BarrierCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c), c.options()), {});
}
INSTANTIATE_TEST_SUITE_P(, BarrierHeld, testing::ValuesIn(kHeld), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

// Completes by a store, whatever has become of the barrier since it looked.
constexpr BarrierOperation kCompleteByStore{.name = "complete_by_store", .run = [](BarrierTrial& t) {
                                              const auto state = layout::BarrierState::from(t.words().state.load());
                                              if (state.broken != layout::BarrierState::Broken::kNo)
                                                return t.arrive(0ms);
                                              t.words().state.store(state.after(true).word());
                                              t.passed(state.value);
                                              detail::wake(t.words().waiters, detail::kWakeAll);
                                            }};

// Whether the bystander gives up within the window that stands open is a matter of time: it is given a few turns.
TEST(BarrierControl, CompletingByStoreIsFoundToTear) {
  Coverage coverage;
  for (int turn = 0; turn < 20 && !coverage.faults.contains(Fault::Kind::kTorn); ++turn) {
    coverage =
        pause_after_every_instruction("control", [] { return std::make_unique<BarrierTrial>(kCompleteByStore); });
  }
  expect_found(Fault::Kind::kTorn, coverage);
}

// A party that nobody knows of.
class Unannounced : public BarrierTrial {
 public:
  Unannounced() : BarrierTrial(kArriveLast, 20ms) {}
  void warm() override { (void)Reach::attachment(barrier()).seat(); }
};

TEST(BarrierControl, DyingUnannouncedIsFoundToHang) {
  expect_found(Fault::Kind::kHung,
               kill_after_every_instruction("control", [] { return std::make_unique<Unannounced>(); }));
}

}  // namespace
}  // namespace warren::test
