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

  [[nodiscard]] std::string name() const { return operation.name; }
  friend void PrintTo(const BarrierCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<BarrierCase> kCases{
    {kArriveLast, {"not arrived", "completed"}},
    {kArriveFirst, {"not arrived", "arrived"}},
    {kTimeOut, {"not arrived", "arrived", "broken"}},
    {kAbort, {"not arrived", "broken"}},
    {kReset, {"not arrived", "reset"}},
    {kResetBroken, {"broken", "reset"}},
};

MakeTrial maker(const BarrierCase& c) {
  return [&c] { return std::make_unique<BarrierTrial>(c.operation); };
}

class BarrierKilled : public SweepTest<BarrierCase> {};
TEST_P(BarrierKilled, EverybodyIsThroughOrTold) {
  const BarrierCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, BarrierKilled, testing::ValuesIn(kCases), kCaseName);

// Not the one who resets what somebody else has broken meanwhile: both are right.
const std::vector<BarrierCase> kHeld{kCases[0], kCases[2], kCases[3]};

class BarrierHeld : public SweepTest<BarrierCase> {};
TEST_P(BarrierHeld, AllOrNoneAreThrough) {
  const BarrierCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
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

TEST(BarrierControl, CompletingByStoreIsFoundToTear) {
  expect_found(Fault::Kind::kTorn, pause_after_every_instruction(
                                       "control", [] { return std::make_unique<BarrierTrial>(kCompleteByStore); }));
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
