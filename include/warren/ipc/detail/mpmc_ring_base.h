// What of MpmcRing does not depend on the payload: its geometry, how a position is claimed, and the rare paths.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/elastic_slots.h>
#include <warren/ipc/detail/high_water.h>
#include <warren/ipc/detail/lease_cells.h>
#include <warren/layout/mpmc_ring.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace warren::detail {

enum class Push { kPushed, kFull, kClosed, kNoLane, kNoMemory, kRefused };  // kRefused: the item, by who carries it
enum class Front {
  kItem,
  kEmpty,
  kDrained,
  kStalled,
  kReturned,  // settle(): a lease cell holds an item to take first
  kNoCell,    // try_lease(): as many items are on lease as can be
};

// InvalidArgument for more than could be addressed.
absl::Status check_capacity(std::size_t capacity, std::size_t slot_bytes);

// This process's copy of what the header says, made once: a peer that changes the header later changes nothing here.
struct MpmcGeometry {
  std::uint64_t capacity = 0;
  std::uint64_t slot_count = 0;
  ElasticGeometry elastic = {};                        // where slot_count is 0
  std::size_t front = sizeof(layout::MpmcRingHeader);  // where the slots, or the directory, begin: the ring's user says

  // A capacity of 0: unbounded.
  static MpmcGeometry of(std::size_t capacity, std::size_t slot_bytes,
                         std::size_t front = sizeof(layout::MpmcRingHeader));
  [[nodiscard]] std::size_t bytes(std::size_t slot_bytes) const noexcept;            // with all that is reserved
  [[nodiscard]] std::size_t committed_bytes(std::size_t slot_bytes) const noexcept;  // of a new ring
};

// What does not depend on the payload: geometry, and the rare paths.
class MpmcRingBase {
 public:
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t approx_size() const noexcept;
  [[nodiscard]] bool closed() const noexcept;
  // Whether the next push finds a place, or memory for one.
  [[nodiscard]] bool memory_left() noexcept {
    return !elastic_.used() || elastic_.provide(pushed()) != ElasticSlots::Provided::kNoMemory;
  }
  // Closed, and nothing will ever be taken again. Buries and passes dead claims on the way.
  [[nodiscard]] bool drained(Seat& seat) noexcept { return closed() && look(seat) == Front::kDrained; }
  // What the next pop finds. Buries and passes likewise. Any seat will do, also one without a lane.
  [[nodiscard]] Front look(Seat& seat) noexcept;
  // For a descriptor that says so: kDone for an item, or the end.
  [[nodiscard]] Ask looker() const;
  void close() noexcept;
  // kFull or kClosed: what a push would be told now. Announces and claims nothing.
  [[nodiscard]] std::optional<Push> refusal() const noexcept;
  // False once `position` was taken, for good, or was buried: no consumer that begins now gets what was pushed there.
  [[nodiscard]] bool stands(std::uint64_t position) const noexcept;
  [[nodiscard]] std::uint64_t pushed() const noexcept;  // positions ever claimed
  [[nodiscard]] std::uint64_t taken() const noexcept;   // positions ever passed by consumers
  [[nodiscard]] std::uint64_t buried() const noexcept {
    return layout::Burials::from(header_->burials.load(std::memory_order_relaxed)).count;
  }
  [[nodiscard]] layout::MpmcRingHeader& header() const noexcept { return *header_; }

  [[nodiscard]] std::atomic<std::uint32_t>& not_empty() const noexcept { return header_->not_empty; }
  [[nodiscard]] std::atomic<std::uint32_t>& not_full() const noexcept { return header_->not_full; }
  [[nodiscard]] const HighWater& high_water() const noexcept { return high_water_; }
  [[nodiscard]] LeaseCells& cells() noexcept { return cells_; }
  [[nodiscard]] const LeaseCells& cells() const noexcept { return cells_; }
  void give_back_leases_of_dead() noexcept { cells_.give_back_of_dead(); }
  // What a process is told that has no lane: nobody would give back for it what it took, so it takes nothing.
  [[nodiscard]] Front lease_without_lane(Seat& seat) noexcept {
    const Front front = look(seat);
    return front == Front::kItem || front == Front::kReturned ? Front::kNoCell : front;
  }
  // What `front` means to a waiter, which keeps in `held_up_by`, 0 at first, the position + 1 whose claim it waits for.
  [[nodiscard]] Progress progress(Front front, std::uint64_t& held_up_by) const noexcept {
    switch (front) {
      case Front::kEmpty: return Progress::kBlocked;
      case Front::kStalled: {
        const std::uint64_t now = taken() + 1;
        return std::exchange(held_up_by, now) == now ? Progress::kStalled : Progress::kStalledAnew;
      }
      case Front::kNoCell: return Progress::kStalled;  // whoever frees one tells nobody
      default: return Progress::kDone;
    }
  }

 protected:
  MpmcRingBase(Attachment& attachment, layout::MpmcRingHeader& header, const MpmcGeometry& geometry,
               std::size_t slot_bytes) noexcept;
  static void initialise(layout::MpmcRingHeader& header, const MpmcGeometry& geometry, std::size_t payload_bytes,
                         std::size_t slot_bytes) noexcept;
  static absl::StatusOr<MpmcGeometry> check(const layout::MpmcRingHeader& header, std::size_t available,
                                            std::size_t payload_bytes, std::size_t slot_bytes, std::size_t front);

  // Looked up once for each look at a position: another look may find another run there, or none. Null: no chunk.
  [[nodiscard]] std::byte* slot(std::uint64_t position, std::size_t slot_bytes) const noexcept {
    if (elastic_.used()) [[unlikely]]
      return elastic_.find(position);
    return slots_ + (position & mask_) * slot_bytes;
  }
  [[nodiscard]] std::byte* slot(std::uint64_t position) const noexcept { return slot(position, slot_bytes_); }
  [[nodiscard]] static std::atomic<std::uint64_t>& sequence(std::byte* place) noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(place);
  }
  // After the CAS that moved `head`.
  void passed(std::uint64_t from, std::uint64_t to) noexcept {
    if (elastic_.used()) [[unlikely]]
      elastic_.passed(from, to);
  }
  // A position that was announced and claimed, or why there is none.
  struct Claim {
    Push result = Push::kNoLane;
    std::uint64_t position = 0;
  };
  // Of any position, and in any state of the ring: what is not in a push's way as it mostly goes.
  [[gnu::cold]] Claim claim(Seat& seat) noexcept;
  // Announces the position and tries to claim it, where `tail` still says so.
  [[nodiscard]] bool announce_and_claim(layout::Lane& lane, std::uint64_t& t) const noexcept {
    // Release, though it is a mere announcement: who reads it here no longer reads the last one, and must see that
    // commit.
    lane.announcement.store(t + 1, std::memory_order_release);  // [Q17] not before the last commit; pairs with Q8
    WARREN_CRASH_POINT(push_announced);                         // nothing claimed: nothing to do
    return header_->tail.compare_exchange_strong(t, t + 1,
                                                 std::memory_order_acq_rel,  // [Q2] announced first; pairs with Q3
                                                 std::memory_order_relaxed);
  }
  // For who asks again and again: nothing is committed at the front, and all else that could be found was looked for a
  // moment ago. Leaves alone what producers write, but for the slot. Never true for who is about to sleep.
  [[nodiscard]] bool nothing_yet(Seat& seat) const noexcept;
  // Passes what is buried and looks at what then stands first: kItem, and its position in `head`, which has no marks.
  Front settle(Seat& seat, std::uint64_t& head) noexcept;

  Attachment* attachment_;
  layout::MpmcRingHeader* header_;
  std::byte* slots_;
  std::uint64_t capacity_;
  std::uint64_t mask_;
  std::size_t slot_bytes_;
  ElasticSlots elastic_;
  LeaseCells cells_;
  HighWater high_water_;

 private:
  // Before a look at a ring that was full, or nearly, a moment ago: each look takes the line of `head` from a consumer,
  // who frees some dozens of places meanwhile. Where there are few places there is less to wait for, or nothing.
  void pause_if_crowded(Seat& seat) const noexcept;
  Push look_for_room(Seat& seat, std::uint64_t position, std::uint64_t& head) noexcept;
  void count_burial(std::uint64_t position) noexcept;
  Front look_into_claim(Seat& seat, std::uint64_t position, std::byte* place, std::uint64_t found) noexcept;
};

// `head` is what it went by.
inline Push MpmcRingBase::look_for_room(Seat& seat, std::uint64_t position, std::uint64_t& head) noexcept {
  head = layout::HeadWord::position(
      header_->head.load(std::memory_order_acquire));  // [Q1] the slots' last copies are over; pairs with Q7
  constexpr std::uint64_t kFew = 16;
  // Signed: where the position is stale, head may be past it.
  const auto left = static_cast<std::int64_t>(capacity_ - (position - head));
  if (left <= static_cast<std::int64_t>(std::min(kFew, capacity_ / 8))) seat.crowded_at = tick_count();
  if (left <= 0) return Push::kFull;
  // A false head, far past all positions, serves for a lap at most.
  std::uint64_t end = std::min(head + std::min(capacity_, high_water_.near_up_to()), position + capacity_);
  if (elastic_.used()) {
    if (elastic_.provide(position) != ElasticSlots::Provided::kReady) return Push::kNoMemory;
    end = std::min(end, elastic_.end_of_run(position));
  }
  seat.push_end = std::min(end, layout::kMaxPosition);
  return Push::kPushed;
}

inline void MpmcRingBase::pause_if_crowded(Seat& seat) const noexcept {
  constexpr std::uint64_t kPauses = 8;
  if (tick_count() - seat.crowded_at >= kMoment) return;
  const auto pauses = static_cast<std::uint32_t>(std::min(kPauses, capacity_ / 8));
  for (std::uint32_t i = 0; i < pauses; ++i) cpu_relax();
  seat.push_spinner.paused(pauses);
}

inline MpmcRingBase::Claim MpmcRingBase::claim(Seat& seat) noexcept {
  layout::Lane* const lane = seat.lane;
  if (lane == nullptr) return {};
  std::uint64_t t = header_->tail.load(std::memory_order_relaxed);
  for (;;) {
    if (t >= layout::kMaxPosition) {                           // CLOSED, or the end of all positions
      lane->announcement.store(0, std::memory_order_release);  // [Q18] as Q6; pairs with Q8
      return {.result = Push::kClosed};
    }
    const bool looks = t >= seat.push_end;
    std::uint64_t head = 0;
    if (looks) pause_if_crowded(seat);
    const Push found = looks ? look_for_room(seat, t, head) : Push::kPushed;
    if (found != Push::kPushed) {
      const std::uint64_t again = header_->tail.load(std::memory_order_relaxed);
      if (again == t) {  // else it was stale; a passed position that tail has not passed is a peer's false word
        // Never refused with the announcement standing: who waits would look like a claimant for ever.
        lane->announcement.store(0, std::memory_order_release);  // [Q19] as Q6; pairs with Q8
        if (found == Push::kFull) high_water_.full();
        return {.result = found};
      }
      t = again;
      continue;
    }
    if (!announce_and_claim(*lane, t)) continue;
    if (looks) high_water_.claimed(t, head);
    return {.result = Push::kPushed, .position = t};
  }
}

}  // namespace warren::detail
