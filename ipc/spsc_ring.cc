#include <warren/ipc/detail/spsc_ring.h>

#include <absl/strings/str_cat.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

namespace warren::detail {

using layout::SideOwner;

namespace {
absl::Status corrupt_indices() { return absl::DataLossError("the ring's indices are corrupt"); }
}  // namespace

std::size_t SpscRing::bytes_for(std::size_t capacity, std::size_t slot_bytes) noexcept {
  return sizeof(layout::SpscRingHeader) + std::bit_ceil(capacity) * slot_bytes;
}

void SpscRing::initialise(layout::SpscRingHeader& header, std::size_t capacity, std::size_t slot_bytes) noexcept {
  header.capacity = std::bit_ceil(capacity);
  header.slot_bytes = static_cast<std::uint32_t>(slot_bytes);
}

absl::StatusOr<std::uint64_t> SpscRing::check(const layout::SpscRingHeader& header, std::size_t available,
                                              std::size_t slot_bytes) {
  const absl::Status corrupt = absl::DataLossError("the header of the ring is corrupt: its geometry");
  if (available < sizeof header) return corrupt;
  const std::uint64_t capacity = read_once(header.capacity);
  const bool sized = read_once(header.slot_bytes) == slot_bytes && std::has_single_bit(capacity) &&
                     capacity <= (available - sizeof header) / slot_bytes;
  if (!sized) return corrupt;
  return capacity;
}

SpscRing::SpscRing(Attachment& attachment, layout::SpscRingHeader& header, std::uint64_t capacity,
                   std::size_t slot_bytes)
    : attachment_(&attachment),
      header_(&header),
      slots_(reinterpret_cast<std::byte*>(&header) + sizeof header),
      capacity_(capacity),
      slot_bytes_(slot_bytes),
      sides_(attachment.state<SpscSides>()) {}

absl::Status SpscRing::claimable(Side which) noexcept {
  if (side(which).mine()) return absl::OkStatus();
  const std::uint64_t found = owner_word(which).load(std::memory_order_acquire);  // [S12] pairs with S11
  if (absl::Status status = claimable(which, found); !status.ok()) return status;
  // Where nobody came meanwhile who moves the side's index.
  const bool corrupt = !indices() && owner_word(which).load(std::memory_order_relaxed) == found;
  return corrupt ? corrupt_indices() : absl::OkStatus();
}

absl::Status SpscRing::claimable(Side which, std::uint64_t found) noexcept {
  const Seat& seat = attachment_->seat();
  if (seat.lane == nullptr || seat.sharing) {
    return absl::ResourceExhaustedError("no memory for this thread's lane in the queue's segment");
  }
  const SideOwner owner = SideOwner::from(found);
  const bool me_already = owner.owned && owner.lane == seat.lane_index && owner.generation == seat.generation;
  if (!owner.owned || me_already || !attachment_->holds_lane(owner.lane, owner.generation)) return absl::OkStatus();
  const layout::Lane& lane = attachment_->lane(owner.lane);
  const auto identity = layout::LaneIdentity::from(lane.identity.load(std::memory_order_relaxed));
  return absl::AlreadyExistsError(
      absl::StrCat("the ", which == Side::kProducer ? "producer" : "consumer", "'s side belongs to thread ",
                   lane.thread_id.load(std::memory_order_relaxed), " of process ", identity.pid, ", which is alive"));
}

// The side's owner word goes from 0, or from an owner who is gone, to this thread by one CAS: of two who try, one wins.
absl::Status SpscRing::claim(Side which) noexcept {
  if (side(which).mine()) return absl::OkStatus();
  std::atomic<std::uint64_t>& word = owner_word(which);
  std::uint64_t found = word.load(std::memory_order_acquire);  // [S12] pairs with S11
  for (;;) {
    if (absl::Status status = claimable(which, found); !status.ok()) return status;
    const Seat& seat = attachment_->seat();
    const SideOwner me{.lane = seat.lane_index, .generation = seat.generation, .owned = true};
    if (word.compare_exchange_strong(found, me.word(), std::memory_order_acq_rel)) break;  // [S11] pairs with S12
  }
  WARREN_CRASH_POINT(side_claimed);  // taken over from here in turn; nothing of the ring has changed
  return adopt_index(which);
}

std::optional<SpscRing::Indices> SpscRing::indices() const noexcept {
  const std::uint64_t tail =
      header_->tail.load(std::memory_order_acquire);  // [S13] what the last owner committed; pairs with S2
  const std::uint64_t head = header_->head.load(std::memory_order_acquire);  // [S14] pairs with S4
  return tail - head <= capacity_ ? std::optional(Indices{.tail = tail, .head = head}) : std::nullopt;
}

// Goes on where the words in shared memory say, never where a private copy did.
absl::Status SpscRing::adopt_index(Side which) noexcept {
  SpscSide& mine = side(which);
  const std::optional<Indices> found = indices();
  if (!found) return corrupt_indices();
  mine.lent.store(0, std::memory_order_relaxed);
  mine.own = which == Side::kProducer ? found->tail : found->head;
  mine.other = which == Side::kProducer ? found->head : found->tail;
  mine.astray = false;
  if (which == Side::kProducer) {
    header_->committing.store(found->tail,
                              std::memory_order_release);  // [S19] not before the dead owner's tail; pairs with S9
  }
  mine.owner.store(thread_word(), std::memory_order_relaxed);
  return absl::OkStatus();
}

bool SpscRing::claim_quietly(Side which) noexcept { return claim(which).ok(); }

// Nothing is committed any more. A tail that a peer has overwritten would look like a commit under way.
bool SpscRing::refuse() noexcept {
  const std::uint64_t tail = sides_->producer.own;
  header_->tail.store(tail, std::memory_order_release);        // [S2] as it was; pairs with S16
  header_->committing.store(tail, std::memory_order_release);  // [S10] not before tail; pairs with S9
  return false;
}

std::size_t SpscRing::until_wrap(Side which, std::size_t ahead) const noexcept {
  return static_cast<std::size_t>(capacity_ - ((side(which).own + ahead) & (capacity_ - 1)));
}

std::size_t SpscRing::approx_size() const noexcept {
  const std::uint64_t head = header_->head.load(std::memory_order_relaxed);
  const std::uint64_t tail = header_->tail.load(std::memory_order_relaxed);
  return static_cast<std::size_t>(std::min(tail - std::min(head, tail), capacity_));
}

void SpscRing::close(std::uint32_t also) noexcept {
  header_->closed.fetch_or(layout::kRingClosed | also, std::memory_order_seq_cst);  // [S7] pairs with S8
  WARREN_CRASH_POINT(spsc_closed);  // before the wakes: slices bound the wait
  notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

// Closed, nothing left, and no commit under way that looked at `closed` before it was set: the barrier makes a producer
// either show its `committing` here or see `closed` there. A dead producer's commit will never come. A late one shows
// `committing` too, until it has seen `closed`: so a true answer is written down.
bool SpscRing::drained() const noexcept {
  if (!closed()) return false;
  if ((header_->closed.load(std::memory_order_relaxed) & layout::kRingDrained) != 0) return true;
  if (attachment_->wait_mode() == layout::WaitMode::kMembarrier) {
    (void)::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
  }
  const std::uint64_t head = header_->head.load(std::memory_order_acquire);  // [S17] before tail; pairs with S4
  const std::uint64_t committing = header_->committing.load(std::memory_order_seq_cst);  // [S9] pairs with S10, S5, S6
  std::uint64_t tail = header_->tail.load(std::memory_order_acquire);                    // [S16] pairs with S2
  if (committing != tail && tail - head <= capacity_) {
    const SideOwner owner = SideOwner::from(header_->producer.load(std::memory_order_acquire));  // [S15] pairs with S11
    if (owner.owned && attachment_->holds_lane(owner.lane, owner.generation)) return false;
    tail = header_->tail.load(std::memory_order_acquire);  // [S16] it may have committed before it died; pairs with S2
  }
  if (tail != head && tail - head <= capacity_) return false;  // indices that cannot be: nobody will take anything
  header_->closed.fetch_or(layout::kRingDrained, std::memory_order_relaxed);
  return true;
}

// By the words in shared memory alone: the owner's own index is another thread's. Nothing is read by what it says, so
// nothing need come before it.
Progress SpscRing::look(Progress astray) const noexcept {
  const std::uint64_t head = header_->head.load(std::memory_order_relaxed);
  const std::uint64_t filled = header_->tail.load(std::memory_order_relaxed) - head;
  if (filled != 0 && (filled <= capacity_ || astray == Progress::kDone)) return Progress::kDone;
  if (!closed()) return Progress::kBlocked;
  return drained() ? Progress::kDone : Progress::kStalled;
}

int SpscRing::readable_when_filled(Progress astray) const {
  return attachment_->readable_when(not_empty(),
                                    [this, astray] { return [ring = *this, astray] { return ring.look(astray); }; });
}

// A head that a peer has overwritten would have the mirror find something for ever.
void SpscRing::quieten() noexcept {
  if (sides_->consumer.mine()) restore_head();
  attachment_->found_nothing();
}

}  // namespace warren::detail
