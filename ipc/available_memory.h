#pragma once
#include <cstdint>

namespace warren::detail {

// Bytes that this process may still take without pushing somebody out: of the machine, and of its memory cgroup. The
// largest number where neither can be told.
std::uint64_t available_memory();

}  // namespace warren::detail
