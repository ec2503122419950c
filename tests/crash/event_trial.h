// One operation on an Event in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/event.h>

#include "crash/sync_trial.h"

namespace warren::test {

struct EventState {
  const char* name;
  bool set = false;
  Waiters waiters = Waiters::kNone;
};

class EventTrial;
struct EventOperation {
  const char* name;
  void (*run)(EventTrial& trial);
  enum class After { kSet, kClear, kWaited } after;
};

class EventTrial : public SyncTrial {
 public:
  EventTrial(const EventState& state, const EventOperation& operation)
      : state_(state), operation_(operation), event_(Event::create().value()) {
    if (state.set) event_.set();
  }
  // After construction: a control may wait in its own way.
  void put_waiters_to_sleep() {
    if (state_.waiters != Waiters::kNone) add_bystander([this] { wait(); }, state_.waiters == Waiters::kStopped);
  }

  Event& event() { return event_; }
  layout::Event& words() { return *reinterpret_cast<layout::Event*>(Reach::attachment(event_).object()); }
  virtual void wait() { event_.wait(); }

  // --- Trial

  void warm() override {
    set_waits(kPatience);  // so that it is found asleep
    (void)Reach::attachment(event_).seat();
  }
  void operation() override { operation_.run(*this); }
  void wake_victim() override {
    if (event_.is_set()) fault(Fault::Kind::kHung, "the victim sleeps though it is set");
    event_.set();
  }
  std::string window(pid_t) override {
    const layout::EventState now = look();
    return std::string(now.set ? "set" : "clear") + (now.sets == began().sets ? "" : ", anew");
  }
  // The victim stands still: another one sets it, or waits.
  void interfere() override {
    if (operation_.after != EventOperation::After::kSet) event_.set();
    interfered_ = look();
    if (!interfered_->set) add_bystander([this] { wait(); });
  }
  void rescue() override {
    set_waits(200us);
    event_.set();
    event_.clear();
  }
  Verdict survive(bool finished) override {
    set_waits(200us);
    const auto begin = std::chrono::steady_clock::now();
    const layout::EventState now = look();
    if (finished && !interfered_) check_result(now);
    if (interfered_ && now.sets < interfered_->sets) fault(Fault::Kind::kLost, "a set was undone");
    go_on();
    const layout::EventState since = interfered_.value_or(began());
    const bool owed = now.set || now.sets != since.sets;
    if (!owed) event_.set();
    see_bystanders_off();
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    event_.clear();
    if (event_.is_set() || event_.wait_for(1ms)) fault(Fault::Kind::kOther, "clear, and it is set");
    add_bystander([this] { event_.wait(); });
    event_.set();
    see_bystanders_off();
    expect_lanes_freed(Reach::attachment(event_));
    return verdict_;
  }

 private:
  using After = EventOperation::After;
  [[nodiscard]] layout::EventState look() { return layout::EventState::from(words().state.load()); }
  [[nodiscard]] layout::EventState began() const { return {.sets = state_.set ? 1u : 0u, .set = state_.set}; }
  void check_result(const layout::EventState& now) {
    if (operation_.after == After::kSet && !now.set) fault(Fault::Kind::kLost, "what was set");
    if (operation_.after == After::kClear && now.set) fault(Fault::Kind::kLost, "what was cleared");
  }

  EventState state_;
  EventOperation operation_;
  Event event_;
  std::optional<layout::EventState> interfered_;
};

inline constexpr EventOperation kSetIt{
    .name = "set", .run = [](EventTrial& t) { t.event().set(); }, .after = EventOperation::After::kSet};
inline constexpr EventOperation kClearIt{
    .name = "clear", .run = [](EventTrial& t) { t.event().clear(); }, .after = EventOperation::After::kClear};
inline constexpr EventOperation kPulse{.name = "pulse",
                                       .run = [](EventTrial& t) { t.event().set(), t.event().clear(); },
                                       .after = EventOperation::After::kClear};
inline constexpr EventOperation kAwait{
    .name = "wait", .run = [](EventTrial& t) { t.event().wait(); }, .after = EventOperation::After::kWaited};
inline constexpr EventOperation kLookForIt{.name = "wait_for_0",
                                           .run = [](EventTrial& t) { (void)t.event().wait_for(0s); },
                                           .after = EventOperation::After::kWaited};

inline constexpr EventState kClearEvent{.name = "clear"};
inline constexpr EventState kSetEvent{.name = "set", .set = true};
inline constexpr EventState kAwaited{.name = "awaited", .waiters = Waiters::kAsleep};
inline constexpr EventState kAwaitedByStopped{.name = "awaited_by_stopped", .waiters = Waiters::kStopped};

template <class T = EventTrial>
std::unique_ptr<Trial> make_event_trial(const EventState& state, const EventOperation& operation) {
  auto trial = std::make_unique<T>(state, operation);
  trial->put_waiters_to_sleep();
  return trial;
}

}  // namespace warren::test
