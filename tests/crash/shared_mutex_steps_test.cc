// A process is killed after, or held at, every single instruction of every operation of SharedMutex, in the library as
// it is released. And two shared mutexes with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/shared_mutex_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct SharedMutexCase {
  SharedMutexOperation operation;
  SharedMutexState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const SharedMutexCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<SharedMutexCase> kCases{
    {kRead, kUnlocked, {"free", "read"}},
    {kRead, kReaderDead, {"free", "read"}},
    {kRead, kWriterDead, {"written", "free", "read"}},
    {kWrite, kUnlocked, {"free", "written"}},
    {kWrite, kReaderDead, {"read", "written and read", "written", "free"}},
    {kWrite, kWriterDead, {"written", "free"}},
    {kTryWrite, kReaderDead, {"read", "written and read", "written", "free"}},
    {kRepairShared, kWriterDead, {"written", "free"}},
};

MakeTrial maker(const SharedMutexCase& c) {
  return [&c] { return std::make_unique<SharedMutexTrial>(c.state, c.operation); };
}

class SharedMutexKilled : public SweepTest<SharedMutexCase> {};
TEST_P(SharedMutexKilled, TheOthersGoOnAndAreTold) {
  const SharedMutexCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, SharedMutexKilled, testing::ValuesIn(kCases), kCaseName);

class SharedMutexHeld : public SweepTest<SharedMutexCase> {};
TEST_P(SharedMutexHeld, NobodyWritesBesideIt) {
  const SharedMutexCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, SharedMutexHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const SharedMutexOperation& operation) {
  const Coverage coverage = pause_after_every_instruction(
      "control", [&] { return std::make_unique<SharedMutexTrial>(kUnlocked, operation); });
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

// Looks for a writer, and then announces itself: the writer may come between.
constexpr SharedMutexOperation kAnnounceAfterwards{
    .name = "announce_afterwards", .run = [](SharedMutexTrial& t) {
      const detail::Seat& seat = t.attachment().seat();
      while (layout::MutexState::from(t.words().writer.state.load()).held) {
      }
      t.mark_reading(true);
      const layout::OwnedCell me{.lane = seat.lane_index, .generation = seat.generation, .note = 1, .owned = true};
      t.words().cells_high = layout::kReaderCells;
      t.words().cells[0].owner.store(me.word());
      t.mark_reading(false);
      t.words().cells[0].owner.store(0);
    }};

TEST(SharedMutexControl, AnnouncingAfterTheLookIsFoundToTear) { expect_found(Fault::Kind::kTorn, kAnnounceAfterwards); }

// Claims the mutex, and does not wait for the readers.
constexpr SharedMutexOperation kReadUnseen{.name = "read_unseen", .run = [](SharedMutexTrial& t) {
                                             t.mutex().lock_shared();
                                             for (layout::ReaderCell& cell : t.words().cells) {
                                               if (cell.owner.load() != 0) {
                                                 const std::uint64_t mine = cell.owner.exchange(0);
                                                 t.mark_reading(true);
                                                 t.mark_reading(false);
                                                 cell.owner.store(mine);
                                                 break;
                                               }
                                             }
                                             t.mutex().unlock_shared();
                                           }};

TEST(SharedMutexControl, AReaderThatNobodySeesIsFoundToTear) { expect_found(Fault::Kind::kTorn, kReadUnseen); }

}  // namespace
}  // namespace warren::test
