// Leases with one mistake each. They show that the harness sees what it is there to see.
#pragma once
#include "crash/lease_trial.h"

namespace warren::test {

inline constexpr std::size_t kLeased = 8;  // words

class RawLeases : public Queue<Item<kLeased>> {
 public:
  using Base = Queue<Item<kLeased>>;
  using T = Item<kLeased>;
  using Cell = layout::LeaseWord;
  explicit RawLeases(Base queue) : Base(std::move(queue)) {}

 protected:
  LeaseView view() const { return {Reach::attachment(*this), kLeased}; }
  // A cell, with the first item of the ring in it.
  std::optional<detail::LeaseTicket> claim(T& item) {
    detail::Seat& seat = Reach::attachment(*this).seat();
    auto claimed = view().cells().claim(seat, Reach::attachment(*this).process_lane(seat));
    const std::uint64_t h = view().ring().head.load();
    const auto* const slot = reinterpret_cast<const std::uint64_t*>(&view().ring() + 1) +
                             (h & (view().ring().slot_count - 1)) * (kLeased + 1);
    if (!claimed || slot[0] != layout::committed(h)) return std::nullopt;
    std::memcpy(&item, slot + 1, sizeof item);
    view().cells().fill(*claimed, h, item.words);
    return claimed;
  }
};

// Takes the item without a name in head: nobody can tell that the cell has it.
class NamesNobody : public RawLeases {
 public:
  using RawLeases::RawLeases;
  bool take() {
    T item;
    auto claimed = claim(item);
    if (!claimed) return false;
    std::uint64_t h = claimed->position;
    if (!view().ring().head.compare_exchange_strong(h, h + 1)) return view().cells().drop(*claimed), false;
    view().cells().taken(*claimed);
    return view().cells().give_back(*claimed);
  }
};

// Takes names away, and confirms nobody.
class ConfirmsNobody : public RawLeases {
 public:
  using RawLeases::RawLeases;
  std::optional<T> try_pop_for(Timeout d) {
    std::uint64_t h = view().ring().head.load();
    if (layout::HeadWord::names_any(h)) {
      view().ring().head.compare_exchange_strong(h, h & ~layout::HeadWord::kCellMask);
    }
    return Base::try_pop_for(d);
  }
};

// Takes what came back by a store, though somebody else may have taken it meanwhile.
class TakesBackByStore : public RawLeases {
 public:
  using RawLeases::RawLeases;
  std::optional<T> try_pop() {
    const auto returned = view().cells().first_returned();
    if (!returned) return std::nullopt;
    T item;
    view().cells().read(*returned, item.words);
    view().cell(returned->index).word.store(Cell{.version = Cell::from(returned->word).version}.word());
    return item;
  }
};

}  // namespace warren::test
