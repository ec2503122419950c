#include <warren/ipc/detail/priority_slots.h>

namespace warren::detail {
namespace {

constexpr std::size_t kTicket = offsetof(layout::PrioritySlot, ticket);
constexpr std::size_t kTaken = offsetof(layout::PrioritySlot, taken);
constexpr std::size_t kPriority = offsetof(layout::PrioritySlot, priority);
constexpr std::size_t kPayload = sizeof(layout::PrioritySlot);

}  // namespace

struct PrioritySlots::Rank {
  std::int64_t priority;
  std::uint64_t ticket;
  [[nodiscard]] bool comes_before(const Rank& other) const noexcept {
    return priority != other.priority ? priority > other.priority : ticket < other.ticket;
  }
};

void PrioritySlots::initialise(std::span<std::byte> object, const LockedGeometry& geometry) noexcept {
  LockedSlots::initialise(*reinterpret_cast<layout::LockedSlotsHeader*>(object.data()), geometry);
  auto* const entries = reinterpret_cast<Index*>(object.data() + sizeof(layout::LockedSlotsHeader));
  for (std::uint64_t i = 0; i < geometry.capacity; ++i) entries[i] = static_cast<Index>(i);
}

PrioritySlots::Index PrioritySlots::entry(std::uint64_t at) const noexcept {
  auto* const entries = reinterpret_cast<Index*>(object() + sizeof(layout::LockedSlotsHeader));
  const Index index = std::atomic_ref(entries[at]).load(std::memory_order_relaxed);
  return index < capacity() ? index : 0;
}

void PrioritySlots::set_entry(std::uint64_t at, Index index) noexcept {
  auto* const entries = reinterpret_cast<Index*>(object() + sizeof(layout::LockedSlotsHeader));
  std::atomic_ref(entries[at]).store(index, std::memory_order_relaxed);
}

bool PrioritySlots::holds_item(Index index) const noexcept {
  return layout::PrioritySlot::holds_item(load_word(slot(index) + kTicket), load_word(slot(index) + kTaken), pushed(),
                                          popped());
}

PrioritySlots::Rank PrioritySlots::rank_of(Index index) const noexcept {
  return {.priority = static_cast<std::int64_t>(load_word(slot(index) + kPriority)),
          .ticket = load_word(slot(index) + kTicket)};
}

void PrioritySlots::lift(std::uint64_t at, Index index) noexcept {
  const Rank rank = rank_of(index);
  while (at != 0) {
    const std::uint64_t parent = (at - 1) / 2;
    const Index above = entry(parent);
    if (!rank.comes_before(rank_of(above))) break;
    set_entry(at, above);
    at = parent;
  }
  set_entry(at, index);
}

void PrioritySlots::sink(std::uint64_t at, Index index, std::uint64_t size) noexcept {
  const Rank rank = rank_of(index);
  for (std::uint64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    Index below = entry(child);
    Rank best = rank_of(below);
    if (child + 1 < size) {
      const Index other = entry(child + 1);
      if (const Rank of_other = rank_of(other); of_other.comes_before(best)) {
        below = other;
        best = of_other;
        ++child;
      }
    }
    if (!best.comes_before(rank)) break;
    set_entry(at, below);
    at = child;
  }
  set_entry(at, index);
}

// The slot holds no item at any moment before the commit: by `taken` until its ticket is there, from then on by that.
bool PrioritySlots::write(std::uint64_t size, std::uint64_t ticket, std::int64_t priority,
                          ConstPayload payload) noexcept {
  Index index = entry(size);
  if (holds_item(index)) [[unlikely]] {  // a peer's false words
    repair();
    index = entry(size);
    if (pushed() - popped() != size || holds_item(index)) return false;
  }
  std::byte* const place = slot(index);
  store_payload(place + kPayload, payload);
  store_word(place + kPriority, static_cast<std::uint64_t>(priority));
  store_word(place + kTicket, ticket + 1);
  WARREN_CRASH_POINT(priority_ticket_written);  // the old item's end still stands; repair() takes the ticket back
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(place + kTaken))
      .store(0, std::memory_order_release);  // [LK7] not before the ticket: the old item would rise; pairs with M3
  return true;
}

void PrioritySlots::take_back(std::uint64_t size) noexcept { store_word(slot(entry(size)) + kTicket, 0); }

std::optional<std::uint64_t> PrioritySlots::first(std::uint64_t, std::uint64_t number, Payload payload) noexcept {
  Index index = entry(0);
  if (!holds_item(index)) [[unlikely]] {  // a peer's false words
    repair();
    index = entry(0);
    if (!holds_item(index)) return std::nullopt;
  }
  load_payload(slot(index) + kPayload, payload);
  store_word(slot(index) + kTaken, number + 1);
  return load_word(slot(index) + kTicket) - 1;
}

void PrioritySlots::removed(std::uint64_t size) noexcept {
  const Index free = entry(0);
  const Index last = entry(size - 1);
  set_entry(size - 1, free);
  WARREN_CRASH_POINT(priority_heap_open);  // one number is there twice: made anew
  if (size > 1) sink(0, last, size - 1);
}

// Marks whose commit did not come are taken off first: a later commit would find them, and mean them. Then the heap is
// made of what is there. Whoever dies in here leaves all of it to do again.
void PrioritySlots::repair() noexcept {
  std::uint64_t items = 0;
  std::uint64_t free = capacity();
  for (std::uint64_t i = 0; i < capacity(); ++i) {
    const auto index = static_cast<Index>(i);
    const bool holds = holds_item(index);
    store_word(slot(i) + (holds ? kTaken : kTicket), 0);
    set_entry(holds ? items++ : --free, index);
  }
  WARREN_CRASH_POINT(priority_marks_cleared);  // no heap yet
  for (std::uint64_t at = items / 2; at-- != 0;) sink(at, entry(at), items);
  if (pushed() - popped() != items) set_popped(pushed() - items);  // only where a peer's words were false
}

std::size_t PrioritySlots::tickets(std::uint64_t, Payload to) const noexcept {
  std::size_t count = 0;
  for (std::uint64_t i = 0; i < capacity() && count < to.size(); ++i) {
    if (holds_item(static_cast<Index>(i))) to[count++] = load_word(slot(i) + kTicket) - 1;
  }
  return count;
}

}  // namespace warren::detail
