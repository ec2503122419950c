// WARREN_CRASH_POINT(name): marks an instruction after which dying hurts. In crash-point builds a test may have the
// process killed there; elsewhere it is nothing.
#pragma once

#if defined(WARREN_CRASH_POINTS)
namespace warren::detail {
void crash_point(const char* name) noexcept;
}  // namespace warren::detail
#define WARREN_CRASH_POINT(name) ::warren::detail::crash_point(#name)
#else
#define WARREN_CRASH_POINT(name) static_cast<void>(0)
#endif
