// StackSlots: last in, first out. The items are the first slots, as many as there are: nothing else says so, and there
// is nothing to repair. docs/algorithms/locked_slots.md.
#pragma once
#include <warren/ipc/detail/locked_slots.h>

namespace warren::detail {

class StackSlots final : public LockedSlots {
 public:
  static constexpr layout::ObjectKind kKind = layout::ObjectKind::kStack;

  StackSlots(Attachment& attachment, const LockedGeometry& geometry) noexcept : LockedSlots(attachment, geometry) {}
  static absl::StatusOr<LockedGeometry> plan(std::size_t capacity, std::size_t payload_bytes) {
    return LockedSlots::plan(capacity, payload_bytes, sizeof(layout::StackSlot), 0);
  }
  static void initialise(std::span<std::byte> object, const LockedGeometry& geometry) noexcept {
    LockedSlots::initialise(*reinterpret_cast<layout::LockedSlotsHeader*>(object.data()), geometry);
  }
  static absl::StatusOr<LockedGeometry> check(const Attachment& attachment, std::size_t available,
                                              std::size_t payload_bytes) {
    return LockedSlots::check(attachment, available, payload_bytes, sizeof(layout::StackSlot), 0);
  }

 private:
  bool write(std::uint64_t size, std::uint64_t ticket, std::int64_t priority, ConstPayload payload) noexcept override;
  void take_back(std::uint64_t) noexcept override {}
  void added(std::uint64_t) noexcept override {}
  std::optional<std::uint64_t> first(std::uint64_t size, std::uint64_t number, Payload payload) noexcept override;
  void removed(std::uint64_t) noexcept override {}
  void repair() noexcept override;
  [[nodiscard]] std::size_t tickets(std::uint64_t size, Payload to) const noexcept override;
};

}  // namespace warren::detail
