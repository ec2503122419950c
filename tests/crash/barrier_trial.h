// One operation on a Barrier, its victim, a bystander who waits there, and the survivors' checks.
#pragma once
#include <warren/ipc/barrier.h>

#include <vector>

#include "crash/shared_trial.h"

namespace warren::test {

class BarrierTrial;
struct BarrierOperation {
  const char* name;
  void (*run)(BarrierTrial& trial);
  std::uint32_t parties = 2;
  bool bystander = true;  // somebody waits when the victim comes
  bool broken = false;    // when the victim comes
};

class BarrierTrial : public Trial {
 public:
  explicit BarrierTrial(const BarrierOperation& operation, std::chrono::nanoseconds patience = kPatience)
      : operation_(operation), patience_(patience), barrier_(Barrier::create(operation.parties).value()) {
    set_waits(200us);
    if (operation.broken) barrier_.abort();
    if (!operation.bystander) return;
    bystander_ = std::make_unique<Child>([this] {
      set_waits(1ms);
      bystanders_->set(barrier_.arrive_and_wait());
    });
    const auto sleeps = [&] { return (words().waiters.load() & 1) != 0 && process_state(bystander_->pid()) == 'S'; };
    if (!eventually(sleeps, kPatience)) fault(Fault::Kind::kOther, "the bystander does not sleep");
  }

  // --- what victims do

  void arrive(Timeout patience = kForever) { victims_->set(barrier_.arrive_and_wait_for(patience)); }
  void passed(std::uint32_t order) { victims_->set(order); }
  Barrier& barrier() { return barrier_; }
  layout::Barrier& words() { return *reinterpret_cast<layout::Barrier*>(Reach::attachment(barrier_).object()); }

  // --- Trial

  // A party already, as who opened it by name. It sleeps until it is woken: slices would all be stepped.
  void warm() override {
    set_waits(kPatience);
    detail::Attachment& attachment = Reach::attachment(barrier_);
    const detail::LaneRef lane = attachment.process_lane(attachment.seat());
    attachment.lane(lane.index).announcement.store(layout::barrier_party(lane.generation));
  }
  void operation() override { operation_.run(*this); }
  void wake_victim() override {
    if (layout::BarrierState::from(words().state.load()).generation == 0) (void)barrier_.arrive_and_wait_for(kPatience);
  }
  std::string window(pid_t) override {
    const auto state = layout::BarrierState::from(words().state.load());
    if (state.broken != layout::BarrierState::Broken::kNo) return "broken";
    if (state.generation != 0) return (state.voided & 1) != 0 ? "reset" : "completed";
    return state.value == (bystander_ ? 1u : 0u) ? "not arrived" : "arrived";
  }
  // The victim stands still: somebody else breaks the barrier, or finds that it is through.
  void interfere() override { barrier_.abort(); }
  // Deals with the deaths so far, too: nobody need be told of them afterwards.
  void rescue() override {
    *rescued_ = true;
    barrier_.abort();
    barrier_.reset();
  }
  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    // Who comes now in the victim's place: through, if that had arrived, or told of its death.
    if (!bystander_ && !finished) {
      const absl::StatusOr<std::uint32_t> order = barrier_.arrive_and_wait_for(*rescued_ ? 100ms : kPatience);
      if (!order.ok() && by_timeout() && !*rescued_) fault(Fault::Kind::kHung, "nobody is told of the death");
    }
    see_bystander_off(finished);
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    const auto freed = [&] {
      return Reach::attachment(barrier_).sweep(), lanes_of_others(Reach::attachment(barrier_)) == 0;
    };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    use_it_again();
    return verdict_;
  }

 protected:
  struct Result {
    std::atomic<int> order{-1};  // -1: not back, -2: Aborted
    void set(const absl::StatusOr<std::uint32_t>& result) { order = result.ok() ? static_cast<int>(*result) : -2; }
    [[nodiscard]] bool back() const { return order != -1; }
    [[nodiscard]] bool through() const { return order >= 0; }
  };

 private:
  [[nodiscard]] bool by_timeout() {
    return layout::BarrierState::from(words().state.load()).broken == layout::BarrierState::Broken::kByTimeout;
  }
  void see_bystander_off(bool finished) {
    if (!bystander_) return;
    const std::optional<Ended> end = ended_within(*bystander_, patience_);
    if (!end || !end->well()) fault(Fault::Kind::kHung, "the bystander is told nothing");
    if (finished && victims_->back() && victims_->through() != bystanders_->through())
      fault(Fault::Kind::kTorn, "one of a generation is through, the other is not");
    if (bystanders_->through() && words().state.load() >> 32 == 0)
      fault(Fault::Kind::kOther, "the bystander passed early");
    bystander_.reset();
  }
  void use_it_again() {
    barrier_.abort();
    barrier_.reset();
    std::vector<Child> others;
    for (std::uint32_t i = 1; i < operation_.parties; ++i) {
      others.emplace_back([&] { return barrier_.arrive_and_wait_for(kPatience).ok() ? 0 : 1; });
    }
    if (!barrier_.arrive_and_wait_for(kPatience).ok()) fault(Fault::Kind::kHung, "it does not work any more");
    for (Child& other : others) {
      if (!other.join().well()) fault(Fault::Kind::kHung, "nor for others");
    }
  }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  BarrierOperation operation_;
  std::chrono::nanoseconds patience_;
  Barrier barrier_;
  Shared<Result> victims_, bystanders_;
  Shared<std::atomic<bool>> rescued_;
  std::unique_ptr<Child> bystander_;
  Verdict verdict_;
};

inline constexpr BarrierOperation kArriveLast{.name = "arrive_last", .run = [](BarrierTrial& t) { t.arrive(); }};
inline constexpr BarrierOperation kArriveFirst{
    .name = "arrive_first", .run = [](BarrierTrial& t) { t.arrive(); }, .bystander = false};
inline constexpr BarrierOperation kTimeOut{
    .name = "time_out", .run = [](BarrierTrial& t) { t.arrive(0ms); }, .parties = 3};
inline constexpr BarrierOperation kAbort{.name = "abort", .run = [](BarrierTrial& t) { t.barrier().abort(); }};
inline constexpr BarrierOperation kReset{.name = "reset", .run = [](BarrierTrial& t) { t.barrier().reset(); }};
inline constexpr BarrierOperation kResetBroken{
    .name = "reset_broken", .run = [](BarrierTrial& t) { t.barrier().reset(); }, .bystander = false, .broken = true};

}  // namespace warren::test
