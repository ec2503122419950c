// Seats and lanes of an attachment: claiming, leaving, confirming a death, sweeping. docs/algorithms/lanes.md.
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/take_ledger.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "attachment_list.h"
#include "backing_file.h"

namespace warren::detail {

using layout::LaneIdentity;
using Phase = layout::LaneIdentity::Phase;

constinit thread_local std::array<SeatCacheEntry, kSeatCacheSize> seat_cache{};
constinit thread_local std::uint64_t assigned_thread_token = 0;

std::uint64_t assign_thread_token() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return assigned_thread_token = last.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint64_t Attachment::next_serial() noexcept {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

layout::Lane& Attachment::lane(std::uint32_t index) const noexcept {
  auto* lanes = reinterpret_cast<layout::Lane*>(object_ - layout::kObjectOffset + layout::kLanesOffset);
  return lanes[std::min(index, layout::kMaxLanes)];
}

std::uint32_t Attachment::lanes_high() const noexcept {
  return std::min(header().lanes_high.load(std::memory_order_acquire), layout::kMaxLanes);  // [L2] pairs with L1
}

Seat& Attachment::find_seat() noexcept {
  const std::uint64_t thread = thread_token();
  AttachmentList::instance().watch_end_of_this_thread();
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  seat_this_process();
  auto found = std::ranges::find(seats_, thread, [](const auto& seat) { return seat->thread; });
  Seat* seat = found != seats_.end() ? found->get() : nullptr;
  const bool shares = std::ranges::find(sharers_, thread) != sharers_.end();
  if (seat == nullptr && !shares) {
    auto fresh = std::make_unique<Seat>();
    fresh->thread = thread;
    if (claim_lane(*fresh)) seat = seats_.emplace_back(std::move(fresh)).get();
  }
  if (seat == nullptr) {
    if (!claim_spare()) return *laneless_;    // not remembered: it may succeed next time
    if (!shares) sharers_.push_back(thread);  // what it owns by that lane it has to give back by it
    seat = spare_.get();
  }
  seat_cache[serial_ % kSeatCacheSize] = {.serial = serial_, .epoch = seats_epoch_, .seat = seat};
  return *seat;
}

namespace {

std::unique_ptr<Seat> shared_seat() {
  auto seat = std::make_unique<Seat>();
  seat->sharing = std::make_unique<std::recursive_mutex>();
  return seat;
}

}  // namespace

// Once per process and attachment: forgets the seats that a forked child inherited (their lanes are the parent's), and
// claims the lane that threads without one of their own share.
void Attachment::seat_this_process() noexcept {
  const std::uint64_t epoch = process_epoch();
  if (seats_epoch_ == epoch) return;
  seats_epoch_ = epoch;
  const ProcessIdentity& self = this_process();
  if (self.pid_namespace != creator_pid_namespace_ || self.time_namespace != creator_time_namespace_) {
    header().foreign.store(1, std::memory_order_release);  // [L5] before any lane is claimed; pairs with L6
  }
  seats_.clear();
  sharers_.clear();
  spare_.reset();
  laneless_ = shared_seat();
  (void)claim_spare();
}

// Whole before anybody sees it: who uses it reads its lane without a lock.
bool Attachment::claim_spare() noexcept {
  if (spare_) return true;
  std::unique_ptr<Seat> fresh = shared_seat();
  if (claim_lane(*fresh)) spare_ = std::move(fresh);
  return spare_ != nullptr;
}

// The spare one: no thread's end gives it back.
LaneRef Attachment::find_process_lane(Seat& seat) noexcept {
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  seat_this_process();
  if (!claim_spare()) return {};
  const LaneRef lane{.index = spare_->lane_index, .generation = spare_->generation, .known = true};
  if (!seat.sharing) seat.process = lane;
  return lane;
}

// A process that does not know itself claims none: others would find its identity wrong, and it dead.
bool Attachment::claim_lane(Seat& seat) noexcept {
  const ProcessIdentity& self = this_process();
  if (!self.known()) return false;
  std::atomic<std::uint32_t>& high = header().lanes_high;
  for (std::uint32_t index = 0;;) {
    std::uint32_t end = lanes_high();
    for (; index < end; ++index) {
      layout::Lane& lane = this->lane(index);
      std::uint64_t word = lane.identity.load(std::memory_order_relaxed);
      const LaneIdentity found = LaneIdentity::from(word);
      if (found.phase != Phase::kFree) continue;
      const LaneIdentity mine{.pid = static_cast<std::uint32_t>(self.pid),
                              .start_low = self.start_low(),
                              .generation = found.generation,
                              .phase = Phase::kLive};
      if (!lane.identity.compare_exchange_strong(word, mine.word(), std::memory_order_acq_rel))
        continue;                        // [L3] pairs with L4
      WARREN_CRASH_POINT(lane_claimed);  // the identity is complete: a sweep finds it dead and frees it
      lane.start_time.store(self.start_time, std::memory_order_relaxed);
      lane.pid_namespace.store(self.pid_namespace, std::memory_order_relaxed);
      lane.time_namespace.store(self.time_namespace, std::memory_order_relaxed);
      const layout::ThreadName name{.pid = static_cast<std::uint32_t>(self.pid),
                                    .tid = static_cast<std::uint32_t>(::syscall(SYS_gettid))};
      lane.thread_id.store(name.tid, std::memory_order_relaxed);
      seat.lane = &lane;
      seat.name = name.word();
      seat.lane_index = index;
      seat.generation = found.generation;
      return true;
    }
    const std::uint32_t committed = header().lanes_committed.load(std::memory_order_acquire);  // [L8] pairs with L7
    if (end >= layout::kMaxLanes || (end >= committed && !commit_more_lanes(end))) return false;
    (void)high.compare_exchange_strong(
        end, end + 1, std::memory_order_acq_rel);  // [L1] a lane counts before it is claimed; pairs with L2
    WARREN_CRASH_POINT(lane_counted);              // it is free: the next one claims it
  }
}

bool Attachment::commit_more_lanes(std::uint32_t committed) noexcept {
  const std::uint32_t more = committed / layout::kLanesPerPage * layout::kLanesPerPage + layout::kLanesPerPage;
  const std::size_t offset = layout::kLanesOffset + std::size_t{more - layout::kLanesPerPage} * sizeof(layout::Lane);
  if (!commit_range(fd_, offset, layout::kPage).ok()) return false;
  WARREN_CRASH_POINT(lanes_grown);  // memory that no count says: the next one commits it again
  std::atomic<std::uint32_t>& word = header().lanes_committed;
  std::uint32_t old = word.load(std::memory_order_relaxed);
  while (old < more && !word.compare_exchange_weak(
                           old, more, std::memory_order_release)) {  // [L7] memory before the count; pairs with L8
  }
  return true;
}

// Frees a lane that this thread's process owns.
void Attachment::release(Seat& seat) noexcept {
  if (seat.lane == nullptr) return;
  layout::Lane& lane = *seat.lane;
  std::uint64_t word = lane.identity.load(std::memory_order_relaxed);
  const LaneIdentity mine = LaneIdentity::from(word);
  if (mine.phase != Phase::kLive || mine.generation != seat.generation) return;
  give_up_takes(lane, takes_.load(std::memory_order_relaxed), mine.pid);
  lane.announcement.store(0, std::memory_order_release);  // [Q20] as Q6: who reads this 0 reads no longer that one
  lane.take.store(0, std::memory_order_release);          // [PL6] likewise, as PL4; pairs with PL5
  lane.start_time.store(0, std::memory_order_relaxed);
  lane.pid_namespace.store(0, std::memory_order_relaxed);
  lane.time_namespace.store(0, std::memory_order_relaxed);
  WARREN_CRASH_POINT(lane_emptied);  // as lane_claimed
  const LaneIdentity free{.generation = static_cast<std::uint16_t>(seat.generation + 1)};
  (void)lane.identity.compare_exchange_strong(
      word, free.word(), std::memory_order_acq_rel);  // [L4] emptied before it is free; pairs with L3
  seat.lane = nullptr;
}

void Attachment::release_seats_of(std::uint64_t thread) noexcept {
  if (seats_epoch_ != process_epoch()) return;
  for (const auto& seat : seats_) {
    if (seat->thread != thread) continue;
    pass_on_takes(*seat);
    release(*seat);
  }
  std::erase_if(seats_, [&](const auto& seat) { return seat->thread == thread; });
  std::erase(sharers_, thread);
}

// What a thread took and leaves undone, another one of its process may still finish.
void Attachment::pass_on_takes(Seat& seat) noexcept {
  if (seat.lane == nullptr || !has_takes(*seat.lane) || !claim_spare()) return;
  const SeatUse use(*spare_);
  hand_over_takes(*this, *seat.lane, *spare_->lane);
}

void Attachment::leave() noexcept {
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  release_all_seats();
}

void Attachment::release_all_seats() noexcept {
  if (object_ == nullptr || read_only_ || seats_epoch_ != process_epoch()) return;
  for (const auto& seat : seats_) release(*seat);
  if (spare_) release(*spare_);
  seats_.clear();
  spare_.reset();
  laneless_.reset();
  sharers_.clear();
  seats_epoch_ = 0;
  serial_ = next_serial();  // what threads remember of their seats is void
}

// Dead beyond doubt. A process of another pid or time namespace counts as alive.
bool Attachment::dead(const layout::Lane& lane, LaneIdentity identity) const noexcept {
  const ProcessIdentity& self = this_process();
  if (!self.known()) return false;
  std::uint32_t pid_namespace = lane.pid_namespace.load(std::memory_order_relaxed);
  std::uint32_t time_namespace = lane.time_namespace.load(std::memory_order_relaxed);
  if (pid_namespace == 0 || time_namespace == 0) {  // the owner died, or stands, right after its claim
    if (header().foreign.load(std::memory_order_acquire) != 0) return false;  // [L6] pairs with L5
    pid_namespace = creator_pid_namespace_;
    time_namespace = creator_time_namespace_;
  }
  if (pid_namespace != self.pid_namespace || time_namespace != self.time_namespace) return false;
  const bool sweeping = identity.phase == Phase::kSweeping;  // then the start time in full is that of the one swept
  const std::uint64_t start_time = sweeping ? 0 : lane.start_time.load(std::memory_order_relaxed);
  const bool own = identity.pid == static_cast<std::uint32_t>(self.pid) && identity.start_low == self.start_low();
  if (own && (start_time == 0 || start_time == self.start_time)) return false;
  return confirmed_dead(identity, start_time) && lane.identity.load(std::memory_order_relaxed) == identity.word();
}

bool Attachment::holds_lane(std::uint32_t index, std::uint16_t generation) const noexcept {
  if (index >= lanes_high()) return false;
  const layout::Lane& lane = this->lane(index);
  const LaneIdentity found = LaneIdentity::from(lane.identity.load(std::memory_order_acquire));  // [L9] pairs with L4
  return found.phase == Phase::kLive && found.generation == generation && !dead(lane, found);
}

bool Attachment::lane_given_back(std::uint32_t index, std::uint16_t generation) const noexcept {
  if (index >= lanes_high()) return true;
  const LaneIdentity found =
      LaneIdentity::from(lane(index).identity.load(std::memory_order_acquire));  // [L16] pairs with L4, L12, L13
  return found.generation != generation || found.phase == Phase::kSweeping;
}

bool Attachment::lane_of_this_process(std::uint32_t index, std::uint16_t generation) const noexcept {
  const ProcessIdentity& self = this_process();
  if (!self.known() || index >= lanes_high()) return false;
  const layout::Lane& lane = this->lane(index);
  const LaneIdentity found = LaneIdentity::from(lane.identity.load(std::memory_order_relaxed));
  return found.phase == Phase::kLive && found.generation == generation &&
         found.pid == static_cast<std::uint32_t>(self.pid) &&
         lane.start_time.load(std::memory_order_relaxed) == self.start_time &&
         lane.pid_namespace.load(std::memory_order_relaxed) == self.pid_namespace;
}

bool Attachment::living(const layout::Lane& lane) const noexcept {
  const LaneIdentity found = LaneIdentity::from(lane.identity.load(std::memory_order_acquire));  // [L10] pairs with L4
  return found.phase == Phase::kLive && !dead(lane, found);
}

bool Attachment::said_by_living(std::atomic<std::uint64_t> layout::Lane::*word, std::uint64_t said) const noexcept {
  const std::uint32_t end = lanes_high();
  for (std::uint32_t index = 0; index < end; ++index) {
    const layout::Lane& lane = this->lane(index);
    // [Q8] of announcements; pairs with Q4, Q6. [PL5] of takes; pairs with PL2, PL4, PL6, PL7
    if ((lane.*word).load(std::memory_order_acquire) == said && living(lane)) return true;
  }
  return false;
}

bool Attachment::announced_by_living(std::uint64_t position) const noexcept {
  return said_by_living(&layout::Lane::announcement, position + 1);
}

bool Attachment::taken_by_living(std::uint64_t position) const noexcept {
  return said_by_living(&layout::Lane::take, position + 1);
}

// Claims the sweep of one dead lane, empties it and frees it. Whoever dies here is itself swept: each step may be done
// again. Where another one has claimed it, who may stand still, `on_dead` is told all the same.
Attachment::Swept Attachment::sweep_lane(layout::Lane& lane, const OnDead& on_dead) noexcept {
  std::uint64_t word = lane.identity.load(std::memory_order_acquire);  // [L11] pairs with L4
  const ProcessIdentity& self = this_process();
  LaneIdentity found, sweeper;
  do {
    found = LaneIdentity::from(word);
    if (found.phase == Phase::kFree) return Swept::kNothing;
    if (!dead(lane, found)) {
      if (found.phase != Phase::kSweeping) return Swept::kNothing;
      if (on_dead) on_dead(lane, found.generation, lane.thread_id.load(std::memory_order_relaxed));
      return Swept::kByAnother;
    }
    sweeper = {.pid = static_cast<std::uint32_t>(self.pid),
               .start_low = self.start_low(),
               .generation = found.generation,
               .phase = Phase::kSweeping};
  } while (!lane.identity.compare_exchange_strong(word, sweeper.word(),
                                                  std::memory_order_acq_rel));  // [L12] pairs with L4, L16
  WARREN_CRASH_POINT(sweep_claimed);  // the next sweep finds a dead sweeper and goes on
  const std::uint32_t pid = found.phase == Phase::kLive ? found.pid : lane.thread_id.load(std::memory_order_relaxed);
  if (on_dead) on_dead(lane, found.generation, pid);
  give_up_takes(lane, takes_.load(std::memory_order_relaxed), pid);
  lane.announcement.store(0, std::memory_order_release);  // [Q21] likewise, for the dead; pairs with Q8
  lane.take.store(0, std::memory_order_release);          // [PL7] likewise; pairs with PL5
  lane.start_time.store(0, std::memory_order_relaxed);
  lane.pid_namespace.store(0, std::memory_order_relaxed);
  lane.time_namespace.store(0, std::memory_order_relaxed);
  WARREN_CRASH_POINT(sweep_emptied);  // likewise
  word = sweeper.word();
  const LaneIdentity free{.generation = static_cast<std::uint16_t>(found.generation + 1)};
  const bool freed =
      lane.identity.compare_exchange_strong(word, free.word(), std::memory_order_acq_rel);  // [L13] pairs with L3
  WARREN_CRASH_POINT(sweep_freed);  // before the wakes: slices bound the wait
  return freed ? Swept::kFreed : Swept::kNothing;
}

std::uint32_t Attachment::sweep(const OnDead& on_dead) noexcept {
  if (read_only_) return 0;
  std::uint32_t freed = 0;
  bool news = false;
  for (std::uint32_t index = 0, end = lanes_high(); index < end; ++index) {
    const Swept swept = sweep_lane(lane(index), on_dead);
    if (swept == Swept::kFreed) ++freed;
    news |= swept != Swept::kNothing;
  }
  if (freed != 0) remains_.store(true, std::memory_order_relaxed);
  if (news) {
    for (const std::uint32_t offset : wait_words_) {
      if (offset != 0) wake(*reinterpret_cast<std::atomic<std::uint32_t>*>(object_ + offset), kWakeAll);
    }
  }
  return freed;
}

}  // namespace warren::detail
