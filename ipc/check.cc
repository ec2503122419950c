#include <warren/ipc/detail/check.h>

#include <cstdio>
#include <cstdlib>

namespace warren::detail {

void check_failed(const char* condition, const char* file, int line, const char* message) noexcept {
  std::fprintf(stderr, "warren: %s (%s:%d: %s)\n", message, file, line, condition);
  std::abort();
}

}  // namespace warren::detail
