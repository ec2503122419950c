// A process is killed after, or held at, every single instruction of every operation of Mutex, in the library as it is
// released. And two mutexes with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/mutex_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct MutexCase {
  MutexOperation operation;
  MutexState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const MutexCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<MutexCase> kCases{
    {kUpdate, kFree, {"free", "held", "held, not named"}},
    {kUpdate, kOwnerFoundDead, {"held by the dead", "held, told", "free, told"}},
    {kUpdate, kTold, {"free, told", "held, told"}},
    {kTryLock, kFree, {"free", "held"}},
    {kTryLock, kOwnerDead, {"held by the dead"}},
    {kTryLock, kOwnerFoundDead, {"held by the dead", "held, told"}},
    {kUnlock, kFree, {"held", "held, not named", "free"}},
    {kRepair, kOwnerFoundDead, {"held by the dead", "held, told", "held", "free"}},
    {kRepair, kTold, {"free, told", "held, told", "held", "free"}},
};

// Tens of thousands of instructions, most of which read /proc: under tools/soak.sh.
std::vector<MutexCase> chosen() {
  std::vector<MutexCase> cases = kCases;
  if (whole_product()) cases.push_back({kUpdate, kOwnerDead, {"held by the dead", "held, told", "free, told"}});
  return cases;
}

MakeTrial maker(const MutexCase& c) {
  return [&c] { return std::make_unique<MutexTrial>(c.state, c.operation); };
}

class MutexKilled : public SweepTest<MutexCase> {};
TEST_P(MutexKilled, TheNextOneGetsItAndIsTold) {
  const MutexCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, MutexKilled, testing::ValuesIn(chosen()), kCaseName);

class MutexHeld : public SweepTest<MutexCase> {};
TEST_P(MutexHeld, NobodyElseIsInIt) {
  const MutexCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, MutexHeld, testing::ValuesIn(chosen()), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

template <class T>
void expect_found(Fault::Kind kind, const MutexOperation& operation) {
  const Coverage coverage =
      pause_after_every_instruction("control", [&] { return std::make_unique<T>(kFree, operation); });
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

// Looks, and then stores: two may find it free.
constexpr MutexOperation kLockByStore{
    .name = "lock_by_store", .run = [](MutexTrial& t) {
      auto& words = *reinterpret_cast<layout::Mutex*>(Reach::attachment(t.mutex()).object());
      const detail::Seat& seat = Reach::attachment(t.mutex()).seat();
      while (words.state.load() != 0) {
      }
      layout::MutexState mine{.lane = seat.lane_index, .generation = seat.generation, .thread = 1, .held = true};
      t.tear();
      words.state.store(mine.word());
      t.mend();
      words.state.store(0);
    }};

TEST(MutexControl, LockByStoreIsFoundToTear) { expect_found<MutexTrial>(Fault::Kind::kTorn, kLockByStore); }

// Takes it from whoever has it for long, dead or not.
class TakesFromTheLiving : public MutexTrial {
 public:
  using MutexTrial::MutexTrial;
  void interfere() override {
    words().state.store(0);
    MutexTrial::interfere();
  }
};

TEST(MutexControl, TakingItFromTheLivingIsFoundToTear) {
  expect_found<TakesFromTheLiving>(Fault::Kind::kTorn, kUpdate);
}

}  // namespace
}  // namespace warren::test
