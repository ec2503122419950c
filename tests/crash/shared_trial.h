// What trials of every queue have in common: the history, what the victim reports, waits that are short enough for a
// harness, and the look at the lanes of the dead.
#pragma once
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/handle.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "support/child.h"
#include "support/history.h"
#include "support/kill_sweep.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/watch.h"

namespace warren::test {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""s;

inline constexpr std::chrono::nanoseconds kPatience = 10s;  // survivors that need longer hang
inline constexpr std::chrono::nanoseconds kSlice = 20ms;    // of bystanders: what a lost wake-up costs at most

// Waits of this process, and of what it forks: short and without spinning, whose turns would all be stepped.
inline void set_waits(std::chrono::nanoseconds slice, std::chrono::nanoseconds stall = 200us) {
  detail::WaitTuning& tuning = detail::wait_tuning();
  tuning.slice_min_ns = slice.count();
  tuning.slice_max_ns = slice.count();
  tuning.look_ns = slice.count();  // it sweeps before it would look
  tuning.line_look_ns = slice.count();
  tuning.slice_per_lane_ns = 0;
  tuning.stall_ns = stall.count();
  tuning.short_look_ticks = 0;  // "empty" is the truth: survivors that never sleep drain by it
  tuning.spins = false;
}

// Lanes that processes other than this one hold; all that is left of a victim.
inline std::size_t lanes_of_others(const detail::Attachment& attachment) {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < attachment.lanes_high(); ++i) {
    const auto identity = layout::LaneIdentity::from(attachment.lane(i).identity.load());
    count +=
        identity.phase != layout::LaneIdentity::Phase::kFree && identity.pid != static_cast<std::uint32_t>(::getpid());
  }
  return count;
}

// The position + 1 that a process announces; 0: none.
inline std::uint64_t announcement_of(const detail::Attachment& attachment, pid_t pid) {
  for (std::uint32_t i = 0; i < attachment.lanes_high(); ++i) {
    const layout::Lane& lane = attachment.lane(i);
    if (layout::LaneIdentity::from(lane.identity.load()).pid != static_cast<std::uint32_t>(pid)) continue;
    if (const std::uint64_t announced = lane.announcement.load(); announced != 0) return announced;
  }
  return 0;
}

inline constexpr std::size_t kMostAtOnce = 4;

// What the victim's operation gave, written by the victim itself; the tracer logs it.
template <class Item>
struct Outcome {
  std::array<Item, kMostAtOnce> items;
  std::size_t count;
  bool done;
};

template <std::size_t N>
class SharedTrial : public Trial {
 protected:
  using T = Item<N>;
  enum Who : std::size_t { kSurvivor, kVictim, kEarlier, kBystander, kRescuer, kActors };
  enum class Side { kPushes, kPops };

  History::Actor& log(Who who) { return history_.actor(who); }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  // The victim's items are numbered before it starts, its results logged after it ended: neither is stepped.
  void victim_pushes(std::size_t count) {
    const ItemId first = log(kVictim).push_begins(count);
    for (std::size_t i = 0; i < count; ++i) items_[i] = make_item<N>(first + i);
    pushing_ = count;
  }
  void victim_pops(std::size_t most) {
    log(kVictim).pop_begins(most);
    popping_ = most;
  }
  void log_outcome() {
    if (!outcome_->done) return;
    if (pushing_ != 0) log(kVictim).push_ends(outcome_->count);
    for (std::size_t i = 0; popping_ != 0 && i < outcome_->count; ++i) log(kVictim).popped(id_of(outcome_->items[i]));
    if (popping_ != 0) log(kVictim).pop_ends();
  }
  std::span<const T> items() const { return std::span(items_).first(pushing_); }
  void report(std::size_t count) {
    outcome_->count = count;
    outcome_->done = true;
  }

  // Not just "at most once": what had been committed when the victim died, and only that, came out. Of an operation
  // that pushes or pops, which did so many before its end.
  void expect_exactly(const Account& account, bool pushes, bool pops, std::size_t committed, std::size_t taken) {
    const bool done = outcome_->done;
    if (pushes && !done && account.maybe_popped != committed) {
      fault(account.maybe_popped < committed ? Fault::Kind::kLost : Fault::Kind::kOther,
            std::to_string(committed) + " were committed, " + std::to_string(account.maybe_popped) + " came out");
    }
    const std::size_t taken_along = pops && !done ? taken : 0;
    if (account.lost != taken_along) {
      fault(Fault::Kind::kLost,
            std::to_string(account.lost) + " gone, " + std::to_string(taken_along) + " taken along");
    }
  }

  template <class Queue>
  bool push_one(Queue& queue, std::chrono::nanoseconds patience) {
    const ItemId id = log(self_).push_begins();
    const bool pushed = queue.try_push_for(make_item<N>(id), patience);
    log(self_).push_ends(pushed);
    return pushed;
  }
  template <class Queue>
  bool pop_one(Queue& queue, std::chrono::nanoseconds patience) {
    log(self_).pop_begins();
    const std::optional<T> item = queue.try_pop_for(patience);
    if (item) log(self_).popped(id_of(*item));
    log(self_).pop_ends();
    return item.has_value();
  }

  // Somebody who has long been asleep in pop() or push() when the victim starts.
  template <class Queue>
  void put_bystander_to_sleep(Queue& queue, Side side, const std::atomic<std::uint32_t>& word) {
    const ItemId id = side == Side::kPushes ? log(kBystander).push_begins() : 0;
    if (side == Side::kPops) log(kBystander).pop_begins();
    bystander_ = std::make_unique<Child>([&, side, id]() -> int {
      set_waits(kSlice);
      if (side == Side::kPushes) {
        const bool pushed = queue.try_push_for(make_item<N>(id), patience_);
        log(kBystander).push_ends(pushed);
        return pushed ? 0 : 1;
      }
      const std::optional<T> item = queue.try_pop_for(patience_);
      if (item) log(kBystander).popped(id_of(*item));
      log(kBystander).pop_ends();
      return item ? 0 : 1;
    });
    const auto sleeps = [&] { return (word.load() & 1) != 0 && process_state(bystander_->pid()) == 'S'; };
    if (!eventually(sleeps, patience_)) fault(Fault::Kind::kOther, "the bystander does not sleep");
  }
  // What it waits for has come; nobody else may be needed to tell it.
  void see_bystander_off() {
    if (!bystander_) return;
    const std::optional<Ended> end = ended_within(*bystander_, patience_);
    if (!end || !end->well()) fault(Fault::Kind::kHung, "the bystander was not woken");
    bystander_.reset();
  }

  // The lanes of the dead are free again after a sweep.
  void expect_lanes_freed(detail::Attachment& attachment) {
    const bool freed = eventually([&] { return attachment.sweep(), lanes_of_others(attachment) == 0; }, patience_);
    if (!freed) fault(Fault::Kind::kLeft, std::to_string(lanes_of_others(attachment)) + " lanes of dead processes");
  }

  Account settle_account() {
    Account account = history_.account();
    verdict_.faults.insert(verdict_.faults.end(), account.faults.begin(), account.faults.end());
    return account;
  }

  History history_{kActors};
  Shared<Outcome<T>> outcome_;
  std::array<T, kMostAtOnce> items_{};
  std::size_t pushing_ = 0, popping_ = 0;
  Who self_ = kSurvivor;  // who this process is
  std::chrono::nanoseconds patience_ = kPatience;
  std::unique_ptr<Child> bystander_;
  Verdict verdict_;
};

}  // namespace warren::test
