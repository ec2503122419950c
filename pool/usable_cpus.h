#pragma once
#include <cstdint>

namespace warren::detail {

// Processors that this process may use: by its affinity, and by its cgroup's quota, rounded up. At least 1.
std::uint32_t usable_cpus() noexcept;

}  // namespace warren::detail
