// The cells of a queue's leased items: an item on lease lies in a cell that says whose lease it is, until it is
// acknowledged; if it comes back, consumers take it from there. docs/algorithms/lease.md.
//
// A consumer fills a cell with a copy of the first item and takes that item by the CAS on `head`, which names the cell
// in the same step. Whoever finds a name in `head` confirms the cell before the name goes, so that at every moment one
// word says who has the item.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/layout/lease_cells.h>

#include <optional>
#include <span>

namespace warren::detail {

// A cell in a state that this process has brought about, or seen.
struct LeaseTicket {
  std::uint32_t index = 0;
  std::uint64_t word = 0;
  std::uint64_t position = 0;
  std::uint32_t attempt = 0;
};

class LeaseCells {
 public:
  LeaseCells() noexcept = default;  // not to be used
  // A ring that gives no leases: a peer's marks in its head are taken away, nothing more.
  LeaseCells(Attachment& attachment, layout::MpmcRingHeader& header) noexcept
      : attachment_(&attachment), header_(&header) {}
  // At `offset` in the object, with payloads of `words` words.
  LeaseCells(Attachment& attachment, layout::MpmcRingHeader& header, std::uint64_t offset, std::size_t words) noexcept;

  // Where they begin behind an object of so many bytes, and how much address space they take.
  [[nodiscard]] static std::uint64_t offset_behind(std::uint64_t bytes) noexcept;
  [[nodiscard]] static std::uint64_t bytes(std::size_t words) noexcept;

  // --- taking, from the ring ---
  // A cell for `me`; nullopt: all are in use, or memory for more ended.
  std::optional<LeaseTicket> claim(Seat& seat, LaneRef me) noexcept;
  void fill(LeaseTicket& claimed, std::uint64_t position, std::span<const std::uint64_t> payload) noexcept;
  // After the CAS of head that names it.
  void taken(LeaseTicket& claimed) noexcept;
  // Instead: it took nothing.
  void drop(const LeaseTicket& claimed) noexcept;

  // --- what came back ---
  // The item that comes first; nullopt: none.
  [[nodiscard]] std::optional<LeaseTicket> first_returned() noexcept;
  void read(const LeaseTicket& ticket, std::span<std::uint64_t> payload) const noexcept;
  // On lease once more. False: somebody else was faster.
  bool lease_again(LeaseTicket& returned, LaneRef me) noexcept;

  // --- the end ---
  // Of an item on lease: it is acknowledged. Of one that came back: it is taken, and what was read before is whole.
  // False: it is not so any more.
  bool remove(const LeaseTicket& ticket) noexcept;
  bool give_back(const LeaseTicket& held) noexcept;

  // --- for all who look at head ---
  // Confirms whom `head` names and takes the marks away. False: an item has come back, and `head` is still marked.
  bool settle_marks(std::uint64_t& head) noexcept;
  // For who finds the ring empty: gives the items of the dead back.
  struct Look {
    bool returned = false;  // an item can be taken
    bool held = false;      // an item is on lease
  };
  Look look(Seat& seat) noexcept;
  // For who waits, but not for an item.
  void give_back_of_dead() noexcept {
    if (count() != 0) (void)scan();
  }
  // Now and then, by who is seldom idle.
  void look_now_and_then(Seat& seat) noexcept;

  // Whether the item of that position, which head has passed, lies in a cell.
  [[nodiscard]] bool holds(std::uint64_t position) const noexcept;
  // Items that are on lease; and those that have come back.
  [[nodiscard]] std::size_t leased() const noexcept;
  [[nodiscard]] std::size_t waiting() const noexcept;
  // Both, and those that are being taken: never fewer than have been.
  [[nodiscard]] std::uint64_t in_use() const noexcept;
  // Those that head has passed, as it stands now: exact where nobody takes meanwhile, else perhaps too many.
  [[nodiscard]] std::uint64_t passed() const noexcept;
  [[nodiscard]] std::uint64_t returned() const noexcept { return header_->returned.load(std::memory_order_relaxed); }

 private:
  using Word = layout::LeaseWord;
  using State = layout::LeaseWord::State;

  [[nodiscard]] layout::LeaseCell& cell(std::uint32_t index) const noexcept;
  [[nodiscard]] std::byte* payload(std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t count() const noexcept;
  [[nodiscard]] std::size_t count_of(State state) const noexcept;
  bool add_cell(std::uint32_t count) noexcept;
  bool claim_at(std::uint32_t index, LaneRef me, LeaseTicket& ticket) noexcept;
  bool confirm(std::uint64_t head) noexcept;
  void take_name_away(std::uint32_t index) noexcept;
  bool to_returned(std::uint32_t index, std::uint64_t word) noexcept;
  void take_from_dead(std::uint32_t index, std::uint64_t word) noexcept;
  Look scan() noexcept;
  [[nodiscard]] bool time_to_sweep(Seat& seat) noexcept;

  Attachment* attachment_ = nullptr;
  layout::MpmcRingHeader* header_ = nullptr;
  std::byte* cells_ = nullptr;
  std::size_t stride_ = 0;
};

}  // namespace warren::detail
