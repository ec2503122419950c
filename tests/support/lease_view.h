// LeaseView: the lease cells of a queue, as they lie in its segment.
#pragma once
#include <warren/ipc/detail/lease_cells.h>
#include <warren/layout/lease_cells.h>

#include <algorithm>
#include <cstdint>

namespace warren::test {

class LeaseView {
 public:
  using Word = layout::LeaseWord;
  using State = layout::LeaseWord::State;

  // Of a queue whose items take `words` words of a slot.
  LeaseView(detail::Attachment& attachment, std::size_t words)
      : attachment_(&attachment),
        words_(words),
        offset_(detail::LeaseCells::offset_behind(attachment.max_size() - detail::LeaseCells::bytes(words))) {}

  [[nodiscard]] layout::MpmcRingHeader& ring() const {
    return *reinterpret_cast<layout::MpmcRingHeader*>(attachment_->object());
  }
  [[nodiscard]] detail::LeaseCells cells() const { return {*attachment_, ring(), offset_, words_}; }
  [[nodiscard]] std::uint32_t count() const { return std::min(ring().lease_cells.load(), layout::kMostLeases); }
  [[nodiscard]] layout::LeaseCell& cell(std::uint32_t i) const {
    return *reinterpret_cast<layout::LeaseCell*>(attachment_->object() + offset_ +
                                                 i * (sizeof(layout::LeaseCell) + words_ * sizeof(std::uint64_t)));
  }
  [[nodiscard]] Word word(std::uint32_t i) const { return Word::from(cell(i).word.load()); }
  [[nodiscard]] bool named(std::uint32_t i) const { return layout::HeadWord::names(ring().head.load(), i); }
  // Holds an item that is in no slot any more.
  [[nodiscard]] bool holds(std::uint32_t i) const {
    const State state = word(i).state;
    return state == State::kHeld || state == State::kReturned || (state == State::kTaking && named(i));
  }
  [[nodiscard]] std::size_t in_use() const {
    std::size_t count = 0;
    for (std::uint32_t i = 0; i < this->count(); ++i) count += word(i).state != State::kEmpty;
    return count;
  }
  // Items, here and in the ring, where no claim is dead.
  [[nodiscard]] std::size_t inside() const {
    std::size_t count = (ring().tail.load() & ~layout::kClosedBit) - layout::HeadWord::position(ring().head.load());
    for (std::uint32_t i = 0; i < this->count(); ++i) count += holds(i);
    return count;
  }

 private:
  detail::Attachment* attachment_;
  std::size_t words_;
  std::uint64_t offset_;
};

}  // namespace warren::test
