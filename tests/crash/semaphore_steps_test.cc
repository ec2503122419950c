// A process is killed after, or held at, every single instruction of every operation of Semaphore, in the library as it
// is released. And three semaphores with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/semaphore_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct SemaphoreCase {
  SemaphoreOperation operation;
  SemaphoreState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const SemaphoreCase& c, std::ostream* out) { *out << c.name(); }
};

// Beside a sleeper a permit is free for a moment only: it may be taken before the window is looked at.
const std::vector<SemaphoreCase> kCases{
    {kAcquire, kTwoPermits, {"free 2", "free 1"}},
    {kAcquire, kNoPermits, {"free 0", "free 1"}},
    {kAcquire, kOneComes, {"free 0", "free 1"}},
    {kTryInVain, kNoPermits, {"free 0"}},
    {kReleaseOne, kNoPermits, {"free 0", "free 1"}},
    {kReleaseOne, kOneWaits, {"free 0"}},
    {kReleaseTwo, kOneWaits, {"free 0"}},
    {kHold, kTwoPermits, {"free 2", "free 1"}},
};

MakeTrial maker(const SemaphoreCase& c) {
  return [&c] { return make_semaphore_trial(c.state, c.operation); };
}

class SemaphoreKilled : public SweepTest<SemaphoreCase> {};
TEST_P(SemaphoreKilled, PermitsAreConservedAndNobodySleepsBesideOne) {
  const SemaphoreCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, SemaphoreKilled, testing::ValuesIn(kCases), kCaseName);

// Nobody dies, so nobody needs a slice.
class WithoutSlices : public SemaphoreTrial {
 public:
  WithoutSlices(const SemaphoreState& state, const SemaphoreOperation& operation) : SemaphoreTrial(state, operation) {
    bystander_slice_ = kNoSlices;
  }
};

class SemaphoreHeld : public SweepTest<SemaphoreCase> {};
TEST_P(SemaphoreHeld, OthersTakeAndWaitMeanwhile) {
  const SemaphoreCase& c = GetParam();
  expect_survived(pause_after_every_instruction(
                      c.name(), [&] { return make_semaphore_trial<WithoutSlices>(c.state, c.operation); }),
                  {});
}
INSTANTIATE_TEST_SUITE_P(, SemaphoreHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

// Looks, and then stores: two may take one permit.
constexpr SemaphoreOperation kAcquireByStore{
    .name = "acquire_by_store",
    .run = [](SemaphoreTrial& t) { t.words().permits.store(t.words().permits.load() - 1); },
    .gives = -1};

TEST(SemaphoreControl, AcquireByStoreIsFoundToDoubleAPermit) {
  expect_found(Fault::Kind::kDoubled, pause_after_every_instruction("control", [] {
                 return make_semaphore_trial(kTwoPermits, kAcquireByStore);
               }));
}

// Two steps: a death in between leaves half of what was to be given.
constexpr SemaphoreOperation kReleaseInTwo{.name = "release_in_two",
                                           .run =
                                               [](SemaphoreTrial& t) {
                                                 t.words().permits.fetch_add(1);
                                                 t.words().permits.fetch_add(1);
                                               },
                                           .gives = 2};

TEST(SemaphoreControl, ReleaseInTwoStepsIsFoundToGiveHalf) {
  expect_found(Fault::Kind::kDoubled,
               kill_after_every_instruction("control", [] { return make_semaphore_trial(kNoPermits, kReleaseInTwo); }));
}

// Wakes nobody.
constexpr SemaphoreOperation kReleaseQuietly{
    .name = "release_quietly", .run = [](SemaphoreTrial& t) { t.words().permits.fetch_add(1); }, .gives = 1};

class Impatient : public WithoutSlices {
 public:
  Impatient(const SemaphoreState& state, const SemaphoreOperation& operation) : WithoutSlices(state, operation) {
    patience_ = 100ms;
  }
};

TEST(SemaphoreControl, ReleaseWithoutAWakeIsFoundToStrand) {
  expect_found(Fault::Kind::kHung, pause_after_every_instruction("control", [] {
                 return make_semaphore_trial<Impatient>(kNoPermits, kReleaseQuietly);
               }));
}

}  // namespace
}  // namespace warren::test
