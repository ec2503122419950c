#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/lock_error.h>
#include <warren/ipc/detail/standing.h>
#include <warren/ipc/shared_mutex.h>

#include <algorithm>

#include "object_words.h"

namespace warren {
namespace {

using layout::OwnedCell;
constexpr std::uint32_t kCells = layout::kReaderCells;

std::uint64_t reader(const detail::Seat& seat) noexcept {
  const OwnedCell cell{.lane = seat.lane_index,
                       .generation = seat.generation,
                       .note = static_cast<std::uint32_t>(detail::thread_token()) & layout::MutexState::kThreadMask,
                       .owned = true};
  return cell.word();
}

[[noreturn]] void throw_locked_already() {
  detail::throw_would_deadlock(
      "this thread has locked this SharedMutex already, or a process that shares it wrote so; unlock it first");
}

}  // namespace

// --- making one ------------------------------------------------------------------------------------------------------

absl::StatusOr<SharedMutex> SharedMutex::create(const ObjectOptions& options) {
  return detail::Factory::create<SharedMutex>(options);
}
absl::StatusOr<SharedMutex> SharedMutex::create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::create<SharedMutex>(name, options);
}
absl::StatusOr<SharedMutex> SharedMutex::open(std::string_view name) {
  return detail::Factory::open<SharedMutex>(name);
}
absl::StatusOr<SharedMutex> SharedMutex::open_or_create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::open_or_create<SharedMutex>(name, options);
}

absl::StatusOr<detail::SegmentPlan> SharedMutex::plan(const ObjectOptions&) {
  return detail::SegmentPlan{
      .kind = layout::ObjectKind::kSharedMutex,
      .size = sizeof(layout::SharedMutex),
      .wait_words = {offsetof(layout::SharedMutex, writer) + offsetof(layout::Mutex, waiters),
                     offsetof(layout::SharedMutex, readers), offsetof(layout::SharedMutex, drained)}};
}

absl::StatusOr<SharedMutex> SharedMutex::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::SharedMutex*> words = detail::words_in<layout::SharedMutex>(*attachment, "shared mutex");
  if (!words.ok()) return words.status();
  return SharedMutex(std::move(attachment), **words);
}

// --- the writer ------------------------------------------------------------------------------------------------------

// After the claim: a reader that was there before is seen, one that comes later sees the claim.
bool SharedMutex::readers_are_in() noexcept {
  for (std::uint32_t i = 0, end = cells_high(); i < end; ++i) {
    std::uint64_t word = words_->cells[i].owner.load(std::memory_order_seq_cst);  // [R3] pairs with R1, R2
    if (word == 0) continue;
    const OwnedCell cell = OwnedCell::from(word);
    if (cell.owned && detail::standing(*attachment_, attachment_->seat(), cell.lane, cell.generation, word) !=
                          detail::Standing::kGone) {
      return true;
    }
    if (!words_->cells[i].owner.compare_exchange_strong(word, 0, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool SharedMutex::try_lock() noexcept {
  if (i_read(attachment_->seat()) || core_.try_take() != detail::MutexCore::Take::kTaken) return false;
  if (!readers_are_in()) return true;
  (void)unlock();
  return false;
}

SharedMutex::Take SharedMutex::take_until(Deadline deadline) noexcept {
  if (i_read(attachment_->seat())) return Take::kMine;
  switch (core_.take_until(deadline)) {
    case detail::MutexCore::Take::kTaken: break;
    case detail::MutexCore::Take::kMine: return Take::kMine;
    case detail::MutexCore::Take::kHeld: return Take::kHeld;
  }
  return await_readers(deadline);
}

// By the writer.
SharedMutex::Take SharedMutex::await_readers(Deadline deadline) noexcept {
  WARREN_CRASH_POINT(writer_claimed);  // the next one takes over
  const auto test = [this] { return readers_are_in() ? detail::Progress::kBlocked : detail::Progress::kDone; };
  if (attachment_->wait_for_change(words_->drained, attachment_->seat().push_spinner, deadline, test))
    return Take::kTaken;
  (void)unlock();
  return Take::kHeld;
}

void SharedMutex::lock() {
  if (take_until(Deadline::never()) != Take::kTaken) throw_locked_already();
}

void SharedMutex::take_back() noexcept {
  core_.take_back();
  (void)await_readers(Deadline::never());
}

bool SharedMutex::unlock() noexcept {
  if (!core_.unlock()) return false;
  WARREN_CRASH_POINT(writer_left);  // readers that nobody wakes: their slices
  detail::notify(words_->readers, attachment_->wait_mode(), detail::kWakeAll);
  return true;
}

// --- readers ---------------------------------------------------------------------------------------------------------

std::uint32_t SharedMutex::cells_high() const noexcept {
  return std::min(words_->cells_high.load(std::memory_order_seq_cst), kCells);  // [R4] pairs with R5
}

bool SharedMutex::i_read(const detail::Seat& seat) const noexcept {
  const std::uint32_t index = seat.cell.load(std::memory_order_relaxed) % kCells;
  return seat.lane != nullptr && words_->cells[index].owner.load(std::memory_order_relaxed) == reader(seat);
}

// A cell that is nobody's, or of one who is known to be gone; from the lane's own on, which others rarely use. kCells:
// there is none.
std::uint32_t SharedMutex::claim_cell(const detail::Seat& seat) noexcept {
  const std::uint64_t mine = reader(seat);
  for (std::uint32_t k = 0; k < kCells; ++k) {
    const std::uint32_t index = (seat.lane_index + k) % kCells;
    std::atomic<std::uint64_t>& owner = words_->cells[index].owner;
    std::uint64_t found = owner.load(std::memory_order_relaxed);
    const OwnedCell cell = OwnedCell::from(found);
    if (cell.owned && !attachment_->lane_given_back(cell.lane, cell.generation)) continue;
    std::uint32_t high = cells_high();
    // [R5] a cell counts before it is claimed; pairs with R4
    while (high <= index && !words_->cells_high.compare_exchange_weak(high, index + 1, std::memory_order_seq_cst)) {
    }
    if (owner.compare_exchange_strong(found, mine, std::memory_order_seq_cst)) return index;  // [R1] pairs with R3
  }
  return kCells;
}

void SharedMutex::leave_cell(std::uint32_t index) noexcept {
  words_->cells[index].owner.store(0, std::memory_order_release);  // [R2] what was read before; pairs with R3
  WARREN_CRASH_POINT(reader_left);                                 // a writer that nobody wakes: its slices
  detail::notify(words_->drained, attachment_->wait_mode(), detail::kWakeAll);
}

SharedMutex::Take SharedMutex::try_take_shared() noexcept {
  using State = layout::MutexState;
  detail::Seat& seat = attachment_->seat();
  if (seat.lane == nullptr) return Take::kHeld;  // nobody who cannot be found dead may hold it
  if (i_read(seat) || core_.held_by_me()) return Take::kMine;
  if (State::from(words_->writer.state.load(std::memory_order_relaxed)).held) {
    if (core_.try_take() != detail::MutexCore::Take::kTaken) return Take::kHeld;
    (void)unlock();  // a dead writer's: it is told from now on
  }
  const std::uint32_t index = claim_cell(seat);
  if (index == kCells) return Take::kFull;
  WARREN_CRASH_POINT(reader_announced);  // writers find its owner dead, and empty it
  if (State::from(words_->writer.state.load(std::memory_order_seq_cst)).held) {  // [R6] pairs with M1, M2, M3
    leave_cell(index);
    return Take::kHeld;
  }
  seat.cell.store(index, std::memory_order_relaxed);
  return Take::kTaken;
}

SharedMutex::Take SharedMutex::take_shared_until(Deadline deadline) noexcept {
  Take take = try_take_shared();
  if (take == Take::kTaken || take == Take::kMine) return take;
  const auto test = [&] {
    take = try_take_shared();
    return take == Take::kHeld   ? detail::Progress::kBlocked
           : take == Take::kFull ? detail::Progress::kStalled  // readers who leave wake writers only
                                 : detail::Progress::kDone;
  };
  (void)attachment_->wait_for_change(words_->readers, attachment_->seat().pop_spinner, deadline, test);
  return take;
}

void SharedMutex::lock_shared() {
  if (take_shared_until(Deadline::never()) != Take::kTaken) throw_locked_already();
}

bool SharedMutex::unlock_shared() noexcept {
  const detail::Seat& seat = attachment_->seat();
  if (seat.lane == nullptr) return false;
  const std::uint64_t mine = reader(seat);
  std::uint32_t index = seat.cell.load(std::memory_order_relaxed) % kCells;
  const std::uint32_t end = cells_high();
  // Threads that share a seat share what it remembers, too.
  for (std::uint32_t k = 0; k <= end; index = k++) {
    if (words_->cells[index].owner.load(std::memory_order_relaxed) != mine) continue;
    leave_cell(index);
    return true;
  }
  return false;
}

}  // namespace warren
