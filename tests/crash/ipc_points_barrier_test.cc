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
  void fault(std::string text) { verdict_.faults.push_back({.kind = Fault::Kind::kHung, .text = std::move(text)}); }
  Latch latch_ = Latch::create(1).value();
  std::unique_ptr<Child> waiter_;
  Verdict verdict_;
};

TEST(LatchAtEveryPoint, WhoWaitsIsToldAllTheSame) {
  sweep("count_down", [] { return std::make_unique<LatchTrial>(); });
}

}  // namespace
}  // namespace warren::test
