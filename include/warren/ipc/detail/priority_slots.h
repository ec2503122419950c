// PrioritySlots: the largest priority first, and among equals who came first. The slots say which items there are; the
// heap of their numbers, and behind it those of the free slots, only saves the search, and is made anew from the slots
// where its last holder died. docs/algorithms/locked_slots.md.
#pragma once
#include <warren/ipc/detail/locked_slots.h>

namespace warren::detail {

class PrioritySlots final : public LockedSlots {
 public:
  static constexpr layout::ObjectKind kKind = layout::ObjectKind::kPriorityQueue;

  PrioritySlots(Attachment& attachment, const LockedGeometry& geometry) noexcept : LockedSlots(attachment, geometry) {}
  static absl::StatusOr<LockedGeometry> plan(std::size_t capacity, std::size_t payload_bytes) {
    return LockedSlots::plan(capacity, payload_bytes, sizeof(layout::PrioritySlot), sizeof(std::uint32_t));
  }
  static void initialise(std::span<std::byte> object, const LockedGeometry& geometry) noexcept;
  static absl::StatusOr<LockedGeometry> check(const Attachment& attachment, std::size_t available,
                                              std::size_t payload_bytes) {
    return LockedSlots::check(attachment, available, payload_bytes, sizeof(layout::PrioritySlot),
                              sizeof(std::uint32_t));
  }

 private:
  using Index = std::uint32_t;
  struct Rank;

  bool write(std::uint64_t size, std::uint64_t ticket, std::int64_t priority, ConstPayload payload) noexcept override;
  void take_back(std::uint64_t size) noexcept override;
  void added(std::uint64_t size) noexcept override { lift(size, entry(size)); }
  std::optional<std::uint64_t> first(std::uint64_t size, std::uint64_t number, Payload payload) noexcept override;
  void removed(std::uint64_t size) noexcept override;
  void repair() noexcept override;
  [[nodiscard]] std::size_t tickets(std::uint64_t size, Payload to) const noexcept override;

  // The heap's entries are a peer's words: any number that is none of a slot's is slot 0's.
  [[nodiscard]] Index entry(std::uint64_t at) const noexcept;
  void set_entry(std::uint64_t at, Index index) noexcept;
  [[nodiscard]] bool holds_item(Index index) const noexcept;
  [[nodiscard]] Rank rank_of(Index index) const noexcept;
  // Puts `index` into the heap at `at`, or as far up, or down among `size`, as its rank says.
  void lift(std::uint64_t at, Index index) noexcept;
  void sink(std::uint64_t at, Index index, std::uint64_t size) noexcept;
};

}  // namespace warren::detail
