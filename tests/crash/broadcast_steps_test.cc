// A process is killed after, or held at, every single instruction of every operation of Broadcast and Subscriber, in
// the library as it is released. And three broadcasts with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/broadcast_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct BroadcastCase {
  BroadcastOperation operation;
  BroadcastState state;
  std::vector<std::string> windows;
  bool is_long = false;
  bool in_blocks = false;

  [[nodiscard]] SweepOptions options() const {
    return {.stride = whole_product() || !is_long ? 1u : in_blocks ? 19u : 9u};
  }
  [[nodiscard]] std::string name() const {
    return std::string(operation.name) + "_" + state.name + (in_blocks ? "_in_blocks" : "");
  }
  friend void PrintTo(const BroadcastCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<std::string> kPushed{"out of turn, not pushed", "in turn, not pushed", "in turn, pushed",
                                       "out of turn, pushed"};
const std::vector<BroadcastCase> kCases{
    {kBroadcastPush, kBroadcastLoses, kPushed},
    {kBroadcastPush, kBroadcastWaits, kPushed},
    {kBroadcastPush, kBroadcastWriterDead, kPushed, true},
    {kBroadcastPush, kBroadcastReaderDead, kPushed, true},
    {kBroadcastPush, kBroadcastFull, kPushed, true},
    {kBroadcastPop, kBroadcastLoses, {"out of turn"}},
    {kBroadcastPop, kBroadcastWaits, {"joined", "joined, passed one"}},
    {kBroadcastPopAsleep, kBroadcastWaits, {"joined", "joined, passed one"}, true},
    {kBroadcastJoin, kBroadcastWaits, {"out of turn", "in turn", "in turn, joined", "joined"}, true},
    {kBroadcastJoin, kBroadcastReaderDead, {"out of turn", "in turn", "in turn, joined", "joined"}, true},
    {kBroadcastLeave, kBroadcastWaits, {"joined", "out of turn"}},
    {kBroadcastPush, kBroadcastLoses, kPushed, true, true},
    {kBroadcastPush, kBroadcastWriterDead, kPushed, true, true},
    {kBroadcastPop, kBroadcastLoses, {"out of turn"}, true, true},
    {kBroadcastPop, kBroadcastWaits, {"joined", "joined, passed one"}, true, true},
};

MakeTrial maker(const BroadcastCase& c) {
  return [&c]() -> std::unique_ptr<Trial> {
    if (c.in_blocks) return std::make_unique<BroadcastTrialOf<40>>(c.state, c.operation);
    return std::make_unique<BroadcastTrial>(c.state, c.operation);
  };
}

class BroadcastKilled : public SweepTest<BroadcastCase> {};
TEST_P(BroadcastKilled, EverybodyElseSeesOneOrderAndNobodyIsHeldUp) {
  const BroadcastCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), c.options()), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, BroadcastKilled, testing::ValuesIn(kCases), kCaseName);

class BroadcastHeld : public SweepTest<BroadcastCase> {};
TEST_P(BroadcastHeld, SubscribersReadOnAndNobodyLosesUncounted) {
  const BroadcastCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c), c.options()), {});
}
INSTANTIATE_TEST_SUITE_P(, BroadcastHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

class BroadcastControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
  static void expect_found(Fault::Kind kind, const Coverage& coverage) {
    std::cout << coverage << "\n" << coverage.complaints();
    EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
  }
};

// Counts the item, and then writes it.
constexpr BroadcastOperation kTailFirst{.name = "tail_first",
                                        .run =
                                            [](BroadcastVictim& t) {
                                              const std::uint64_t tail = t.header().tail.fetch_add(1);
                                              t.overwrite(t.slot(tail), BroadcastTrial::kVictims, 5);
                                            },
                                        .pushes = true};

TEST_F(BroadcastControl, TailBeforeTheItemIsFoundToTear) {
  expect_found(Fault::Kind::kTorn, kill_after_every_instruction("control", [] {
                 return std::make_unique<BroadcastTrial>(kBroadcastLoses, kTailFirst);
               }));
}

// Frees the cell of who has been slow for long, dead or not.
class FreesCellsByGuess : public BroadcastTrial {
 public:
  using BroadcastTrial::BroadcastTrial;
  void interfere() override {
    cell(1).owner = 0;
    BroadcastTrial::interfere();
  }
};

TEST_F(BroadcastControl, ACellFreedByGuessIsFoundToLose) {
  expect_found(Fault::Kind::kLost, pause_after_every_instruction("control", [] {
                 return std::make_unique<FreesCellsByGuess>(kBroadcastWaits, kBroadcastPop);
               }));
}

// Looks at tail and takes a cell without its turn among the writers.
constexpr BroadcastOperation kJoinOutOfTurn{
    .name = "join_out_of_turn",
    .run =
        [](BroadcastVictim& t) {
          const detail::LaneRef me = t.attachment().process_lane(t.attachment().seat());
          const layout::OwnedCell mine{.lane = me.index, .generation = me.generation, .note = 1, .owned = true};
          t.cell(1).cursor = t.header().tail.load();
          t.header().cells_high = 2;
          t.cell(1).owner = mine.word();
          if (t.overrun(t.cell(1).cursor)) t.lost();
        },
    .pushes = true};

TEST_F(BroadcastControl, JoiningOutOfTurnIsFoundToLose) {
  expect_found(Fault::Kind::kLost, pause_after_every_instruction("control", [] {
                 return std::make_unique<BroadcastTrial>(kBroadcastWaits, kJoinOutOfTurn);
               }));
}

}  // namespace
}  // namespace warren::test
