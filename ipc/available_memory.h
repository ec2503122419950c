#pragma once
#include <cstdint>

namespace warren::detail {

// Bytes that this process may still take without pushing somebody out: of the machine, and of its memory cgroup. The
// largest number where neither can be told.
std::uint64_t available_memory() noexcept;

// Whether the machine has so many bytes for what grows, and GrowthTuning::left_for_others beside them: the kernel would
// rather kill somebody than refuse. What was found is good for the next few MiB that this process asks for: to look
// costs as much as to commit some hundred KiB.
bool memory_for(std::uint64_t bytes) noexcept;

}  // namespace warren::detail
