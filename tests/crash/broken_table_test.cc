// Negative controls: task tables with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <iostream>

#include "crash/table_operations.h"

namespace warren::test {
namespace {

void expect_found(const Coverage& coverage, Fault::Kind kind) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

template <class T>
MakeTrial maker(const TableState& state, const TableOperation& operation) {
  return [&] { return std::make_unique<T>(state, operation); };
}

// The frame of the trials itself must not be what is found.
TEST(TableControl, TheRightTableIsClean) {
  EXPECT_TRUE(kill_after_every_instruction("right", maker<TableTrial>(kTwo, kDoSmall)).clean());
  EXPECT_TRUE(pause_after_every_instruction("right", maker<TableTrial>(kTwo, kDoSmall)).clean());
}

// Ends a task by a store: what happened to the word since the claim is overwritten.
class FutureGoesMeanwhile : public TableTrial {
 public:
  using TableTrial::TableTrial;
  void interfere() override { (void)table().abandon(first()); }
};

constexpr TableOperation kEndByStore{.name = "end_by_store", .run = [](TableTrial& t) {
                                       const auto task = t.claim();
                                       if (!task) return;
                                       t.begin(*task);
                                       t.write_result(*task, {});
                                       t.leave(*task);
                                       TaskState done = task->state;
                                       done.phase = TaskState::Phase::kDone;
                                       t.table().slot(task->slot).state.store(done.word());
                                     }};

TEST(TableControl, EndByStoreIsFoundToLeaveSlots) {
  EXPECT_TRUE(pause_after_every_instruction("end", maker<FutureGoesMeanwhile>(kOne, kDoSmall)).clean());
  expect_found(pause_after_every_instruction("end by store", maker<FutureGoesMeanwhile>(kOne, kEndByStore)),
               Fault::Kind::kLeft);
}

// The task is condemned meanwhile, and its future told that it is cancelled.
TEST(TableControl, EndByStoreIsFoundToBreakAPromise) {
  EXPECT_TRUE(pause_after_every_instruction("end", maker<TableTrial>(kKilledMeanwhile, kDoSmall)).clean());
  expect_found(pause_after_every_instruction("end by store", maker<TableTrial>(kKilledMeanwhile, kEndByStore)),
               Fault::Kind::kOther);
}

// A deadline's attempt is settled as a death is, without the step between: a kill that comes then is overlooked.
class SettlesInOneStep : public TableTrial {
 public:
  using TableTrial::TableTrial;
  static void run(TableTrial& t) {
    const TaskState state = t.table().state(t.first().slot);
    const bool cancelled = t.table().slot(t.first().slot).cancelled != 0;
    if (state.phase != TaskState::Phase::kCondemned || cancelled) return t.settle_earlier_death();
    (void)t.table().try_again({.slot = t.first().slot, .state = state});
  }
};

constexpr TableOperation kSettleInOneStep{
    .name = "settle_in_one_step", .run = &SettlesInOneStep::run, .supervises = true};

TEST(TableControl, SettlingADeadlineInOneStepIsFoundToBreakAPromise) {
  expect_found(pause_after_every_instruction("settle in one step", maker<TableTrial>(kOutOfTime, kSettleInOneStep)),
               Fault::Kind::kOther);
}

// After a death only the task that ran is dealt with: the hint that the worker took along is gone.
class SettlesWithoutHints : public TableTrial {
 public:
  using TableTrial::TableTrial;

 protected:
  void settle(std::uint32_t lane, pid_t pid) override {
    bool ran = false;
    for (std::uint32_t i = 0; i < table().committed(); ++i) {
      const TaskState state = table().state(i);
      ran = ran || (state.phase == TaskState::Phase::kRunning && state.lane == layout::WorkerLane::from(lane).index);
    }
    if (ran) TableTrial::settle(lane, pid);
  }
};

TEST(TableControl, SettlingWithoutHintsIsFoundToHang) {
  expect_found(kill_after_every_instruction("no hints", maker<SettlesWithoutHints>(kTwo, kDoSmall)),
               Fault::Kind::kHung);
}

// A slot that a task writes says that it is another worker's.
constexpr TableOperation kSubmitForAnother{.name = "submit_for_another",
                                           .run =
                                               [](TableTrial& t) {
                                                 t.become_worker(layout::WorkerLane{61'000, 3}.word());
                                                 (void)t.submit(kVictims, 0, {kSmall});
                                               },
                                           .nests = true};

TEST(TableControl, ASlotThatNamesAnotherWorkerIsFoundToBeLeft) {
  expect_found(
      kill_after_every_instruction("submit for another", maker<TableTrial>(kOne, kSubmitForAnother), {.stride = 7}),
      Fault::Kind::kLeft);
}

// Gives a block's memory back before it is claimed for that: by then it may be somebody else's.
constexpr TableOperation kFreeEmptyingFirst{
    .name = "free_emptying_first",
    .run =
        [](TableTrial& t) {
          layout::TaskSlot& slot = t.table().slot(t.first().slot);
          const auto ref = layout::BlockRef::from(slot.arguments_block);
          const layout::BlockClass& size_class = t.table().header().classes[ref.size_class];
          auto* const owners =
              reinterpret_cast<std::atomic<std::uint64_t>*>(t.table().attachment().object() + size_class.owners_offset);
          TaskState freed{.generation = t.first().generation + 1, .phase = TaskState::Phase::kFree};
          std::uint64_t word = slot.state.load();
          std::uint64_t owner = owners[ref.index].load();
          if (!slot.state.compare_exchange_strong(word, freed.word())) return;
          t.table().attachment().discard(size_class.blocks_offset + ref.index * kLarge, kLarge);
          (void)owners[ref.index].compare_exchange_strong(owner, 0);
        },
    .submits = true};

// A sweep frees the block meanwhile, and every block gets a new owner.
class BlocksChangeHands : public TableTrial {
 public:
  using TableTrial::TableTrial;
  void interfere() override {
    table().settle_dead_worker({.index = 60'000, .generation = 7}, {});
    for (std::uint64_t i = 0; i < 4; ++i) (void)submit(kInterferers + i, 0, {kLarge});
  }
};

TEST(TableControl, EmptyingABlockFirstIsFoundToTear) {
  EXPECT_TRUE(pause_after_every_instruction("free", maker<BlocksChangeHands>(kEnded, kFree)).clean());
  expect_found(
      pause_after_every_instruction("free, emptying first", maker<BlocksChangeHands>(kEnded, kFreeEmptyingFirst)),
      Fault::Kind::kTorn);
}

// Claims whatever the hint names, pending or not.
constexpr TableOperation kClaimByStore{.name = "claim_by_store", .run = [](TableTrial& t) {
                                         TaskState mine = t.table().state(t.first().slot);
                                         if (mine.phase != TaskState::Phase::kPending) return;
                                         mine.phase = TaskState::Phase::kRunning;
                                         mine.attempt += 1;
                                         mine.lane = static_cast<std::uint16_t>(t.seat().lane_index);
                                         mine.lane_generation = static_cast<std::uint8_t>(t.seat().generation);
                                         t.table().slot(t.first().slot).state.store(mine.word());
                                         const TaskTable::Claim task{.slot = t.first().slot, .state = mine};
                                         t.begin(task);
                                         t.write_result(task, {});
                                         t.leave(task);
                                         (void)t.table().end(task, TaskState::Phase::kDone);
                                       }};

TEST(TableControl, ClaimByStoreIsFoundToDoubleTasks) {
  expect_found(pause_after_every_instruction("claim by store", maker<TableTrial>(kOne, kClaimByStore)),
               Fault::Kind::kDoubled);
}

}  // namespace
}  // namespace warren::test
