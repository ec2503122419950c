// One operation on a SharedMutex in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/shared_mutex.h>

#include "crash/shared_trial.h"

namespace warren::test {

struct SharedMutexState {
  const char* name;
  // When the victim comes; a sweep has given the dead's lanes back.
  bool dead_reader = false;
  bool dead_writer = false;
};

class SharedMutexTrial;
struct SharedMutexOperation {
  const char* name;
  void (*run)(SharedMutexTrial& trial);
};

class SharedMutexTrial : public Trial {
 public:
  SharedMutexTrial(const SharedMutexState& state, const SharedMutexOperation& operation)
      : state_(state), operation_(operation), mutex_(SharedMutex::create().value()) {
    set_waits(200us);
    if (state.dead_reader) (void)Child([&] { mutex_.lock_shared(); }).join();
    if (state.dead_writer) (void)Child([&] { mutex_.lock(), tear(); }).join();
    (void)attachment().sweep();
  }

  // --- what victims do

  // What the mutex guards is torn for a moment.
  void write() {
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
  void read() {
    mutex_.lock_shared();
    *reads_ = true;
    if (torn_and_not_told()) *torn_ = true;
    *reads_ = false;
    mutex_.unlock_shared();
  }
  SharedMutex& mutex() { return mutex_; }
  detail::Attachment& attachment() { return Reach::attachment(mutex_); }
  layout::SharedMutex& words() { return *reinterpret_cast<layout::SharedMutex*>(attachment().object()); }
  void tear() { ++guarded_->first; }
  void mend() { guarded_->second = guarded_->first.load(); }
  void mark_reading(bool reads) { *reads_ = reads; }

  // --- Trial

  void warm() override { (void)attachment().seat(); }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t) override {
    const bool written = layout::MutexState::from(words().writer.state.load()).held;
    bool announced = false;
    for (const layout::ReaderCell& cell : words().cells) announced |= cell.owner != 0;
    return written ? (announced ? "written and read" : "written") : announced ? "read" : "free";
  }
  // The victim stands still: whoever gets in meanwhile is alone where it writes, and finds nothing torn.
  void interfere() override {
    if (mutex_.try_lock_shared_for(1ms)) {
      check_guarded("a reader, meanwhile");
      mutex_.unlock_shared();
    }
    if (!mutex_.try_lock_for(1ms)) return;
    if (*reads_) fault(Fault::Kind::kTorn, "a writer beside a reader");
    check_guarded("a writer, meanwhile");
    tear();
    mend();
    mutex_.unlock();
  }
  void rescue() override {
    read();
    repair();
  }
  Verdict survive(bool finished) override {
    if (*torn_) fault(Fault::Kind::kTorn, "the victim, reading, was not told");
    const auto begin = std::chrono::steady_clock::now();
    if (!mutex_.try_lock_shared_for(kPatience)) return hung("nobody reads any more");
    check_guarded("the surviving reader");
    mutex_.unlock_shared();
    if (!mutex_.try_lock_for(kPatience)) return hung("nobody writes any more");
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (finished && !state_.dead_writer && mutex_.owner_died())
      fault(Fault::Kind::kOther, "told of a death, though no writer died");
    check_guarded("the surviving writer");
    mutex_.unlock();
    repair();
    mutex_.lock_shared();
    if (mutex_.owner_died() || !mutex_.owner_death().ok()) fault(Fault::Kind::kLeft, "a death that was repaired");
    if (Child([&] { return mutex_.try_lock_shared_for(kPatience) && mutex_.unlock_shared() ? 0 : 1; }).join().code != 0)
      fault(Fault::Kind::kHung, "a new process does not read beside this one");
    mutex_.unlock_shared();
    const auto freed = [&] { return attachment().sweep(), lanes_of_others(attachment()) == 0; };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    for (const layout::ReaderCell& cell : words().cells) {
      if (cell.owner != 0) return fault(Fault::Kind::kLeft, "a reader's cell"), verdict_;
    }
    return verdict_;
  }

 private:
  struct Guarded {
    std::atomic<std::uint64_t> first, second;
  };
  // Torn, and nobody said so.
  [[nodiscard]] bool torn_and_not_told() { return guarded_->first != guarded_->second && !mutex_.owner_died(); }
  void check_guarded(const std::string& who) {
    if (torn_and_not_told()) fault(Fault::Kind::kTorn, who + " is not told");
  }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }
  Verdict hung(const char* what) { return fault(Fault::Kind::kHung, what), verdict_; }

  SharedMutexState state_;
  SharedMutexOperation operation_;
  SharedMutex mutex_;
  Shared<Guarded> guarded_;
  Shared<std::atomic<bool>> reads_{false}, torn_{false};
  Verdict verdict_;
};

inline constexpr SharedMutexOperation kWrite{.name = "write", .run = [](SharedMutexTrial& t) { t.write(); }};
inline constexpr SharedMutexOperation kRead{.name = "read", .run = [](SharedMutexTrial& t) { t.read(); }};
inline constexpr SharedMutexOperation kTryWrite{
    .name = "try_write", .run = [](SharedMutexTrial& t) { (void)(t.mutex().try_lock() && t.mutex().unlock()); }};
inline constexpr SharedMutexOperation kRepairShared{.name = "repair", .run = [](SharedMutexTrial& t) { t.repair(); }};

inline constexpr SharedMutexState kUnlocked{.name = "free"};
inline constexpr SharedMutexState kReaderDead{.name = "reader_dead", .dead_reader = true};
inline constexpr SharedMutexState kWriterDead{.name = "writer_dead", .dead_writer = true};

}  // namespace warren::test
