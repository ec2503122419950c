// What a pool's options say of its processes: limits, processors, descriptors, surroundings.
#pragma once
#include <absl/status/status.h>
#include <warren/pool/pool.h>

#include <cstdint>
#include <span>

namespace warren::detail {

// In a worker, before its initializer. The status says what could not be done.
absl::Status set_up_worker(const PoolOptions& options, std::uint32_t index);

// In the supervisor, before it forks workers: of what the application had open, only `options.keep_fds`, standard
// streams, `own` and the segments of this process stay. Numbers stay taken: a library that writes to a descriptor it
// remembers is not to write into one of ours.
absl::Status keep_descriptors(const PoolOptions& options, std::span<const int> own);

// Resident memory in bytes, and an upper bound of it that costs less.
std::uint64_t resident_bytes() noexcept;
std::uint64_t peak_resident_bytes() noexcept;

}  // namespace warren::detail
