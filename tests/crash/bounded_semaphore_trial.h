// One operation on a BoundedSemaphore in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/bounded_semaphore.h>

#include "crash/shared_trial.h"

namespace warren::test {

struct BoundedState {
  const char* name;
  std::uint32_t dead = 0;  // permits that dead processes hold; a sweep has found them dead
};

class BoundedTrial;
struct BoundedOperation {
  const char* name;
  void (*run)(BoundedTrial& trial);
  bool holds = false;  // the victim has a permit when the operation begins
};

class BoundedTrial : public Trial {
 public:
  static constexpr std::uint32_t kPermits = 2;

  BoundedTrial(const BoundedState& state, const BoundedOperation& operation,
               std::chrono::nanoseconds patience = kPatience)
      : operation_(operation), patience_(patience), semaphore_(BoundedSemaphore::create(kPermits).value()) {
    set_waits(200us);
    if (state.dead == 0) return;
    (void)Child([&] {
      for (std::uint32_t i = 0; i < state.dead; ++i) semaphore_.acquire();
    }).join();
    (void)attachment().sweep();
  }

  // --- what victims do

  void use() {
    semaphore_.acquire();
    release();
  }
  void release() {
    if (!semaphore_.release()) *refused_ = true;
  }
  BoundedSemaphore& semaphore() { return semaphore_; }
  detail::Attachment& attachment() { return Reach::attachment(semaphore_); }
  std::atomic<std::uint64_t>& cell(std::uint32_t i) {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(attachment().object() + sizeof(layout::BoundedSemaphore))[i];
  }

  // --- Trial

  void warm() override {
    (void)attachment().process_lane(attachment().seat());
    if (operation_.holds) semaphore_.acquire();
  }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t victim) override {
    std::size_t of_victim = 0, of_dead = 0;
    for (std::uint32_t i = 0; i < kPermits; ++i) {
      const auto owner = layout::OwnedCell::from(cell(i).load());
      if (!owner.owned) continue;
      const auto lane = layout::LaneIdentity::from(attachment().lane(owner.lane).identity.load());
      const bool its = lane.pid == static_cast<std::uint32_t>(victim) && lane.generation == owner.generation;
      ++(its ? of_victim : of_dead);
    }
    return of_victim != 0        ? "holds"
           : of_dead == kPermits ? "all are the dead's"
           : of_dead != 0        ? "some are the dead's"
                                 : "free";
  }
  // The victim stands still: somebody else gets a permit, and keeps it.
  void interfere() override { kept_ = semaphore_.try_acquire_for(1ms); }
  void rescue() override { use(); }
  Verdict survive(bool) override {
    if (kept_ && !semaphore_.release()) fault(Fault::Kind::kLost, "a permit of one who lives");
    if (*refused_) fault(Fault::Kind::kLost, "the victim's permit, while it lived");
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < kPermits; ++i) {
      if (semaphore_.try_acquire_for(patience_)) continue;
      fault(Fault::Kind::kHung, "not all permits came back");
      return verdict_;
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (semaphore_.try_acquire_for(1ms)) fault(Fault::Kind::kDoubled, "a permit too many");
    for (std::uint32_t i = 0; i < kPermits; ++i) {
      if (!semaphore_.release()) fault(Fault::Kind::kLost, "a permit of the survivor");
    }
    if (semaphore_.release()) fault(Fault::Kind::kDoubled, "a permit was released that nobody held");
    if (Child([&] { return semaphore_.try_acquire_for(kPatience) && semaphore_.release() ? 0 : 1; }).join().code != 0)
      fault(Fault::Kind::kHung, "a new process gets none");
    const auto freed = [&] { return attachment().sweep(), lanes_of_others(attachment()) == 0; };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    return verdict_;
  }

 private:
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  BoundedOperation operation_;
  std::chrono::nanoseconds patience_;
  BoundedSemaphore semaphore_;
  Shared<bool> refused_{false};
  bool kept_ = false;
  Verdict verdict_;
};

inline constexpr BoundedOperation kUse{.name = "use", .run = [](BoundedTrial& t) { t.use(); }};
inline constexpr BoundedOperation kBoundedAcquire{.name = "acquire",
                                                  .run = [](BoundedTrial& t) { t.semaphore().acquire(); }};
inline constexpr BoundedOperation kRelease{
    .name = "release", .run = [](BoundedTrial& t) { t.release(); }, .holds = true};

inline constexpr BoundedState kAllFree{.name = "free"};
inline constexpr BoundedState kOneIsDeads{.name = "one_is_a_deads", .dead = 1};
inline constexpr BoundedState kAllAreDeads{.name = "all_are_deads", .dead = 2};

}  // namespace warren::test
