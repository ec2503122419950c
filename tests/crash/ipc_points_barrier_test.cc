// Barrier and Latch: deaths at every crash point.
#include <warren/ipc/latch.h>

#include "crash/barrier_trial.h"
#include "crash/ipc_points.h"

namespace warren::test {
namespace {

TEST(BarrierAtEveryPoint, EverybodyIsThroughOrTold) {
  for (const BarrierOperation& operation : {kArriveLast, kTimeOut, kAbort, kReset, kResetBroken}) {
    SCOPED_TRACE(operation.name);
    sweep(operation.name, [&] { return std::make_unique<BarrierTrial>(operation); });
  }
}

// Who sweeps a dead party's lane is stopped at each point of that. The others are told all the same; and when it goes
// on after a reset it does not tell the next generation.
TEST(BarrierAtEveryPoint, AStoppedSweeperHidesNoDeathAndTellsItOnce) {
  const auto die_as_party = [](Barrier& barrier) {
    Child party([&] {
      (void)barrier.arrive_and_wait_for(0ms);  // broken by that: it is a party
      barrier.reset();
      ::raise(SIGKILL);
    });
    (void)party.join();
  };
  const auto look = [](Barrier& barrier) { barrier.reset(); };  // who resets looks for the dead first
  auto first = Barrier::create(2).value();
  set_waits(1ms);
  die_as_party(first);
  std::vector<Passing> points;
  for (const Passing& passing : passings_of([&] { (void)Reach::attachment(first).seat(); }, [&] { look(first); })) {
    if (passing.point.starts_with("sweep_") || passing.point.starts_with("missing_")) points.push_back(passing);
  }
  EXPECT_GE(points.size(), 5u);
  for (const Passing& passing : points) {
    SCOPED_TRACE(passing.text());
    auto barrier = Barrier::create(2).value();
    die_as_party(barrier);
    Child sweeper([&] {
      stop_at(passing);
      look(barrier);
    });
    while (process_state(sweeper.pid()) != 'T') ::sched_yield();
    const bool freed = passing.point == "sweep_freed" || passing.point == "sweep_emptied";
    if (!freed) {
      EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status()));
    }
    barrier.reset();
    Child other([&] { return barrier.arrive_and_wait().ok() ? 0 : 1; });
    await_futex_sleep(other.pid());
    sweeper.go_on();
    EXPECT_TRUE(barrier.arrive_and_wait_for(kPatience).ok());
    EXPECT_TRUE(other.join().well());
    EXPECT_TRUE(sweeper.join().well());
  }
}

// The last one counts down; somebody waits.
class LatchTrial : public Trial {
 public:
  LatchTrial() {
    set_waits(1ms);
    waiter_ = std::make_unique<Child>([this] { latch_.wait(); });
    (void)eventually([this] { return process_state(waiter_->pid()) == 'S'; }, kPatience);
  }
  void warm() override { (void)Reach::attachment(latch_).seat(); }
  void operation() override { (void)latch_.count_down(); }
  std::string window(pid_t) override { return latch_.try_wait() ? "open" : "closed"; }
  void rescue() override { (void)latch_.count_down(); }
  Verdict survive(bool) override {
    if (!latch_.try_wait() && !latch_.count_down()) fault("it can neither be waited for nor counted down");
    if (const auto end = ended_within(*waiter_, kPatience); !end || !end->well()) fault("the waiter is not told");
    return verdict_;
  }

 private:
  void fault(std::string text) { verdict_.add(Fault::Kind::kHung, std::move(text)); }
  Latch latch_ = Latch::create(1).value();
  std::unique_ptr<Child> waiter_;
  Verdict verdict_;
};

TEST(LatchAtEveryPoint, WhoWaitsIsToldAllTheSame) {
  sweep("count_down", [] { return std::make_unique<LatchTrial>(); });
}

}  // namespace
}  // namespace warren::test
