// TakeLedger: which of a queue's items are not done, and whether those who took them live. docs/algorithms/join.md.
//
// A consumer says in its lane how many it is about to take, takes them, adds them to those that it took, and takes the
// announcement back. So what the lanes say is never less than what their threads have; what is missing when all taken
// items are counted went with the dead, whose lanes a sweep settles.
#pragma once
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/layout/mpmc_ring.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace warren::detail {

class TakeLedger {
 public:
  TakeLedger() noexcept = default;  // not to be used
  TakeLedger(Attachment& attachment, layout::MpmcRingHeader& header);

  // For the length of one try to take, of a seat that it holds alone meanwhile.
  class Taking {
   public:
    Taking(const TakeLedger& ledger, Seat& seat) noexcept : ledger_(ledger), use_(seat), lane_(seat.lane) {}
    ~Taking() {
      if (announced_ != nullptr) retract(*announced_);
    }
    Taking(const Taking&) = delete;
    Taking& operator=(const Taking&) = delete;

    // Before each attempt to take so many.
    void about_to_take(std::size_t count) noexcept {
      if (lane_ == nullptr) [[unlikely]]
        return ledger_.takes_->blind.store(1, std::memory_order_relaxed);                 // before head moves (Q7)
      lane_->taking.store(static_cast<std::uint32_t>(count), std::memory_order_release);  // [J1] pairs with J2, J12
      announced_ = lane_;
      taken_ = lane_->taken.load(std::memory_order_relaxed);  // here, where nothing waits for it
    }
    // After the one that succeeded.
    void took(std::size_t count) noexcept {
      if (announced_ == nullptr) [[unlikely]]
        return;
      layout::Lane& lane = *std::exchange(announced_, nullptr);
      lane.taken.store(taken_ + count, std::memory_order_release);  // [J3] pairs with J4, J13, J17
      WARREN_CRASH_POINT(take_counted);                             // the sweep settles both
      retract(lane);
    }

   private:
    static void retract(layout::Lane& lane) noexcept {
      lane.taking.store(0, std::memory_order_release);  // [J5] after J3; pairs with J12
    }

    const TakeLedger& ledger_;
    const SeatUse use_;
    layout::Lane* const lane_;
    layout::Lane* announced_ = nullptr;
    std::uint64_t taken_ = 0;
  };

  using CountHeld = absl::FunctionRef<std::uint64_t()>;
  // One item is done. False: nobody has one that is not; nothing changed. `held()` says how many are on lease or came
  // back from one, so that they are not taken for such: exactly, or too many where somebody takes meanwhile.
  bool finish_one(Seat& seat, CountHeld held) noexcept;
  // One item is done that no lane has counted as taken: `let_go` gives up what has stood for it till then, in one step.
  // False, and nothing changed, where that did nothing.
  template <class LetGo>
  bool finish_one(LetGo&& let_go) noexcept;

  // How many were written off so far: what to remember between two joins.
  [[nodiscard]] std::uint32_t lost() const noexcept;
  // Waits until all is done. `look` looks at the front of the queue, and buries and passes what is in the way; `held`
  // says how many items taken from the ring are neither in a lane nor done: never fewer than there are; `sweep` looks
  // for the dead. Aborted: some were lost since there were `told`, which is set. DeadlineExceeded.
  template <class Look, class Held, class Sweep>
  absl::Status join(Deadline deadline, std::atomic<std::uint32_t>& told, Look&& look, Held&& held, Sweep&& sweep);

 private:
  // What is true at one moment, or nothing where that could not be had.
  [[nodiscard]] std::optional<std::uint64_t> taken() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> unfinished() const noexcept;
  struct Account {
    std::uint64_t moves = 0, open = 0;  // sums over lanes, of what only grows, and of what they have
  };
  [[nodiscard]] Account account() const noexcept;
  [[nodiscard]] std::uint64_t taking() const noexcept;
  // What the lanes have that somebody is sweeping is nobody's: he may stand still.
  void settle_swept() const noexcept;
  // Looks at the accounts until `look` finds something, or nothing is there.
  template <class Look>
  bool find(Look&& look) const noexcept;
  bool find_one_to_finish() noexcept;
  bool finish_one_without_lane(CountHeld held) noexcept;
  bool settle_one_of_taken(CountHeld held) noexcept;
  // Somebody without a lane took items: the lanes do not say who has how many.
  [[nodiscard]] bool blind() const noexcept { return takes_->blind.load(std::memory_order_relaxed) != 0; }
  void settled_one() noexcept;
  // Writes off what nobody has. `held` is asked after `taken`.
  template <class Held>
  void write_off_lost(Held&& held) noexcept {
    const std::optional<std::uint64_t> taken = this->taken();
    if (taken) write_off_lost(*taken, held());
  }
  void write_off_lost(std::uint64_t taken, std::uint64_t held) noexcept;
  // Of those that are `lost`, to one who knew of `known`. `told` is set.
  absl::Status tell(std::uint32_t lost, std::uint32_t known, std::atomic<std::uint32_t>& told) const;

  Attachment* attachment_ = nullptr;
  layout::MpmcRingHeader* header_ = nullptr;
  layout::TakeLedger* takes_ = nullptr;
};

[[nodiscard]] bool has_takes(const layout::Lane& lane) noexcept;  // that are not done
// What a lane has when its thread ends or was found dead is nobody's from now on; its owner's pid is noted first.
void give_up_takes(layout::Lane& lane, layout::TakeLedger* ledger, std::uint32_t pid) noexcept;
// What the lane of an ended thread has is the other one's from now on. Both belong to this process, and no other thread
// takes for either meanwhile; others may finish what they have.
void hand_over_takes(const Attachment& attachment, layout::Lane& from, layout::Lane& to) noexcept;

template <class LetGo>
bool TakeLedger::finish_one(LetGo&& let_go) noexcept {
  Taking standing_for_it(*this, attachment_->seat());
  standing_for_it.about_to_take(1);
  if (!let_go()) return false;
  takes_->settled.fetch_add(layout::Settled::kOne, std::memory_order_acq_rel);  // [J25] as J9; pairs with J11, J14
  settled_one();
  return true;
}

template <class Look, class Held, class Sweep>
absl::Status TakeLedger::join(Deadline deadline, std::atomic<std::uint32_t>& told, Look&& look, Held&& held,
                              Sweep&& sweep) {
  const std::uint32_t known = told.load(std::memory_order_relaxed);
  const auto test = [&] {
    if (lost() != known || unfinished() == 0) return Progress::kDone;
    const Progress front = look();
    write_off_lost(held);
    return lost() != known || unfinished() == 0 ? Progress::kDone : front;
  };
  bool ended = test() == Progress::kDone;
  if (!ended && !deadline.expired()) {
    ended = sleep_until_done(
        takes_->joiners, attachment_->wait_mode(), deadline, test, [this] { return attachment_->slice(); }, sweep,
        Lookout(*attachment_));
  }
  if (!ended) {  // a death is the better reason
    sweep();
    ended = test() == Progress::kDone;
  }
  if (const std::uint32_t lost = this->lost(); lost != known) return tell(lost, known, told);
  if (ended) return absl::OkStatus();
  return absl::DeadlineExceededError("the queue has items that are not done: each wants a task_done()");
}

}  // namespace warren::detail
