#include <warren/ipc/detail/locked_slots.h>

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <new>

namespace warren::detail {
namespace {

using Header = layout::LockedSlotsHeader;

constexpr std::size_t to_line(std::size_t bytes) { return (bytes + layout::kLine - 1) / layout::kLine * layout::kLine; }

LockedGeometry geometry_of(std::uint64_t capacity, std::size_t payload_bytes, std::size_t head_bytes,
                           std::size_t index_bytes) {
  return {.capacity = capacity,
          .slot_bytes = head_bytes + (payload_bytes + 7) / 8 * 8,
          .payload_bytes = payload_bytes,
          .slots_offset = sizeof(Header) + to_line(capacity * index_bytes)};
}

constexpr std::uint64_t kMostSlots = std::numeric_limits<std::uint32_t>::max();  // a heap has their numbers

}  // namespace

void load_payload(const std::byte* from, LockedSlots::Payload to) noexcept {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = load_word(from + i * sizeof(std::uint64_t));
}

void store_payload(std::byte* to, LockedSlots::ConstPayload from) noexcept {
  for (std::size_t i = 0; i < from.size(); ++i) store_word(to + i * sizeof(std::uint64_t), from[i]);
}

absl::Status push_refused(Push why, const char* what) {
  if (why == Push::kClosed) return absl::OutOfRangeError(absl::StrCat("the ", what, " is closed"));
  if (why == Push::kFull) return absl::ResourceExhaustedError(absl::StrCat("the ", what, " is full"));
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory or no descriptor for this thread's lane in the segment of the ", what));
}

// For the length of one operation: holds the lock, and what a dead holder left is repaired.
class LockedSlots::Turn {
 public:
  Turn(LockedSlots& slots, Deadline until) noexcept : slots_(slots) {
    // kMine is a peer's false word, or a signal handler that interrupted this very thread: neither may go on.
    held_ = slots.lock_.take_until(until) == MutexCore::Take::kTaken;
    if (!held_ || !slots.lock_.inconsistent()) return;
    slots.repair();
    slots.note(slots.pushed() - slots.popped());  // the dead holder may have come to the commit, and not to this
    WARREN_CRASH_POINT(locked_repaired);          // the next one repairs again
    (void)slots.lock_.make_consistent();
  }
  ~Turn() {
    if (held_) (void)slots_.lock_.unlock();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }

 private:
  LockedSlots& slots_;
  bool held_ = false;
};

absl::StatusOr<LockedGeometry> LockedSlots::plan(std::size_t capacity, std::size_t payload_bytes,
                                                 std::size_t head_bytes, std::size_t index_bytes) {
  if (capacity == 0) return absl::InvalidArgumentError("a capacity of 0: it needs one, {.capacity = 1024}");
  const LockedGeometry one = geometry_of(1, payload_bytes, head_bytes, index_bytes);
  if (absl::Status status = check_capacity(capacity, one.slot_bytes + index_bytes); !status.ok()) return status;
  if (capacity > kMostSlots) {
    return absl::InvalidArgumentError(absl::StrCat("a capacity of ", capacity, ": at most ", kMostSlots));
  }
  return geometry_of(capacity, payload_bytes, head_bytes, index_bytes);
}

void LockedSlots::initialise(Header& header, const LockedGeometry& geometry) noexcept {
  header.capacity = geometry.capacity;
  header.slot_bytes = static_cast<std::uint32_t>(geometry.slot_bytes);
  header.payload_bytes = static_cast<std::uint32_t>(geometry.payload_bytes);
}

absl::StatusOr<LockedGeometry> LockedSlots::check(const Attachment& attachment, std::size_t available,
                                                  std::size_t payload_bytes, std::size_t head_bytes,
                                                  std::size_t index_bytes) {
  const absl::Status corrupt = absl::DataLossError("the header of the slots is corrupt: their geometry");
  if (available < sizeof(Header)) return corrupt;
  const auto& header = *reinterpret_cast<const Header*>(attachment.object());
  const std::uint64_t capacity = read_once(header.capacity);
  if (capacity == 0 || capacity > kMostSlots) return corrupt;
  const LockedGeometry geometry = geometry_of(capacity, payload_bytes, head_bytes, index_bytes);
  if (read_once(header.payload_bytes) != payload_bytes || read_once(header.slot_bytes) != geometry.slot_bytes ||
      geometry.bytes() > available) {
    return corrupt;
  }
  const std::uint64_t pushed = header.pushed.load(std::memory_order_relaxed) & ~layout::kClosedBit;
  if (pushed >= layout::kMaxPosition || header.popped.load(std::memory_order_relaxed) >= layout::kMaxPosition) {
    return absl::DataLossError("the header of the slots is corrupt: its counts");
  }
  return geometry;
}

LockedSlots::LockedSlots(Attachment& attachment, const LockedGeometry& geometry) noexcept
    : attachment_(&attachment),
      header_(reinterpret_cast<Header*>(attachment.object())),
      geometry_(geometry),
      lock_(attachment, header_->lock) {}

std::uint64_t LockedSlots::pushed() const noexcept {
  return header_->pushed.load(std::memory_order_relaxed) & ~layout::kClosedBit;
}

std::size_t LockedSlots::approx_size() const noexcept {
  const auto size = static_cast<std::int64_t>(pushed() - popped());
  return static_cast<std::size_t>(std::clamp<std::int64_t>(size, 0, static_cast<std::int64_t>(capacity())));
}

std::uint64_t LockedSlots::high_water() const noexcept {
  return std::min<std::uint64_t>(header_->high_water.load(std::memory_order_relaxed), capacity());
}

void LockedSlots::note(std::uint64_t size) noexcept {
  if (size > header_->high_water.load(std::memory_order_relaxed) && size <= capacity())
    header_->high_water.store(size, std::memory_order_relaxed);
}

bool LockedSlots::closed() const noexcept {
  return (header_->pushed.load(std::memory_order_acquire) & layout::kClosedBit) != 0;  // [LK2] pairs with LK1
}

void LockedSlots::close() noexcept {
  header_->pushed.fetch_or(layout::kClosedBit,
                           std::memory_order_acq_rel);  // [LK1] in the word that pushes commit by; pairs with LK2
  WARREN_CRASH_POINT(locked_closed);                    // before the wakes: slices bound the wait
  notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  notify(header_->not_full, attachment_->wait_mode(), kWakeAll);
}

// `pushed` first, here and below: once it has CLOSED it stands still. An item that comes in between is told of by a
// wake that comes later still. Where pushes came between the two loads, the pops of theirs may have made `popped` equal
// to what `pushed` was, with an item there all along: the lock knows.
Front LockedSlots::front() const noexcept {
  const std::uint64_t pushed = header_->pushed.load(std::memory_order_acquire);  // [LK3] popped is read after it
  const std::uint64_t popped = header_->popped.load(std::memory_order_acquire);  // [LK8] pairs with LK6
  if ((pushed & ~layout::kClosedBit) != popped) return Front::kItem;
  if (header_->pushed.load(std::memory_order_relaxed) != pushed) return Front::kItem;
  return (pushed & layout::kClosedBit) != 0 ? Front::kDrained : Front::kEmpty;
}

// `pushed` only grows: what is full by this account is full when `popped` is read.
std::optional<Push> LockedSlots::refusal() const noexcept {
  const std::uint64_t pushed = header_->pushed.load(std::memory_order_acquire);  // [LK4] as LK3
  if ((pushed & layout::kClosedBit) != 0) return Push::kClosed;
  const auto size = static_cast<std::int64_t>(pushed - popped());
  return size >= static_cast<std::int64_t>(capacity()) ? std::optional(Push::kFull) : std::nullopt;
}

std::uint64_t LockedSlots::size_in_turn() noexcept {
  std::uint64_t size = pushed() - popped();
  if (size > capacity()) [[unlikely]] {  // a peer's false words
    repair();
    size = pushed() - popped();
  }
  return size <= capacity() ? size : 0;
}

Push LockedSlots::try_push(std::int64_t priority, ConstPayload payload, Deadline turn, OfTicket give) noexcept {
  if (attachment_->seat().lane == nullptr) return Push::kNoLane;
  if (const std::optional<Push> refused = refusal()) return *refused;
  const Turn mine(*this, turn);
  if (!mine.held()) return turn.forever() ? Push::kRefused : Push::kFull;
  const std::uint64_t size = size_in_turn();
  if (size >= capacity()) return Push::kFull;
  std::uint64_t before = header_->pushed.load(std::memory_order_relaxed);
  if ((before & layout::kClosedBit) != 0) return Push::kClosed;
  if (before >= layout::kMaxPosition || !write(size, before, priority, payload)) return Push::kRefused;
  WARREN_CRASH_POINT(locked_written);  // not committed: repaired, or written over
  give(before);
  // A CAS, though nobody else pushes: CLOSED may have come.
  if (!header_->pushed.compare_exchange_strong(before, before + 1,
                                               std::memory_order_acq_rel)) {  // [LK5] COMMIT; pairs with LK3, LK4
    take_back(size);
    return (before & layout::kClosedBit) != 0 ? Push::kClosed : Push::kRefused;
  }
  WARREN_CRASH_POINT(locked_pushed);  // pushed: whoever takes the lock over finds it
  note(size + 1);
  added(size);
  return Push::kPushed;
}

Front LockedSlots::try_pop(Payload payload, Deadline turn, OfTicket own) noexcept {
  if (const Front now = front(); now != Front::kItem) return now;
  if (attachment_->seat().lane == nullptr) return Front::kEmpty;  // who cannot be found dead takes nothing
  const Turn mine(*this, turn);
  if (!mine.held()) return Front::kEmpty;
  const std::uint64_t size = size_in_turn();
  if (size == 0) return front() == Front::kDrained ? Front::kDrained : Front::kEmpty;
  const std::uint64_t number = popped();
  const std::optional<std::uint64_t> ticket = first(size, number, payload);
  if (!ticket) return Front::kEmpty;
  WARREN_CRASH_POINT(locked_marked);                             // nothing taken
  header_->popped.store(number + 1, std::memory_order_release);  // [LK6] COMMIT, after the mark; pairs with M3, LK8
  WARREN_CRASH_POINT(locked_popped);                             // the item was this consumer's
  own(*ticket);
  removed(size);
  return Front::kItem;
}

bool LockedSlots::with_tickets(Deadline turn, absl::FunctionRef<void(ConstPayload)> f) noexcept {
  if (attachment_->seat().lane == nullptr) return false;
  const Turn mine(*this, turn);
  if (!mine.held()) return false;
  const std::uint64_t size = size_in_turn();
  const std::unique_ptr<std::uint64_t[]> memory(new (std::nothrow) std::uint64_t[size]);
  if (memory == nullptr) return false;
  const Payload all = Payload(memory.get(), size).first(tickets(size, {memory.get(), size}));
  std::sort(all.begin(), all.end());
  f(all);
  return true;
}

}  // namespace warren::detail
