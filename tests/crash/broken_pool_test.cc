// Negative controls: pools with one mistake each, made by a task in the shared memory of its own pool, which the
// account of a whole pool must find. And the same deaths without the mistake: clean.
#include <gtest/gtest.h>

#include <csignal>
#include <iostream>
#include <map>

#include "crash/pool_trial.h"

namespace warren::test {
namespace {

using layout::TaskState;

// Of the task that this process runs.
layout::TaskSlot& my_slot(const PoolView& view) {
  return view.slots()[static_cast<std::uint32_t>(current_task().id().value)];
}
bool first_to_come() { return marks->gates[0].exchange(1) == 0; }
void be_killed() { ::kill(::getpid(), SIGKILL); }

// --- what tasks do, once: right, and wrong ---------------------------------------------------------------------------

void die_in_task() {
  if (first_to_come()) be_killed();
}

// As if the claim were made first, and its owner recorded afterwards: nobody knows whose task it was.
void die_without_owner() {
  if (!first_to_come()) return;
  layout::TaskSlot& slot = my_slot(PoolView::of_this_process());
  TaskState state = TaskState::from(slot.state.load());
  state.lane = 60'000;
  slot.state.store(state.word());
  be_killed();
}

// As if the supervisor gave another attempt to a task that has none left.
void die_with_an_attempt_left() {
  layout::TaskSlot& slot = my_slot(PoolView::of_this_process());
  if (slot.retries != 0 || !first_to_come()) return;
  slot.retries = 1;
  be_killed();
}

// As if a worker took along the hint that it had read, and all others: they name lives of slots that are over.
void spoil_hints() {
  const PoolView view = PoolView::of_this_process();
  layout::MpmcRingHeader& hints = view.hints();
  auto* const slots = reinterpret_cast<std::byte*>(&hints) + sizeof hints;
  for (std::uint64_t at = hints.head; at < hints.tail; ++at) {
    auto* const words = reinterpret_cast<std::atomic<std::uint64_t>*>(slots + at % hints.slot_count * hints.slot_bytes);
    if (words[0].load() == layout::committed(at)) words[1].store(~std::uint64_t{0} << 40);
  }
}
// And lived: nobody looks for those tasks.
void lose_hints() {
  if (first_to_come()) spoil_hints();
}
// And died: the supervisor gives hints to every pending task.
void die_with_hints() {
  if (!first_to_come()) return;
  spoil_hints();
  be_killed();
}

// As if a result were committed before it was written.
void commit_too_early() {
  if (!first_to_come()) return;
  layout::TaskSlot& slot = my_slot(PoolView::of_this_process());
  TaskState state = TaskState::from(slot.state.load());
  slot.result_bytes = sizeof(int);
  state.phase = TaskState::Phase::kDone;
  slot.state.store(state.word());
  be_killed();
}

// As if an abandoned task that ends did not free its slot, whose future is gone.
void forget_that_it_is_abandoned() {
  layout::TaskSlot& slot = my_slot(PoolView::of_this_process());
  TaskState state = TaskState::from(slot.state.load());
  if (!state.abandoned || !first_to_come()) return;
  state.phase = TaskState::Phase::kDone;
  slot.state.store(state.word());
}

// --- the trial -------------------------------------------------------------------------------------------------------

class PoolControl : public PoolTrials {
 protected:
  ~PoolControl() override { mistake = nullptr; }

  // In an application of its own, since a broken pool does not end.
  std::map<Fault::Kind, std::size_t> faults_with(void (*what)(), std::chrono::nanoseconds patience) {
    mistake = what;
    for (auto& gate : marks->gates) gate = 0;
    Shared<std::array<std::atomic<std::size_t>, 8>> counts;
    Child application([&] {
      Pool pool = make_pool(2, 64);
      PoolLoad load(pool, {.base = PoolLoad::kNumbers, .patience = patience});
      for (const std::vector<Fault>& found : {load.run(), load.look_for_leftovers(PoolView::of_this_process())}) {
        for (const Fault& fault : found) {
          ++counts->at(static_cast<std::size_t>(fault.kind));
          std::cout << kind_name(fault.kind) << ": " << fault.text << "\n";
        }
      }
      if (load.lost() > 1) ++counts->at(static_cast<std::size_t>(Fault::Kind::kLost));
      std::cout.flush();
      ::_exit(0);
    });
    EXPECT_TRUE(application.join().well());
    EXPECT_TRUE(everybody_ends());
    EXPECT_NE(marks->gates[0], 0u) << "no task came to it";
    std::map<Fault::Kind, std::size_t> found;
    for (std::size_t i = 0; i < counts->size(); ++i) {
      if (counts->at(i) != 0) found[static_cast<Fault::Kind>(i)] = counts->at(i);
    }
    return found;
  }
  void expect_clean(void (*what)()) { EXPECT_TRUE(faults_with(what, kPromptly).empty()); }
  // A fault that shows in time only is looked for as long as it takes a right pool many times over.
  void expect_found(void (*what)(), Fault::Kind kind) {
    EXPECT_TRUE(faults_with(what, 1500ms).contains(kind)) << "the account overlooks it";
  }
};

TEST_F(PoolControl, TheRightPoolIsClean) {
  expect_clean(&die_in_task);
  expect_clean(&die_with_hints);
}

TEST_F(PoolControl, AClaimWithoutItsOwnerIsFoundToHang) { expect_found(&die_without_owner, Fault::Kind::kHung); }

TEST_F(PoolControl, AnAttemptTooManyIsFoundToDoubleTasks) {
  expect_found(&die_with_an_attempt_left, Fault::Kind::kDoubled);
}

TEST_F(PoolControl, LosingHintsIsFoundToHang) { expect_found(&lose_hints, Fault::Kind::kHung); }

TEST_F(PoolControl, CommittingTooEarlyIsFoundToTear) { expect_found(&commit_too_early, Fault::Kind::kTorn); }

TEST_F(PoolControl, ForgettingToFreeIsFoundToLeaveSlots) {
  expect_found(&forget_that_it_is_abandoned, Fault::Kind::kLeft);
}

}  // namespace
}  // namespace warren::test
