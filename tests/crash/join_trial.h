// One call of task_done(), join() or a pop of a Queue in one state, its victim, and the survivors' account: every item
// is done or told to be lost, once, and nothing is told to be lost that somebody living has.
#pragma once
#include <warren/ipc/detail/take_ledger.h>
#include <warren/ipc/queue.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "crash/shared_trial.h"

namespace warren::test {

struct JoinState {
  const char* name;
  std::uint32_t items = 3;     // that are pushed
  std::uint32_t survivor = 0;  // of these, that a survivor has popped
  std::uint32_t dead = 0;      // that a killed consumer has popped
  bool swept = false;          // it was found dead
};

class JoinTrial;
struct JoinOperation {
  const char* name;
  void (*run)(JoinTrial& trial);
  std::uint32_t holds = 0;  // items that the victim has popped when the operation begins
  bool hands_over = false;
};

class JoinTrial : public Trial {
 public:
  JoinTrial(const JoinState& state, const JoinOperation& operation, std::chrono::nanoseconds patience = kPatience)
      : operation_(operation), patience_(patience), queue_(Queue<int>::create({.capacity = 8}).value()) {
    set_waits(200us);
    for (std::uint32_t i = 0; i < state.items + state.dead; ++i) (void)queue_.push(1);
    if (state.dead != 0) {
      (void)Child([&] {
        for (std::uint32_t i = 0; i < state.dead; ++i) (void)queue_.pop();
      }).join();
      if (state.swept) (void)attachment().sweep();
    }
    for (std::uint32_t i = 0; i < state.survivor; ++i) mine_ += queue_.pop().has_value();
    already_lost_ = state.dead;
  }

  // --- what victims do

  Queue<int>& queue() { return queue_; }
  detail::Attachment& attachment() { return Reach::attachment(queue_); }
  layout::MpmcRingHeader& header() { return *reinterpret_cast<layout::MpmcRingHeader*>(attachment().object()); }
  void pop() { (void)queue_.try_pop(); }
  void pop_n() {
    std::array<int, 3> out;
    (void)queue_.try_pop_n(out);
  }
  void task_done() { (void)queue_.task_done(); }
  void join() { (void)queue_.join_for(0ms); }
  // What join() does but for looking for the dead, which takes thousands of instructions.
  void join_without_sweep() {
    detail::TakeLedger ledger(attachment(), header());
    std::atomic<std::uint32_t> told{0};
    (void)ledger.join(
        Deadline::after(0ms), told, [] { return detail::Progress::kBlocked; }, [] { return std::uint64_t{0}; }, [] {});
  }
  // What ending its thread does.
  void hand_over() {
    detail::hand_over_takes(attachment(), *attachment().seat().lane,
                            attachment().lane(attachment().process_lane(attachment().seat()).index));
  }

  // --- Trial

  void warm() override {
    set_waits(200ms, 1us);
    (void)attachment().process_lane(attachment().seat());
    for (std::uint32_t i = 0; i < operation_.holds; ++i) (void)queue_.pop();
  }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t victim) override {
    std::uint64_t taking = 0, taken = 0, finished = 0;
    for (std::uint32_t i = 0; i < attachment().lanes_high(); ++i) {
      const layout::Lane& lane = attachment().lane(i);
      if (layout::LaneIdentity::from(lane.identity.load()).pid != static_cast<std::uint32_t>(victim)) continue;
      taking += lane.taking.load();
      taken += lane.taken.load();
      finished += lane.finished.load();
    }
    if (operation_.hands_over && taking == 0) return taken == operation_.holds ? "before" : "after";
    if (operation_.hands_over && taken != operation_.holds) return finished == 0 ? "credited" : "handed over";
    const std::uint64_t gone = taken_now() - mine_ - already_lost_;
    const std::uint64_t settled = settled_now().items;
    if (settled_now().lost != 0) return "written off";
    if (taking == 0) return gone == operation_.holds && settled == 0 && taken == finished + gone ? "before" : "after";
    if (gone != taken) return "taken";
    if (gone > operation_.holds) return "counted";
    if (settled != 0) return "settled";
    return finished != 0 || mine_now() != mine_ ? "debited" : "announced";
  }

  // The victim stands still, and lives: whatever it has got is no loss. Others go on.
  void interfere() override {
    const auto look = [&] {
      const absl::Status status = queue_.join_for(0ms);
      if (absl::IsAborted(status)) told_ += lost_in(status);
      if (told_ > already_lost_) fault(Fault::Kind::kOther, "told to be lost, while who has it lives");
    };
    look();
    if (queue_.try_pop()) ++mine_;
    look();
    if (queue_.try_pop()) {
      ++mine_;
      if (queue_.task_done()) --mine_;
    }
    look();
  }
  // A second victim, who meets what the first one left.
  void rescue() override {
    set_waits(200us);
    (void)queue_.join_for(1ms);
    if (queue_.try_pop()) (void)queue_.task_done();
    (void)queue_.join_for(1ms);
  }
  void loosen() override { exact_ = false; }

  Verdict survive(bool) override {
    // At rest now, all but this process dead: what is taken and not settled, and not here, is lost.
    const std::uint64_t settled = settled_now().items;
    const std::uint64_t lost = taken_now() - settled - mine_now() + settled_now().lost;
    const auto begin = std::chrono::steady_clock::now();
    while (queue_.try_pop_for(1ms)) {
    }
    // Not until it says false: what a dead one has, before it is swept, others may finish, too.
    for (std::uint64_t n = mine_now(); n != 0; --n) {
      if (!queue_.task_done()) fault(Fault::Kind::kLost, "an item of one who lives");
    }
    for (;;) {
      const absl::Status status = queue_.join_for(patience_);
      if (status.ok()) break;
      if (!absl::IsAborted(status)) {
        fault(Fault::Kind::kHung, "join() waits for what nobody has");
        return verdict_;
      }
      told_ += lost_in(status);
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (told_ != lost) {
      fault(told_ < lost ? Fault::Kind::kLost : Fault::Kind::kOther,
            "told that " + std::to_string(told_) + " are lost, it is " + std::to_string(lost));
    }
    if (exact_ && told_ < already_lost_) fault(Fault::Kind::kLost, "a loss is never told");
    if (settled_now().items != taken_now()) fault(Fault::Kind::kLeft, "the accounts do not agree");
    if (!queue_.join_for(0ms).ok()) fault(Fault::Kind::kOther, "told twice");
    if (queue_.task_done()) fault(Fault::Kind::kDoubled, "an item was done twice");
    if (!queue_.push(1) || !absl::IsDeadlineExceeded(queue_.join_for(0ms)) || !queue_.pop() || !queue_.task_done() ||
        !queue_.join_for(patience_).ok())
      fault(Fault::Kind::kHung, "it does not serve on");
    verdict_.buried = queue_.stats().buried;
    const auto freed = [&] { return attachment().sweep(), lanes_of_others(attachment()) == 0; };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    return verdict_;
  }

 private:
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }
  static std::uint64_t lost_in(const absl::Status& status) {
    const int number = std::atoi(std::string(status.message()).c_str());
    return number == 0 ? 1 : static_cast<std::uint64_t>(number);  // "an item is lost"
  }
  std::uint64_t taken_now() {
    const std::uint64_t head = header().head.load();
    return head - layout::Burials::from(header().burials.load()).passed(head);
  }
  layout::Settled settled_now() { return layout::Settled::from(header().takes.settled.load()); }
  // What this process's lanes have.
  std::uint64_t mine_now() {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < attachment().lanes_high(); ++i) {
      const layout::Lane& lane = attachment().lane(i);
      if (layout::LaneIdentity::from(lane.identity.load()).pid == static_cast<std::uint32_t>(::getpid()))
        sum += lane.taken.load() - lane.finished.load();
    }
    return sum;
  }

  JoinOperation operation_;
  std::chrono::nanoseconds patience_;
  Queue<int> queue_;
  std::uint64_t mine_ = 0, told_ = 0, already_lost_ = 0;
  bool exact_ = true;
  Verdict verdict_;
};

inline constexpr JoinOperation kJoinPop{.name = "pop", .run = [](JoinTrial& t) { t.pop(); }};
inline constexpr JoinOperation kJoinPopN{.name = "pop_n", .run = [](JoinTrial& t) { t.pop_n(); }};
inline constexpr JoinOperation kTaskDone{.name = "task_done", .run = [](JoinTrial& t) { t.task_done(); }, .holds = 1};
// An item that somebody else has popped.
inline constexpr JoinOperation kTaskDoneOfAnother{.name = "task_done_of_another",
                                                  .run = [](JoinTrial& t) { t.task_done(); }};
inline constexpr JoinOperation kHandOver{
    .name = "hand_over", .run = [](JoinTrial& t) { t.hand_over(); }, .holds = 2, .hands_over = true};
inline constexpr JoinOperation kJoin{.name = "join", .run = [](JoinTrial& t) { t.join(); }};
inline constexpr JoinOperation kJoinWithoutSweep{.name = "join_without_sweep",
                                                 .run = [](JoinTrial& t) { t.join_without_sweep(); }};

inline constexpr JoinState kQueued{.name = "queued"};
inline constexpr JoinState kSurvivorHasOne{.name = "a_survivor_has_one", .items = 2, .survivor = 1};
inline constexpr JoinState kLostOne{.name = "one_is_lost", .items = 2, .dead = 1};
inline constexpr JoinState kLostAndSwept{.name = "two_are_lost_and_swept", .items = 2, .dead = 2, .swept = true};

}  // namespace warren::test
