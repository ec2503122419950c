// What trials of events, semaphores and conditions have in common: bystanders who are asleep when the victim comes, or
// fall asleep while it stands still.
#pragma once
#include <sys/syscall.h>

#include <functional>
#include <vector>

#include "crash/shared_trial.h"

namespace warren::test {

inline constexpr std::chrono::nanoseconds kNoSlices = std::chrono::hours(1);  // then a lost wake-up hangs

// Where the bystander is when the victim begins. A stopped one runs again when the victim has ended; a later one falls
// asleep behind the victim, just before that is woken.
enum class Waiters { kNone, kAsleep, kStopped, kLater };

class SyncTrial : public Trial {
 protected:
  // Victims sleep until they are woken: their path does not depend on the clock.
  SyncTrial() { set_waits(kNoSlices); }

  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  // Somebody who waits in another process, and sleeps when this returns, unless there was nothing to wait for.
  void add_bystander(const std::function<void()>& wait, bool stopped = false) {
    bystanders_.emplace_back([this, &wait] {
      set_waits(bystander_slice_);
      wait();
    });
    const pid_t pid = bystanders_.back().pid();
    const auto settled = [pid] { return sleeps(pid) || process_state(pid) == 'Z'; };
    if (!eventually(settled, kPatience)) fault(Fault::Kind::kOther, "the bystander neither sleeps nor ends");
    if (stopped) bystanders_.back().stop();
  }
  void go_on() {
    for (const Child& bystander : bystanders_) bystander.go_on();
  }
  // Nobody else may be needed to tell them.
  void see_bystanders_off() {
    for (Child& bystander : bystanders_) {
      const std::optional<Ended> end = ended_within(bystander, patience_);
      if (!end || !end->well()) fault(Fault::Kind::kHung, "a bystander was not released");
    }
    bystanders_.clear();
  }
  static bool sleeps(pid_t pid) { return process_state(pid) == 'S' && current_system_call(pid) == SYS_futex; }

  void expect_lanes_freed(detail::Attachment& attachment) {
    const bool freed = eventually([&] { return attachment.sweep(), lanes_of_others(attachment) == 0; }, kPatience);
    if (!freed) fault(Fault::Kind::kLeft, "lanes of the dead");
  }

  std::chrono::nanoseconds patience_ = kPatience;      // short where a control is to hang
  std::chrono::nanoseconds bystander_slice_ = kSlice;  // kNoSlices where nobody dies
  std::vector<Child> bystanders_;
  Verdict verdict_;
};

}  // namespace warren::test
