#pragma once
#include <absl/status/status.h>

#include <cstddef>

namespace warren::detail {

// Beyond the limit of a file's size (ulimit -f), which memfds have too, the kernel would send SIGXFSZ, which ends a
// program. ResourceExhausted: `what`, of `size` bytes, is more than that.
absl::Status check_file_limit(const char* what, std::size_t size);

}  // namespace warren::detail
