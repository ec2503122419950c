#pragma once

namespace warren::detail {

// The lowest number for descriptors that the library duplicates. Where a program has closed 0, 1 or 2 the kernel would
// give those, and what it writes to its standard streams would go there.
inline constexpr int kFirstDescriptor = 3;

}  // namespace warren::detail
