// One operation on a Mutex in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/mutex.h>

#include "crash/shared_trial.h"

namespace warren::test {

struct MutexState {
  const char* name;
  // When the victim comes. kFoundDead: a sweep has given its lane back.
  enum class Owner { kNobody, kDead, kFoundDead } owner = Owner::kNobody;
  bool told = false;  // an owner died earlier, and nobody has said that all is well
};

class MutexTrial;
struct MutexOperation {
  const char* name;
  void (*run)(MutexTrial& trial);
  bool holds = false;  // the victim has the mutex when the operation begins
};

class MutexTrial : public Trial {
 public:
  MutexTrial(const MutexState& state, const MutexOperation& operation)
      : state_(state), operation_(operation), mutex_(Mutex::create().value()) {
    set_waits(200us);
    if (state.told || state.owner != MutexState::Owner::kNobody) {
      (void)Child([&] { mutex_.lock(), tear(); }).join();
    }
    if (state.owner == MutexState::Owner::kFoundDead) (void)Reach::attachment(mutex_).sweep();
    if (state.told) mutex_.lock(), mutex_.unlock();
  }

  // --- what victims do

  // What the mutex guards is torn for a moment.
  void update() {
    mutex_.lock();
    tear();
    mend();
    mutex_.unlock();
  }
  void repair() {
    mutex_.lock();
    mend();
    mutex_.consistent();
    mutex_.unlock();
  }
  Mutex& mutex() { return mutex_; }
  void tear() { ++guarded_->first; }
  void mend() { guarded_->second = guarded_->first.load(); }

  // --- Trial

  void warm() override {
    (void)Reach::attachment(mutex_).seat();
    if (operation_.holds) mutex_.lock(), tear();
  }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t victim) override {
    const auto state = layout::MutexState::from(words().state.load());
    if (!state.held) return state.inconsistent ? "free, told" : "free";
    const auto lane = layout::LaneIdentity::from(Reach::attachment(mutex_).lane(state.lane).identity.load());
    const bool the_victims = lane.pid == static_cast<std::uint32_t>(victim) && lane.generation == state.generation;
    if (!the_victims) return "held by the dead";
    if (words().holder == 0) return "held, not named";
    return state.inconsistent ? "held, told" : "held";
  }
  // The victim stands still: whoever gets the mutex meanwhile finds nobody in it.
  void interfere() override {
    if (!mutex_.try_lock_for(1ms)) return;
    check_guarded("another one, meanwhile");
    tear();
    mend();
    mutex_.unlock();
  }
  void rescue() override { repair(); }
  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    const bool victim_held = held_by_another();
    if (!mutex_.try_lock_for(kPatience)) {
      fault(Fault::Kind::kHung, "nobody gets the mutex any more");
      return verdict_;
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (victim_held && !mutex_.owner_died()) fault(Fault::Kind::kLost, "the death of the owner");
    if (finished && state_.owner == MutexState::Owner::kNobody && !state_.told && mutex_.owner_died())
      fault(Fault::Kind::kOther, "told of a death, though nobody died");
    check_guarded("the survivor");
    mutex_.unlock();
    repair();
    mutex_.lock();
    if (mutex_.owner_died() || !mutex_.owner_death().ok()) fault(Fault::Kind::kLeft, "a death that was repaired");
    mutex_.unlock();
    if (Child([&] { return mutex_.try_lock_for(kPatience) && mutex_.unlock() ? 0 : 1; }).join().code != 0)
      fault(Fault::Kind::kHung, "a new process does not get it");
    const auto freed = [&] {
      return Reach::attachment(mutex_).sweep(), lanes_of_others(Reach::attachment(mutex_)) == 0;
    };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    return verdict_;
  }

 protected:
  layout::Mutex& words() { return *reinterpret_cast<layout::Mutex*>(Reach::attachment(mutex_).object()); }

 private:
  struct Guarded {
    std::atomic<std::uint64_t> first, second;
  };
  [[nodiscard]] bool held_by_another() { return layout::MutexState::from(words().state.load()).held; }
  // Torn, and nobody said so.
  void check_guarded(const std::string& who) {
    if (guarded_->first != guarded_->second && !mutex_.owner_died()) fault(Fault::Kind::kTorn, who + " is not told");
  }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  MutexState state_;
  MutexOperation operation_;
  Mutex mutex_;
  Shared<Guarded> guarded_;
  Verdict verdict_;
};

inline constexpr MutexOperation kUpdate{.name = "update", .run = [](MutexTrial& t) { t.update(); }};
inline constexpr MutexOperation kTryLock{
    .name = "try_lock", .run = [](MutexTrial& t) { (void)(t.mutex().try_lock() && t.mutex().unlock()); }};
inline constexpr MutexOperation kUnlock{
    .name = "unlock", .run = [](MutexTrial& t) { t.mend(), t.mutex().unlock(); }, .holds = true};
inline constexpr MutexOperation kRepair{.name = "repair", .run = [](MutexTrial& t) { t.repair(); }};

inline constexpr MutexState kFree{.name = "free"};
inline constexpr MutexState kOwnerDead{.name = "owner_dead", .owner = MutexState::Owner::kDead};
inline constexpr MutexState kOwnerFoundDead{.name = "owner_found_dead", .owner = MutexState::Owner::kFoundDead};
inline constexpr MutexState kTold{.name = "told", .told = true};

}  // namespace warren::test
