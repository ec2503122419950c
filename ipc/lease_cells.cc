#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/lease_cells.h>
#include <warren/ipc/detail/words.h>

#include <algorithm>

#include "to_page.h"

namespace warren::detail {

using layout::HeadWord;

namespace {

constexpr std::size_t stride_for(std::size_t words) {
  return sizeof(layout::LeaseCell) + words * sizeof(std::uint64_t);
}

}  // namespace

LeaseCells::LeaseCells(Attachment& attachment, layout::MpmcRingHeader& header, std::uint64_t offset,
                       std::size_t words) noexcept
    : attachment_(&attachment), header_(&header), cells_(attachment.object() + offset), stride_(stride_for(words)) {}

std::uint64_t LeaseCells::offset_behind(std::uint64_t bytes) noexcept { return to_page(bytes); }

std::uint64_t LeaseCells::bytes(std::size_t words) noexcept {
  return to_page(std::uint64_t{layout::kMostLeases} * stride_for(words));
}

layout::LeaseCell& LeaseCells::cell(std::uint32_t index) const noexcept {
  return *reinterpret_cast<layout::LeaseCell*>(cells_ + index * stride_);
}

std::byte* LeaseCells::payload(std::uint32_t index) const noexcept {
  return cells_ + index * stride_ + sizeof(layout::LeaseCell);
}

std::uint32_t LeaseCells::count() const noexcept {
  if (cells_ == nullptr) return 0;
  return std::min(header_->lease_cells.load(std::memory_order_acquire), layout::kMostLeases);  // [LE1] pairs with LE2
}

bool LeaseCells::add_cell(std::uint32_t count) noexcept {
  if (cells_ == nullptr || count >= layout::kMostLeases) return false;
  const std::size_t from = to_page(count * stride_);  // what those that there are have
  const std::size_t to = to_page((count + 1) * stride_);
  const auto offset = static_cast<std::size_t>(cells_ - attachment_->object());
  if (from != to && !attachment_->commit(offset + from, to - from).ok()) return false;
  WARREN_CRASH_POINT(lease_memory_committed);  // memory that no count says: the next one commits it again
  (void)header_->lease_cells.compare_exchange_strong(
      count, count + 1, std::memory_order_release);  // [LE2] memory before the count; pairs with LE1
  return true;
}

// --- taking ----------------------------------------------------------------------------------------------------------

bool LeaseCells::claim_at(std::uint32_t index, LaneRef me, LeaseTicket& ticket) noexcept {
  std::uint64_t found = cell(index).word.load(std::memory_order_relaxed);
  const Word empty = Word::from(found);
  if (empty.state != State::kEmpty) return false;
  const Word taking{
      .state = State::kTaking, .lane = me.index, .generation = me.generation, .version = empty.version + 1};
  if (!cell(index).word.compare_exchange_strong(found, taking.word(), std::memory_order_acq_rel))
    return false;  // [LE3] who read the payload is done; pairs with LE4, LE12
  ticket = {.index = index, .word = taking.word()};
  return true;
}

std::optional<LeaseTicket> LeaseCells::claim(Seat& seat, LaneRef me) noexcept {
  for (;;) {
    const std::uint32_t end = count();
    const std::uint32_t first = seat.cell.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < end; ++i) {
      const std::uint32_t index = (first + i) % end;
      LeaseTicket ticket;
      if (!claim_at(index, me, ticket)) continue;
      seat.cell.store(index, std::memory_order_relaxed);
      WARREN_CRASH_POINT(lease_claimed);  // head does not name it: take_from_dead() empties it
      return ticket;
    }
    if (!add_cell(end)) return std::nullopt;
  }
}

void LeaseCells::fill(LeaseTicket& claimed, std::uint64_t position, std::span<const std::uint64_t> payload) noexcept {
  layout::LeaseCell& cell = this->cell(claimed.index);
  cell.position.store(position, std::memory_order_release);  // [LE22] after LE3; pairs with LE18
  cell.first.store(Word::from(claimed.word).version, std::memory_order_relaxed);
  auto* const words = reinterpret_cast<std::uint64_t*>(this->payload(claimed.index));
  for (std::size_t i = 0; i < payload.size(); ++i) {
    std::atomic_ref(words[i]).store(payload[i], std::memory_order_relaxed);
  }
  claimed.position = position;
  claimed.attempt = 1;
  WARREN_CRASH_POINT(lease_filled);  // likewise
}

void LeaseCells::taken(LeaseTicket& claimed) noexcept {
  WARREN_CRASH_POINT(lease_taken);  // head names it: whoever comes next confirms it
  Word held = Word::from(claimed.word);
  held.state = State::kHeld;
  std::uint64_t word = std::exchange(claimed.word, held.word());
  (void)cell(claimed.index)
      .word.compare_exchange_strong(word, held.word(),
                                    std::memory_order_acq_rel);  // [LE5] pairs with LE6
  WARREN_CRASH_POINT(lease_confirmed);                           // on lease; take_from_dead() gives it back
  take_name_away(claimed.index);
}

void LeaseCells::drop(const LeaseTicket& claimed) noexcept {
  Word mine = Word::from(claimed.word);
  const Word empty{.version = mine.version};
  // Or held, by who stood in confirm() since this word was another's, 2^30 versions ago.
  for (const State state : {State::kTaking, State::kHeld}) {
    mine.state = state;
    std::uint64_t word = mine.word();
    if (cell(claimed.index)
            .word.compare_exchange_strong(word, empty.word(), std::memory_order_acq_rel))  // [LE4] pairs with LE3
      return;
  }
}

// Only while head names it, and thus its state is what the naming CAS found: a word seen before that, or after, is that
// of another claim. Read in between two looks at a word that does not repeat.
bool LeaseCells::confirm(std::uint64_t head) noexcept {
  const std::uint32_t index = HeadWord::cell(head);
  if (index >= count()) return true;                                      // a peer's false word
  std::uint64_t word = cell(index).word.load(std::memory_order_acquire);  // [LE6] pairs with LE3
  Word held = Word::from(word);
  if (held.state != State::kTaking) return true;
  if (header_->head.load(std::memory_order_acquire) != head) return false;  // [LE7] after LE6; pairs with LE9
  held.state = State::kHeld;
  (void)cell(index).word.compare_exchange_strong(word, held.word(), std::memory_order_acq_rel);  // [LE5]
  WARREN_CRASH_POINT(name_confirmed);  // the next one finds it so
  return true;
}

// Before the cell may be another's. Whoever is slow here finds the name of a later claim, hence confirms that too.
void LeaseCells::take_name_away(std::uint32_t index) noexcept {
  std::uint64_t head = header_->head.load(std::memory_order_acquire);  // [LE8] the cell that it names; pairs with LE20
  while (HeadWord::names(head, index)) {
    if (!confirm(head)) {
      head = header_->head.load(std::memory_order_acquire);  // [LE8]
      continue;
    }
    if (header_->head.compare_exchange_weak(head, head & ~HeadWord::kCellMask,
                                            std::memory_order_acq_rel))  // [LE9] after LE5; pairs with LE7, LE16
      return;
  }
}

// --- what came back --------------------------------------------------------------------------------------------------

std::optional<LeaseTicket> LeaseCells::first_returned() noexcept {
  std::optional<LeaseTicket> first;
  for (std::uint32_t i = 0, end = count(); i < end; ++i) {
    const std::uint64_t word =
        cell(i).word.load(std::memory_order_acquire);  // [LE10] position, payload; pairs with LE14
    const Word found = Word::from(word);
    if (found.state != State::kReturned) continue;
    const std::uint64_t position = HeadWord::position(cell(i).position.load(std::memory_order_relaxed));
    if (first && first->position <= position) continue;
    const std::uint32_t before = found.version - cell(i).first.load(std::memory_order_relaxed);
    first = LeaseTicket{.index = i, .word = word, .position = position, .attempt = (before & Word::kVersionMask) + 1};
  }
  return first;
}

void LeaseCells::read(const LeaseTicket& ticket, std::span<std::uint64_t> payload) const noexcept {
  auto* const words = reinterpret_cast<std::uint64_t*>(this->payload(ticket.index));
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = std::atomic_ref(words[i]).load(std::memory_order_relaxed);
  }
}

bool LeaseCells::lease_again(LeaseTicket& returned, LaneRef me) noexcept {
  std::uint64_t word = returned.word;
  const Word held{
      .state = State::kHeld, .lane = me.index, .generation = me.generation, .version = Word::from(word).version + 1};
  if (!cell(returned.index).word.compare_exchange_strong(word, held.word(), std::memory_order_acq_rel))
    return false;                         // [LE11] COMMIT; pairs with LE14
  WARREN_CRASH_POINT(lease_again_taken);  // as lease_confirmed
  returned.word = held.word();
  ++returned.attempt;
  return true;
}

// --- the end ---------------------------------------------------------------------------------------------------------

bool LeaseCells::remove(const LeaseTicket& ticket) noexcept {
  std::uint64_t word = ticket.word;
  const Word empty{.version = Word::from(word).version};
  if (!cell(ticket.index).word.compare_exchange_strong(word, empty.word(), std::memory_order_acq_rel))
    return false;                     // [LE12] COMMIT, frees the cell; pairs with LE3
  WARREN_CRASH_POINT(lease_removed);  // before the wake: slices bound the wait
  // Who waits for the end of a closed queue is told.
  if (header_->tail.load(std::memory_order_acquire) >= layout::kMaxPosition) {  // [LE13] pairs with Q11
    notify(header_->not_empty, attachment_->wait_mode(), kWakeAll);
  }
  return true;
}

bool LeaseCells::give_back(const LeaseTicket& held) noexcept { return to_returned(held.index, held.word); }

bool LeaseCells::to_returned(std::uint32_t index, std::uint64_t word) noexcept {
  const Word returned{.state = State::kReturned, .version = Word::from(word).version};
  if (!cell(index).word.compare_exchange_strong(word, returned.word(), std::memory_order_acq_rel))
    return false;                      // [LE14] COMMIT; pairs with LE10
  WARREN_CRASH_POINT(lease_returned);  // unmarked: found when the ring is empty, or by the next scan()
  header_->returned.fetch_add(1, std::memory_order_relaxed);
  header_->head.fetch_or(HeadWord::kReturned, std::memory_order_acq_rel);  // [LE15] after LE14; pairs with LE8
  WARREN_CRASH_POINT(return_marked);                                       // before the wake: slices bound the wait
  notify(header_->not_empty, attachment_->wait_mode(), 1);
  return true;
}

// Its owner is dead, so that head is not going to name it from now on.
void LeaseCells::take_from_dead(std::uint32_t index, std::uint64_t word) noexcept {
  Word found = Word::from(word);
  if (found.state == State::kTaking) {
    const std::uint64_t head = header_->head.load(std::memory_order_acquire);  // [LE16] after LE17; pairs with LE9
    if (!HeadWord::names(head, index)) {
      // It never did, or the word is not what it was.
      const Word empty{.version = found.version};
      (void)cell(index).word.compare_exchange_strong(word, empty.word(), std::memory_order_acq_rel);  // [LE4]
      return;
    }
    if (!confirm(head)) return;  // the next look finds it
    found.state = State::kHeld;
    word = found.word();
  }
  take_name_away(index);
  (void)to_returned(index, word);
}

// --- looking ---------------------------------------------------------------------------------------------------------

bool LeaseCells::settle_marks(std::uint64_t& head) noexcept {
  head = header_->head.load(std::memory_order_acquire);  // [LE8]
  while (HeadWord::marked(head)) {
    if (HeadWord::names_any(head) && !confirm(head)) {
      head = header_->head.load(std::memory_order_acquire);  // [LE8]
      continue;
    }
    const bool returned = (head & HeadWord::kReturned) != 0;
    if (returned && first_returned()) return false;
    if (!header_->head.compare_exchange_weak(head, HeadWord::position(head), std::memory_order_acq_rel))
      continue;  // [LE9]
    head = HeadWord::position(head);
    if (!returned) continue;
    WARREN_CRASH_POINT(mark_cleared);  // as lease_returned
    if (first_returned()) {            // it came back after the first look, and found the mark standing
      head = header_->head.fetch_or(HeadWord::kReturned, std::memory_order_acq_rel) | HeadWord::kReturned;  // [LE15]
    }
  }
  return true;
}

LeaseCells::Look LeaseCells::scan() noexcept {
  Look found;
  for (std::uint32_t i = 0, end = count(); i < end; ++i) {
    std::uint64_t word = cell(i).word.load(std::memory_order_acquire);  // [LE17] pairs with LE3, LE5, LE14
    const Word at_first = Word::from(word);
    const bool owned = at_first.state == State::kTaking || at_first.state == State::kHeld;
    if (owned && attachment_->lane_given_back(at_first.lane, at_first.generation)) {
      take_from_dead(i, word);
      word = cell(i).word.load(std::memory_order_acquire);  // [LE17]
    }
    const State state = Word::from(word).state;
    found.held |= state == State::kHeld;
    found.returned |= state == State::kReturned;
  }
  // Who returned it may have died before that.
  if (found.returned && (header_->head.load(std::memory_order_relaxed) & HeadWord::kReturned) == 0) {
    header_->head.fetch_or(HeadWord::kReturned, std::memory_order_acq_rel);  // [LE15]
  }
  return found;
}

bool LeaseCells::time_to_sweep(Seat& seat) noexcept {
  const auto now = std::chrono::steady_clock::now();
  const auto last = std::exchange(seat.leases_looked_at, now);
  if (last == std::chrono::steady_clock::time_point{} || now - last >= attachment_->slice()) {
    return last != std::chrono::steady_clock::time_point{};
  }
  seat.leases_looked_at = last;
  return false;
}

LeaseCells::Look LeaseCells::look(Seat& seat) noexcept {
  const Look found = scan();
  if (found.returned || !found.held || !time_to_sweep(seat) || attachment_->sweep() == 0) return found;
  return scan();
}

void LeaseCells::look_now_and_then(Seat& seat) noexcept {
  if (count() == 0 || !time_to_sweep(seat)) return;
  (void)attachment_->sweep();
  (void)scan();
}

bool LeaseCells::holds(std::uint64_t position) const noexcept {
  for (std::uint32_t i = 0, end = count(); i < end; ++i) {
    const std::uint64_t word = cell(i).word.load(std::memory_order_acquire);  // [LE23] pairs with LE3
    if (Word::from(word).state == State::kEmpty) continue;
    if (cell(i).position.load(std::memory_order_acquire) == position)
      return true;  // [LE18] takes after; pairs with LE22
  }
  return false;
}

std::size_t LeaseCells::count_of(State state) const noexcept {
  std::size_t found = 0;
  for (std::uint32_t i = 0, end = count(); i < end; ++i) {
    found += Word::from(cell(i).word.load(std::memory_order_relaxed)).state == state;
  }
  return found;
}
std::uint64_t LeaseCells::in_use() const noexcept {
  std::uint64_t found = 0;
  for (std::uint32_t i = 0, end = count(); i < end; ++i) {
    const std::uint64_t word = cell(i).word.load(std::memory_order_acquire);  // [LE21] lanes after; pairs with LE12
    found += Word::from(word).state != State::kEmpty;
  }
  return found;
}
// A cell that is being taken is passed once head names it. Where it has been confirmed by then, and the name has gone,
// the second look finds it held.
std::uint64_t LeaseCells::passed() const noexcept {
  const auto is_passed = [this](std::uint32_t index) {
    const State state = Word::from(cell(index).word.load(std::memory_order_acquire)).state;  // [LE21]
    return state == State::kHeld || state == State::kReturned ||
           (state == State::kTaking && HeadWord::names(header_->head.load(std::memory_order_acquire), index));  // [LE8]
  };
  std::uint64_t found = 0;
  for (std::uint32_t i = 0, end = count(); i < end; ++i) found += is_passed(i) || is_passed(i);
  return found;
}
std::size_t LeaseCells::leased() const noexcept { return count_of(State::kHeld); }
std::size_t LeaseCells::waiting() const noexcept { return count_of(State::kReturned); }

}  // namespace warren::detail
