// A process is killed after, or held at, every single instruction of every operation of a Value of two copies, in the
// library as it is released. And three values with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/sweep_test.h"
#include "crash/value_trial.h"

namespace warren::test {
namespace {

struct ValueCase {
  ValueOperation operation;
  ValueState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const ValueCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<std::string> kAll{"free, old", "held, old", "held, new", "free, new"};
const std::vector<std::string> kAfterADeath{"held by the dead, old", "held, old", "held, new", "free, new"};
const std::vector<ValueCase> kCases{
    {kValueStore, kValueQuiet, kAll},
    {kValueStore, kValueWriterDead, kAfterADeath},
    {kValueExchange, kValueQuiet, kAll},
    {kValueExchange, kValueWriterDead, kAfterADeath},
    {kValueUpdate, kValueQuiet, kAll},
    {kValueUpdate, kValueWriterDead, kAfterADeath},
    {kValueLoad, kValueQuiet, {"free, old"}},
    {kValueLoad, kValueWriterDead, {"held by the dead, old"}},
    {kValueLoadInTurn, kValueQuiet, {"free, old", "held, old"}},
    {kValueLoadInTurn, kValueWriterDead, {"held by the dead, old", "held, old", "free, old"}},
};

MakeTrial maker(const ValueCase& c) {
  return [&c] { return std::make_unique<ValueTrial>(c.state, c.operation); };
}

class ValueKilled : public SweepTest<ValueCase> {};
TEST_P(ValueKilled, TheValueIsTheOldOrTheNewOne) {
  const ValueCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, ValueKilled, testing::ValuesIn(kCases), kCaseName);

class ValueHeld : public SweepTest<ValueCase> {};
TEST_P(ValueHeld, OthersReadOnAndNobodyReadsATornOne) {
  const ValueCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, ValueHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found_torn(const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kTorn)) << "the harness overlooks it";
}
MakeTrial maker(const ValueOperation& operation) {
  return [&operation] { return std::make_unique<ValueTrial>(kValueWriterDead, operation); };
}

class ValueControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
};

// Without the second copy.
constexpr ValueOperation kStoreInPlace{
    .name = "store_in_place", .run = [](ValueTrial& t) { t.write(t.header().word, Record::of(ValueTrial::kVictims)); }};

TEST_F(ValueControl, AStoreInPlaceIsFoundToTear) {
  expect_found_torn(kill_after_every_instruction("control", maker(kStoreInPlace)));
}

// Published, and then written.
constexpr ValueOperation kPublishFirst{.name = "publish_first", .run = [](ValueTrial& t) {
                                         const std::uint64_t sequence = ++t.header().word;
                                         t.write(sequence, Record::of(ValueTrial::kVictims));
                                       }};

TEST_F(ValueControl, APublicationBeforeTheCopyIsFoundToTear) {
  expect_found_torn(kill_after_every_instruction("control", maker(kPublishFirst)));
}

// Copies, and does not look again.
constexpr ValueOperation kLoadOnce{.name = "load_once",
                                   .run =
                                       [](ValueTrial& t) {
                                         const std::uint64_t sequence = t.header().word;
                                         Record record;
                                         for (std::size_t i = 0; i < record.words.size(); ++i)
                                           record.words[i] = t.copy(sequence)[i];
                                         t.saw(record);
                                       },
                                   .writes = false};

TEST_F(ValueControl, ALoadWithoutASecondLookIsFoundToTear) {
  expect_found_torn(pause_after_every_instruction("control", maker(kLoadOnce)));
}

}  // namespace
}  // namespace warren::test
