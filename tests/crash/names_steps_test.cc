// A process is killed around every system call of every operation on a name, in the library as it is released; under
// tools/soak.sh after every instruction. /dev/shm is where processes meet here, and it changes by system calls only.
#include <gtest/gtest.h>

#include "crash/name_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct NameCase {
  NameOperation operation;
  NameState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const NameCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<NameCase> kCases = {
    {kCreateName, kNoName, {"no name", "stale name"}},
    {kCreateName, kStaleName, {"no name", "stale name"}},
    {kCreateName, kHeldName, {"held name"}},
    {kOpenName, kStaleName, {"no name", "stale name"}},
    {kOpenName, kHeldName, {"held name"}},
    {kOpenOrCreateName, kNoName, {"no name", "stale name"}},
    {kOpenOrCreateName, kStaleName, {"no name", "stale name"}},
    {kOpenOrCreateName, kHeldName, {"held name"}},
    {kComeAndGo, kNoName, {"no name", "stale name"}},
    {kComeAndGo, kStaleName, {"no name", "stale name"}},
    {kComeAndGo, kHeldName, {"held name"}},
    {kUnlinkName, kStaleName, {"no name", "stale name"}},
    {kUnlinkName, kHeldName, {"no name", "held name"}},
};

MakeTrial maker(const NameCase& c) {
  return [&c] { return std::make_unique<NameTrial>(c.state, c.operation); };
}

class NameKilled : public SweepTest<NameCase> {};
TEST_P(NameKilled, AroundEverySystemCallLeavesNothing) {
  const NameCase& c = GetParam();
  expect_survived(kill_around_every_system_call(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, NameKilled, testing::ValuesIn(kCases), kCaseName);

class NameStepped : public SweepTest<NameCase> {};
TEST_P(NameStepped, AfterEveryInstructionLeavesNothing) {
  const NameCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, NameStepped, testing::ValuesIn(whole_product() ? kCases : std::vector<NameCase>()),
                         kCaseName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NameStepped);

}  // namespace
}  // namespace warren::test
