// A process is killed after, or held at, every single instruction of every operation of BoundedSemaphore, in the
// library as it is released. And three semaphores with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/bounded_semaphore_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct SemaphoreCase {
  BoundedOperation operation;
  BoundedState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const SemaphoreCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<SemaphoreCase> kCases{
    {kUse, kAllFree, {"free", "holds"}},
    {kUse, kOneIsDeads, {"some are the dead's", "holds"}},
    {kUse, kAllAreDeads, {"all are the dead's", "holds", "some are the dead's"}},
    {kBoundedAcquire, kAllAreDeads, {"all are the dead's", "holds"}},
    {kRelease, kAllFree, {"holds", "free"}},
};

MakeTrial maker(const SemaphoreCase& c) {
  return [&c] { return std::make_unique<BoundedTrial>(c.state, c.operation); };
}

class SemaphoreKilled : public SweepTest<SemaphoreCase> {};
TEST_P(SemaphoreKilled, AllPermitsComeBack) {
  const SemaphoreCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, SemaphoreKilled, testing::ValuesIn(kCases), kCaseName);

class SemaphoreHeld : public SweepTest<SemaphoreCase> {};
TEST_P(SemaphoreHeld, NoPermitOfTheLivingIsLost) {
  const SemaphoreCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, SemaphoreHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

layout::OwnedCell cell_of(detail::LaneRef lane) {
  return {.lane = lane.index, .generation = lane.generation, .note = 1, .owned = true};
}

// Looks, and then stores: two may get the same permit.
constexpr BoundedOperation kAcquireByStore{.name = "acquire_by_store", .run = [](BoundedTrial& t) {
                                             const detail::LaneRef me =
                                                 t.attachment().process_lane(t.attachment().seat());
                                             const std::uint32_t i = t.cell(0).load() >> 48 == 0 ? 0 : 1;
                                             t.cell(i).store(cell_of(me).word());
                                             t.release();
                                           }};

TEST(SemaphoreControl, AcquiringByStoreIsFoundToLose) {
  expect_found(Fault::Kind::kLost, pause_after_every_instruction("control", [] {
                 return std::make_unique<BoundedTrial>(kAllFree, kAcquireByStore);
               }));
}

// First a permit of nobody in particular, then its holder's name: it may die between the two.
constexpr BoundedOperation kNameAfterwards{.name = "name_afterwards", .run = [](BoundedTrial& t) {
                                             const detail::LaneRef me =
                                                 t.attachment().process_lane(t.attachment().seat());
                                             layout::OwnedCell first = cell_of(me);
                                             first.lane = 0;  // of the process that made the semaphore, which lives
                                             first.generation = 0;
                                             t.cell(0).store(first.word());
                                             t.cell(0).store(cell_of(me).word());
                                           }};

TEST(SemaphoreControl, NamingTheHolderAfterwardsIsFoundToLosePermits) {
  expect_found(Fault::Kind::kHung, kill_after_every_instruction("control", [] {
                 return std::make_unique<BoundedTrial>(kAllFree, kNameAfterwards, 20ms);
               }));
}

// Takes back what one has had for long, dead or not.
class TakesPermitsFromTheLiving : public BoundedTrial {
 public:
  using BoundedTrial::BoundedTrial;
  void interfere() override {
    for (std::uint32_t i = 0; i < kPermits; ++i) cell(i).store(0);
    BoundedTrial::interfere();
  }
};

TEST(SemaphoreControl, TakingPermitsFromTheLivingIsFound) {
  expect_found(Fault::Kind::kLost, pause_after_every_instruction("control", [] {
                 return std::make_unique<TakesPermitsFromTheLiving>(kAllFree, kUse);
               }));
}

}  // namespace
}  // namespace warren::test
