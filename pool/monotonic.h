// Times as they lie in a pool's memory: nanoseconds of CLOCK_MONOTONIC, which all its processes share.
#pragma once
#include <chrono>
#include <cstdint>

namespace warren::detail {

[[nodiscard]] inline std::uint64_t monotonic_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}
// `ns` from now, at most for ever.
[[nodiscard]] inline std::uint64_t after(std::uint64_t ns) noexcept {
  const std::uint64_t now = monotonic_ns();
  return ns < UINT64_MAX - 1 - now ? now + ns : UINT64_MAX - 1;
}

}  // namespace warren::detail
