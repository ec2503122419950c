// A process is killed after, or held at, every single instruction of every step of the task table, in the library as it
// is released.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/sweep_test.h"
#include "crash/table_operations.h"

namespace warren::test {
namespace {

struct TableCase {
  TableOperation operation;
  TableState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return name_of(operation, state); }
  friend void PrintTo(const TableCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<TableCase> kCases{
    {kDoSmall, kOne, {"before", "hint taken", "claimed", "ended"}},
    {kDoSmall, kTwo, {"before", "hint taken", "claimed", "ended"}},
    {kDoSmall, kForgotten, {"before", "hint taken", "claimed", "releasing", "freed"}},
    {kDoSmall, kHintTwice, {"before", "hint taken", "claimed", "ended"}},
    {kDoSmall, kScan, {"before", "claimed", "ended"}},
    {kDoSmall, kHintGone, {"hint taken"}},
    {kDoGrown, kOne, {"before", "hint taken", "claimed", "block unnamed", "grown", "ended"}},
    {kDoGrown, kForgotten, {"claimed", "grown", "block unnamed", "releasing", "freed"}},
    {kFail, kTwo, {"claimed", "grown", "ended"}},
    {kTryAgain, kTwo, {"before", "hint taken", "claimed", "pending again"}},
    {kTryAgainGrown, kTwo, {"claimed", "grown", "block unnamed", "releasing", "pending again"}},
    {kTryAgainGrown, kForgotten, {"claimed", "grown", "releasing", "pending again"}},
    {kSubmit, kOne, {"before", "writing", "published"}},
    {kSubmitGrown, kOne, {"before", "block unnamed", "writing", "published"}},
    {kWithdraw, kOne, {"writing", "block unnamed", "releasing", "before"}},
    {kSubmitWithin, kOne, {"before", "writing", "published"}},
    {kAbandon, kOne, {"before"}},
    {kAbandon, kEnded, {"ended", "releasing", "freed"}},
    {kFree, kEnded, {"ended", "releasing", "freed"}},
    {kDoSmall, kPriorities, {"before"}},
    {kDoSmall, kPinned, {"before", "claimed", "ended"}},
    {kTryAgain, kPinned, {"before", "claimed", "pending again"}},
    {kSubmit, kPriorities, {"before", "writing", "published"}},
    {kSubmit, kPinned, {"before", "writing", "published"}},
    {kSettle, kPriorityHintGone, {"before"}},
    {kDoSmall, kFollowed, {"claimed", "ended"}},
    {kDoSmall, kKilledMeanwhile, {"claimed", "ended"}},
    {kCancel, kOne, {"before", "cancelled"}},
    {kCancel, kClaimedByDead, {"claimed"}},
    {kKill, kOne, {"before", "cancelled"}},
    {kKill, kRetryOfDead, {"grown", "condemned"}},
    {kKill, kOutOfTime, {"condemned"}},
    {kKill, kEnded, {"ended"}},
    {kSettle, kHintGone, {"before", "hinted again"}},
    {kSettle, kClaimedByDead, {"claimed", "ended"}},
    {kSettle, kRetryOfDead, {"grown", "pending again"}},
    {kSettle, kLossOfDead, {"grown", "ended"}},
    {kSettle, kForgottenByDead, {"grown", "freed"}},
    {kSettle, kNestedByDead, {"before"}},
    {kSettle, kOutOfTime, {"condemned", "pending again"}},
    {kSettle, kLastOutOfTime, {"condemned", "ended"}},
    {kSettle, kKilled, {"condemned", "cancelled"}},
};

MakeTrial maker(const TableCase& c) {
  return [&c] { return std::make_unique<TableTrial>(c.state, c.operation); };
}

// A supervisor goes through the whole table, and through every block: of its ten thousand instructions all in
// tools/soak.sh.
SweepOptions options_for(const TableCase& c) {
  if (whole_product()) return {};
  if (c.state.nested) return {.stride = 67};
  if (c.operation.nests) return {.stride = 5};
  return {.stride = c.operation.supervises ? 23u : 1u};
}

class TableKilled : public SweepTest<TableCase> {};
class TableHeld : public SweepTest<TableCase> {};

TEST_P(TableKilled, EveryTaskIsAccountedForOnce) {
  const TableCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, TableKilled, testing::ValuesIn(kCases), kCaseName);

// Whoever is slow, and lives, loses nothing; another worker's death is settled meanwhile, and blocks change hands.
TEST_P(TableHeld, NothingIsLostOrDoneTwice) {
  const TableCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, TableHeld, testing::ValuesIn(kCases), kCaseName);

}  // namespace
}  // namespace warren::test
