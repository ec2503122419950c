#include <warren/ipc/detail/stack_slots.h>

namespace warren::detail {

namespace {
constexpr std::size_t kPayload = sizeof(layout::StackSlot);
}

bool StackSlots::write(std::uint64_t size, std::uint64_t ticket, std::int64_t, ConstPayload payload) noexcept {
  store_word(slot(size), ticket);
  store_payload(slot(size) + kPayload, payload);
  return true;
}

std::optional<std::uint64_t> StackSlots::first(std::uint64_t size, std::uint64_t, Payload payload) noexcept {
  load_payload(slot(size - 1) + kPayload, payload);
  return load_word(slot(size - 1));
}

// The dead leave nothing half done. Counts that cannot be are a peer's: what they stood for is gone.
void StackSlots::repair() noexcept {
  if (pushed() - popped() > capacity()) set_popped(pushed());
}

std::size_t StackSlots::tickets(std::uint64_t size, Payload to) const noexcept {
  for (std::uint64_t i = 0; i < size; ++i) to[i] = load_word(slot(i));
  return size;
}

}  // namespace warren::detail
