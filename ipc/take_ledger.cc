#include <warren/ipc/detail/take_ledger.h>

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace warren::detail {
namespace {

using layout::Burials;
using layout::Lane;
using layout::LaneIdentity;
using layout::Loser;
using layout::Settled;

constexpr int kLooks = 64;  // at words that others change
constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

// A peer's words: what cannot be is nothing.
std::uint64_t open_of(std::uint64_t taken, std::uint64_t finished) noexcept {
  const auto open = static_cast<std::int64_t>(taken - finished);
  return open > 0 ? static_cast<std::uint64_t>(open) : 0;
}

// Takes one item from those that a lane has.
bool finish_one_of(Lane& lane) noexcept {
  std::uint64_t finished = lane.finished.load(std::memory_order_acquire);       // [J6] pairs with J7
  while (open_of(lane.taken.load(std::memory_order_acquire), finished) != 0) {  // [J4] pairs with J3
    if (lane.finished.compare_exchange_weak(finished, finished + 1,
                                            std::memory_order_acq_rel))  // [J7] after J1; pairs with J6, J10
      return true;
  }
  return false;
}

// Takes as many as the lane has, but no more than `most`. Returns how many.
std::uint64_t finish_some_of(Lane& lane, std::uint64_t most = kAll) noexcept {
  std::uint64_t finished = lane.finished.load(std::memory_order_acquire);  // [J16] as J6; pairs with J7
  for (;;) {
    const std::uint64_t taken = lane.taken.load(std::memory_order_acquire);  // [J17] as J4; pairs with J3
    const std::uint64_t count = std::min(open_of(taken, finished), most);
    if (count == 0) return 0;
    if (lane.finished.compare_exchange_weak(finished, finished + count,
                                            std::memory_order_acq_rel))  // [J8] as J7; pairs with J10
      return count;
  }
}

// Goes through the lanes that have some until `visit` says true: first this process's own, since threads share what
// they took, then those of anybody who lives. What the dead have is lost.
template <class Visit>
bool find_lane(const Attachment& attachment, Visit&& visit) noexcept {
  const ProcessIdentity& self = this_process();
  for (const bool own : {true, false}) {
    for (std::uint32_t index = 0, end = attachment.lanes_high(); index < end; ++index) {
      Lane& lane = attachment.lane(index);
      const LaneIdentity found = LaneIdentity::from(lane.identity.load(std::memory_order_relaxed));
      if (found.phase != LaneIdentity::Phase::kLive) continue;  // who sweeps a lane puts his name to it
      const bool is_own = found.pid == static_cast<std::uint32_t>(self.pid) && found.start_low == self.start_low();
      if (is_own != own || !has_takes(lane)) continue;
      if ((own || attachment.holds_lane(index, found.generation)) && visit(lane)) return true;
    }
  }
  return false;
}
bool finish_one_of_any(const Attachment& attachment) noexcept { return find_lane(attachment, finish_one_of); }

// The lane is a dead one's, and somebody is at it.
bool is_swept(std::uint64_t identity) noexcept {
  return LaneIdentity::from(identity).phase == LaneIdentity::Phase::kSweeping;
}

// Noted before it is gone, so that who finds it gone finds the name. Of one that was about to take it is not known
// whether it did: where it did not, it must not hide the name of one that had some.
void note_loser(const Lane& lane, layout::TakeLedger& ledger, std::uint32_t pid) noexcept {
  const bool surely = has_takes(lane);
  if (!surely && lane.taking.load(std::memory_order_relaxed) == 0) return;
  const std::uint32_t lost = Settled::from(ledger.settled.load(std::memory_order_relaxed)).lost;
  const Loser last = Loser::from(ledger.loser.load(std::memory_order_relaxed));
  if (surely || !last.surely || last.lost != lost)
    ledger.loser.store(Loser{.lost = lost, .surely = surely, .pid = pid}.word(), std::memory_order_relaxed);
  WARREN_CRASH_POINT(loser_noted);  // the next sweep notes it again
}

}  // namespace

TakeLedger::TakeLedger(Attachment& attachment, layout::MpmcRingHeader& header)
    : attachment_(&attachment), header_(&header), takes_(&header.takes) {
  attachment.keep_takes(header.takes);
}

// --- done ------------------------------------------------------------------------------------------------------------

// While an item has left a lane's account and is not settled, it stands announced in this one's.
bool TakeLedger::finish_one(Seat& seat, CountHeld held) noexcept {
  Taking standing_for_it(*this, seat);
  if (seat.lane == nullptr) return finish_one_without_lane(held);
  standing_for_it.about_to_take(1);
  WARREN_CRASH_POINT(done_announced);  // nothing happened
  if (!finish_one_of(*seat.lane) && !find_one_to_finish()) return blind() && settle_one_of_taken(held);
  WARREN_CRASH_POINT(done_debited);  // this thread's that died with an item that is not done
  takes_->settled.fetch_add(Settled::kOne, std::memory_order_acq_rel);  // [J9] COMMIT, after J7; pairs with J11, J14
  settled_one();
  return true;
}

// Nothing can stand announced: so the item is settled before it leaves an account, and never seems lost.
bool TakeLedger::finish_one_without_lane(CountHeld held) noexcept {
  const auto has_any = [](const Lane&) { return true; };
  if (!blind() && !find([&] { return find_lane(*attachment_, has_any); })) return false;
  if (!settle_one_of_taken(held)) return false;
  (void)find_one_to_finish();
  return true;
}

// No account says how many may be settled: no more than were taken, and are not on lease. What went on lease after
// `taken` was read counts among the held, and not among the taken: then another look must do.
bool TakeLedger::settle_one_of_taken(CountHeld held) noexcept {
  std::uint64_t word = takes_->settled.load(std::memory_order_relaxed);
  for (int look = 0;;) {
    const std::optional<std::uint64_t> taken = this->taken();
    if (!taken) return false;
    const std::uint64_t open = Settled::from(word).open_of(*taken);
    if (open == 0 || open > Settled::kItemsMask / 2) return false;
    if (open <= held()) {
      if (++look == kLooks || this->taken() == taken) return false;
      word = takes_->settled.load(std::memory_order_relaxed);
      continue;
    }
    if (takes_->settled.compare_exchange_weak(word, word + Settled::kOne,
                                              std::memory_order_acq_rel))  // [J26] as J9; pairs with J11
      break;
  }
  settled_one();
  return true;
}

bool TakeLedger::find_one_to_finish() noexcept {
  return find([this] { return finish_one_of_any(*attachment_); });
}

// An item may go from an account that `look` has yet to see to one that it has seen. Where no account changed meanwhile
// there was nothing.
template <class Look>
bool TakeLedger::find(Look&& look) const noexcept {
  std::uint64_t moves = account().moves;
  for (int looks = 0; looks < kLooks; ++looks) {
    if (look()) return true;
    if (std::exchange(moves, account().moves) == moves) return false;
  }
  return false;
}

void TakeLedger::settled_one() noexcept {
  WARREN_CRASH_POINT(done_settled);  // before the wake: slices bound the wait
  if ((seen_after_commit(takes_->joiners, attachment_->wait_mode()) & 1) != 0 && unfinished() == 0)
    wake(takes_->joiners, kWakeAll);
}

// --- how many --------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> TakeLedger::taken() const noexcept {
  for (int look = 0; look < kLooks; ++look) {
    const std::uint64_t before = header_->burials.load(std::memory_order_acquire);  // [J18] before head; pairs with Q28
    const std::uint64_t head = layout::HeadWord::position(
        header_->head.load(std::memory_order_acquire));  // [J2] cells and lanes after; pairs with Q7
    if (header_->burials.load(std::memory_order_relaxed) == before) return head - Burials::from(before).passed(head);
  }
  return std::nullopt;
}

// What is settled is read first. It is never more than was committed, and that only grows: so if it equals what is
// pushed later, a claim under way counted too, there was nothing between the two at that moment.
std::optional<std::uint64_t> TakeLedger::unfinished() const noexcept {
  const Settled settled = Settled::from(takes_->settled.load(std::memory_order_acquire));  // [J11] first; pairs with J9
  for (int look = 0; look < kLooks; ++look) {
    const std::uint64_t before = header_->burials.load(std::memory_order_acquire);  // [J19] as J18; pairs with Q28
    const std::uint64_t tail = header_->tail.load(std::memory_order_acquire);  // [J20] burials after; pairs with Q2
    if (header_->burials.load(std::memory_order_relaxed) != before) continue;
    return settled.open_of((tail & ~layout::kClosedBit) - Burials::from(before).count);
  }
  return std::nullopt;
}

TakeLedger::Account TakeLedger::account() const noexcept {
  Account sum;
  for (std::uint32_t index = 0, end = attachment_->lanes_high(); index < end; ++index) {
    const Lane& lane = attachment_->lane(index);
    const std::uint64_t finished = lane.finished.load(std::memory_order_acquire);  // [J10] pairs with J7, J8
    const std::uint64_t taken = lane.taken.load(std::memory_order_acquire);        // [J13] pairs with J3
    sum.moves += taken + finished;
    sum.open += open_of(taken, finished);
  }
  return sum;
}

std::uint64_t TakeLedger::taking() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t index = 0, end = attachment_->lanes_high(); index < end; ++index) {
    const Lane& lane = attachment_->lane(index);
    const std::uint32_t said = lane.taking.load(std::memory_order_acquire);  // [J12] pairs with J1, J5, J15
    if (said != 0 && !is_swept(lane.identity.load(std::memory_order_relaxed))) sum += said;
  }
  return sum;
}

// As the sweeper does it, but in one step, which fails where he has gone on: he makes `finished` equal to `taken`
// before anybody else gets the lane, and both only grow. So what both were while the lane was in SWEEPING, and
// `finished` still is, was the dead one's.
void TakeLedger::settle_swept() const noexcept {
  for (std::uint32_t index = 0, end = attachment_->lanes_high(); index < end; ++index) {
    Lane& lane = attachment_->lane(index);
    const std::uint64_t identity = lane.identity.load(std::memory_order_acquire);  // [J27] as J16, J17; pairs with L12
    if (!is_swept(identity)) continue;
    std::uint64_t finished = lane.finished.load(std::memory_order_acquire);  // [J28] identity after; pairs with J7
    const std::uint64_t taken = lane.taken.load(std::memory_order_acquire);  // [J29] likewise; pairs with J3
    if (open_of(taken, finished) == 0 || lane.identity.load(std::memory_order_relaxed) != identity) continue;
    note_loser(lane, *takes_, lane.thread_id.load(std::memory_order_relaxed));  // its pid, of a process's first thread
    (void)lane.finished.compare_exchange_strong(finished, taken, std::memory_order_acq_rel);  // [J30] as J8; with J10
  }
}

// --- lost ------------------------------------------------------------------------------------------------------------

std::uint32_t TakeLedger::lost() const noexcept {
  return Settled::from(takes_->settled.load(std::memory_order_relaxed)).lost;
}

// The order matters: what was taken; what the lanes have, twice, with what they are about to take in between, so that
// nothing went from one to another meanwhile; then what is settled. Whatever happens behind this look makes the
// difference smaller. What it finds is nobody's and stays so: nobody but another one who writes off can settle it, and
// then the CAS fails.
void TakeLedger::write_off_lost(std::uint64_t taken, std::uint64_t held) noexcept {
  if (blind()) return;
  settle_swept();
  Account lanes = account();
  std::uint64_t taking = 0;
  for (int look = 0;; ++look) {
    if (look == kLooks) return;
    taking = this->taking();
    if (const std::uint64_t before = std::exchange(lanes, account()).moves; lanes.moves == before) break;
  }
  std::uint64_t word = takes_->settled.load(std::memory_order_acquire);  // [J14] last; pairs with J9
  Settled settled = Settled::from(word);
  const std::uint64_t open = settled.open_of(taken);
  if (open > Settled::kItemsMask / 2 || held > open || lanes.open > open - held || taking >= open - held - lanes.open)
    return;
  const std::uint64_t lost = open - held - lanes.open - taking;
  settled.items += lost;
  settled.lost += static_cast<std::uint32_t>(std::min<std::uint64_t>(lost, Settled::kMostOfOneLoss));
  if (!takes_->settled.compare_exchange_strong(word, settled.word(), std::memory_order_acq_rel))
    return;                              // [J21] as J9: all that wait are told by it; pairs with J11, J14
  WARREN_CRASH_POINT(loss_written_off);  // before the wake: slices bound the wait
  notify(takes_->joiners, attachment_->wait_mode(), kWakeAll);
}

absl::Status TakeLedger::tell(std::uint32_t lost, std::uint32_t known, std::atomic<std::uint32_t>& told) const {
  // Not back: another join may have told of more.
  for (std::uint32_t old = known; Settled{.lost = lost}.lost_since(old) - 1 < Settled::kLostMask / 2;) {
    if (told.compare_exchange_weak(old, lost, std::memory_order_relaxed)) break;
  }
  const std::uint32_t count = Settled{.lost = lost}.lost_since(known);
  const Loser loser = Loser::from(takes_->loser.load(std::memory_order_relaxed));
  const std::string who = loser.pid == 0 || Settled{.lost = loser.lost}.lost_since(known) >= count
                              ? std::string("who took it")
                          : count == 1 ? absl::StrCat("process ", loser.pid)
                                       : absl::StrCat("who took them, process ", loser.pid, " the last,");
  const char* const more = count < Settled::kMostOfOneLoss ? "" : " or more";
  return absl::AbortedError(
      absl::StrCat(count == 1 ? "an item is lost: " : absl::StrCat(count, more, " items are lost: "), who,
                   " ended before task_done(); join() again to wait for the others"));
}

bool has_takes(const Lane& lane) noexcept {
  return open_of(lane.taken.load(std::memory_order_relaxed), lane.finished.load(std::memory_order_relaxed)) != 0;
}

void give_up_takes(Lane& lane, layout::TakeLedger* ledger, std::uint32_t pid) noexcept {
  if (ledger != nullptr) note_loser(lane, *ledger, pid);
  (void)finish_some_of(lane);
  lane.taking.store(0, std::memory_order_release);  // [J15] as J5; pairs with J12
}

// Credited before it is debited: nobody who looks for it finds it nowhere. What was finished meanwhile from there
// stands on an account too many then.
void hand_over_takes(const Attachment& attachment, Lane& from, Lane& to) noexcept {
  const std::uint64_t open =
      open_of(from.taken.load(std::memory_order_relaxed), from.finished.load(std::memory_order_relaxed));
  if (open == 0) return;
  from.taking.store(
      static_cast<std::uint32_t>(std::min<std::uint64_t>(open, std::numeric_limits<std::uint32_t>::max())),
      std::memory_order_release);  // [J22] as J1; pairs with J12
  to.taken.store(to.taken.load(std::memory_order_relaxed) + open, std::memory_order_release);  // [J23] as J3; with J13
  WARREN_CRASH_POINT(takes_on_their_way);  // the process is dead: both lanes are
  std::uint64_t twice = open - finish_some_of(from, open);
  twice -= finish_some_of(to, twice);
  for (int look = 0; look < kLooks && twice != 0 && finish_one_of_any(attachment); ++look) --twice;
  from.taking.store(0, std::memory_order_release);  // [J24] as J5, after J8; pairs with J12
}

}  // namespace warren::detail
