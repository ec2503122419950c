// Opens files by paths of any length.
#pragma once
#include "common/file_descriptor.h"

#include <string>

namespace warren::tools {

// openat(), also for a path that is longer than the kernel takes at once (PATH_MAX): then directory by directory. Not
// open: errno says why.
[[nodiscard]] FileDescriptor open_below(int directory, const std::string& path, int flags) noexcept;

}  // namespace warren::tools
