// A ring of records of any length, as it lies in memory. docs/algorithms/spsc_records.md has the protocol.
//   SpscRingHeader, whose slots are units of 8 bytes: capacity, tail and head count these
//   records: RecordHead, the bytes, zero to seven more up to the next unit. A record lies in one piece: where the rest
//   of the ring is too short for it, a head there says so, and the record stands at the ring's begin.
#pragma once
#include <warren/layout/spsc_ring.h>

namespace warren::layout {

inline constexpr std::size_t kRecordUnit = 8;

// Says its length twice, so that no word of a payload, and no zeros, are taken for one.
//   63..32 ~length | 31..0 length in bytes; kSkips: no record, the next one stands at the ring's begin
struct RecordHead {
  static constexpr std::uint32_t kSkips = 0xffff'ffff;
  std::uint32_t length = 0;
  bool whole = true;  // false: the two do not agree

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{static_cast<std::uint32_t>(~length)} << 32 | length;
  }
  [[nodiscard]] static constexpr RecordHead from(std::uint64_t word) noexcept {
    const auto length = static_cast<std::uint32_t>(word);
    return {.length = length, .whole = static_cast<std::uint32_t>(word >> 32) == static_cast<std::uint32_t>(~length)};
  }
};

}  // namespace warren::layout
