// A process is killed after, or held after, every single instruction of what keeps account of a queue's items.
#include <gtest/gtest.h>

#include "crash/join_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Windows = std::vector<std::string>;

struct JoinCase {
  JoinOperation operation;
  JoinState state;
  Windows windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  [[nodiscard]] MakeTrial maker(std::chrono::nanoseconds patience = kPatience) const {
    return [state = state, operation = operation, patience] {
      return std::make_unique<JoinTrial>(state, operation, patience);
    };
  }
  friend void PrintTo(const JoinCase& c, std::ostream* out) { *out << c.name(); }
};

const Windows kPopped{"before", "announced", "taken", "counted", "after"};
const Windows kDone{"before", "announced", "debited", "settled", "after"};

std::vector<JoinCase> cases() {
  return {{kJoinPop, kQueued, kPopped},
          {kJoinPopN, kQueued, kPopped},
          {kTaskDone, kQueued, kDone},
          {kTaskDoneOfAnother, kSurvivorHasOne, kDone},
          {kHandOver, kQueued, {"before", "announced", "credited", "handed over", "after"}},
          {kJoinWithoutSweep, kSurvivorHasOne, {"before"}},
          {kJoinWithoutSweep, kLostAndSwept, {"before", "written off"}}};
}

// Ordinarily not all of the loads of other lanes, and few of the instructions that read /proc: these are thousands.
SweepOptions options_for(const JoinCase& c) {
  if (whole_product()) return {};
  const std::string name = c.operation.name;
  if (name == "join") return {.stride = 397, .all_of_last = 50};
  if (name == "task_done_of_another") return {.stride = 397, .all_of_last = 100};
  if (name == "join_without_sweep") return {.stride = 11, .all_of_last = 50};
  return {};
}
const JoinCase kSweeps{kJoin, kLostOne, {"before", "written off"}};

class JoinKilled : public SweepTest<JoinCase> {};
TEST_P(JoinKilled, EveryItemIsDoneOrToldToBeLost) {
  const JoinCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), c.maker(), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, JoinKilled, testing::ValuesIn(cases()), kCaseName);

class JoinHeld : public SweepTest<JoinCase> {};
TEST_P(JoinHeld, NothingThatTheLivingHaveIsToldToBeLost) {
  const JoinCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", c.maker(), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, JoinHeld, testing::ValuesIn(cases()), kCaseName);

class JoinHeldThenKilled : public SweepTest<JoinCase> {};
TEST_P(JoinHeldThenKilled, EveryItemIsDoneOrToldToBeLost) {
  const JoinCase& c = GetParam();
  expect_survived(pause_then_kill(c.name() + "_held_then_killed", c.maker()), {});
}
INSTANTIATE_TEST_SUITE_P(, JoinHeldThenKilled, testing::ValuesIn(whole_product() ? cases() : std::vector<JoinCase>{}),
                         kCaseName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(JoinHeldThenKilled);

class JoinSweeps : public SweepTest<JoinCase> {};
TEST_P(JoinSweeps, ALossIsToldThoughWhoFindsItDies) {
  const JoinCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), c.maker(), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, JoinSweeps, testing::Values(kSweeps), kCaseName);

// --- negative controls: what is broken on purpose must be found ------------------------------------------------------

class JoinControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
};

void expect_found(const Coverage& coverage, Fault::Kind kind) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

constexpr std::chrono::nanoseconds kShortPatience = 20ms;

void pop_first_and_say_so_later(JoinTrial& t) {
  layout::MpmcRingHeader& header = t.header();
  std::uint64_t h = header.head.load();
  if (!header.head.compare_exchange_strong(h, h + 1)) return;
  layout::Lane& lane = *t.attachment().seat().lane;
  lane.taken.store(lane.taken.load() + 1);
}
TEST_F(JoinControl, APopThatIsNotAnnouncedIsFoundToLookLost) {
  const JoinCase c{{.name = "unannounced_pop", .run = pop_first_and_say_so_later}, kQueued, {}};
  expect_found(pause_after_every_instruction(c.name(), c.maker(kShortPatience)), Fault::Kind::kOther);
}

// The difference grows by what is taken between the two looks.
void look_at_lanes_first(JoinTrial& t) {
  std::uint64_t open = 0;
  for (std::uint32_t i = 0; i < t.attachment().lanes_high(); ++i) {
    const layout::Lane& lane = t.attachment().lane(i);
    open += lane.taken.load() - lane.finished.load() + lane.taking.load();
  }
  const std::uint64_t taken = t.header().head.load();
  std::uint64_t word = t.header().takes.settled.load();
  layout::Settled settled = layout::Settled::from(word);
  const std::uint64_t lost = settled.open_of(taken) - open;
  if (lost == 0 || lost > 8) return;
  settled.items += lost;
  settled.lost += static_cast<std::uint32_t>(lost);
  t.header().takes.settled.compare_exchange_strong(word, settled.word());
}
TEST_F(JoinControl, AJoinThatLooksAtTheLanesFirstIsFoundToSettleTooMuch) {
  const JoinCase c{{.name = "lanes_first", .run = look_at_lanes_first}, kSurvivorHasOne, {}};
  // What somebody was about to finish is settled already: there is one too many.
  expect_found(pause_after_every_instruction(c.name(), c.maker(kShortPatience)), Fault::Kind::kHung);
}

void finish_anothers_without_a_word(JoinTrial& t) {
  for (std::uint32_t i = 0; i < t.attachment().lanes_high(); ++i) {
    layout::Lane& lane = t.attachment().lane(i);
    if (lane.taken.load() == lane.finished.load()) continue;
    lane.finished.fetch_add(1);
    t.header().takes.settled.fetch_add(layout::Settled::kOne);
    return;
  }
}
TEST_F(JoinControl, ATaskDoneThatIsNotAnnouncedIsFoundToLookLost) {
  const JoinCase c{{.name = "unannounced_task_done", .run = finish_anothers_without_a_word}, kSurvivorHasOne, {}};
  expect_found(pause_after_every_instruction(c.name(), c.maker(kShortPatience)), Fault::Kind::kOther);
}

void settle_first(JoinTrial& t) {
  t.header().takes.settled.fetch_add(layout::Settled::kOne);
  t.attachment().seat().lane->finished.fetch_add(1);
}
// The item is settled, and still on somebody's account: it hides a loss to come. Killed there nothing is wrong, since
// the account goes with its owner; of another's account it would be.
void settle_anothers_first(JoinTrial& t) {
  for (std::uint32_t i = 0; i < t.attachment().lanes_high(); ++i) {
    layout::Lane& lane = t.attachment().lane(i);
    if (lane.taken.load() == lane.finished.load()) continue;
    t.header().takes.settled.fetch_add(layout::Settled::kOne);
    lane.finished.fetch_add(1);
    return;
  }
}
TEST_F(JoinControl, SettlingBeforeTheAccountIsFoundToCountTwice) {
  const JoinCase own{{.name = "settled_first", .run = settle_first, .holds = 1}, kQueued, {}};
  EXPECT_TRUE(kill_after_every_instruction(own.name(), own.maker(kShortPatience)).clean());
  const JoinCase other{{.name = "others_settled_first", .run = settle_anothers_first}, kSurvivorHasOne, {}};
  const Coverage coverage = kill_after_every_instruction(other.name(), other.maker(kShortPatience));
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_FALSE(coverage.clean()) << "the harness overlooks it";
}

}  // namespace
}  // namespace warren::test
