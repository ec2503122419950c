// A word that says which attached thread or process has something: one CAS takes it and records the owner.
#pragma once
#include <warren/layout/lane.h>

namespace warren::layout {

//   bits 63..48 lane index + 1 | 47..32 lane generation | 31..0 what the algorithm keeps there;  0 in 63..32: nobody's
struct OwnedCell {
  std::uint32_t lane = 0;
  std::uint16_t generation = 0;
  std::uint32_t note = 0;
  bool owned = false;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return (owned ? std::uint64_t{lane + 1} << 48 | std::uint64_t{generation} << 32 : 0) | note;
  }
  [[nodiscard]] static constexpr OwnedCell from(std::uint64_t word) noexcept {
    const auto note = static_cast<std::uint32_t>(word);
    if (word >> 48 == 0) return {.note = note};
    return {.lane = static_cast<std::uint32_t>(word >> 48) - 1,
            .generation = static_cast<std::uint16_t>(word >> 32),
            .note = note,
            .owned = true};
  }
  [[nodiscard]] constexpr bool owned_by(std::uint32_t by_lane, std::uint16_t in_generation) const noexcept {
    return owned && lane == by_lane && generation == in_generation;
  }
};

}  // namespace warren::layout
