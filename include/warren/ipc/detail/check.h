// WARREN_CHECK: our own broken invariant stops the program with a message. Never for what a peer wrote.
#pragma once

namespace warren::detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const char* message) noexcept;
}  // namespace warren::detail

#define WARREN_CHECK(condition, message)               \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::warren::detail::check_failed(#condition, __FILE__, __LINE__, message))
