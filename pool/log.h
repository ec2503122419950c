// What a pool's processes tell: one logger per process, on stderr, quiet unless something is wrong. WARREN_LOG=info (or
// debug, warning, error, off) in the environment says how much.
#pragma once
#include <spdlog/logger.h>

namespace warren::detail {

// Its own in every process: a lock that another thread of the application held at the fork is not in the way.
spdlog::logger& logger();

}  // namespace warren::detail
