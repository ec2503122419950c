// A handle as plain bytes, for a process that may have existed before the object did.
#pragma once
#include <array>
#include <cstdint>

namespace warren::detail {

using SegmentId = std::array<std::uint64_t, 2>;  // random; zeros are nobody's

// A descriptor of a process, and what must be behind it. All of it is a peer's word when it arrives.
struct HandleValue {
  SegmentId id{};                // of the segment
  std::uint64_t start_time = 0;  // of the process, clock ticks since boot
  std::uint32_t pid = 0;
  std::uint32_t pid_namespace = 0;
  std::int32_t descriptor = -1;
  std::uint32_t reserved = 0;
};

}  // namespace warren::detail
