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

const NameCase kCases[] = {
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

class NameKilled : public testing::TestWithParam<NameCase> {
 protected:
  static MakeTrial maker() {
    return [] { return std::make_unique<NameTrial>(GetParam().state, GetParam().operation); };
  }
};
INSTANTIATE_TEST_SUITE_P(, NameKilled, testing::ValuesIn(kCases), [](const auto& c) { return c.param.name(); });

TEST_P(NameKilled, AroundEverySystemCallLeavesNothing) {
  expect_survived(kill_around_every_system_call(GetParam().name(), maker()), GetParam().windows);
}

TEST_P(NameKilled, AfterEveryInstructionLeavesNothing) {
  if (!whole_product()) GTEST_SKIP() << "under tools/soak.sh";
  expect_survived(kill_after_every_instruction(GetParam().name(), maker()), GetParam().windows);
}

}  // namespace
}  // namespace warren::test
