// How a process that Warren started runs what it was started for, and ends.
#pragma once
#include <warren/pool/detail/target.h>

#include <cstdint>
#include <string>

namespace warren::detail {

// Of a child that is named and has its signals. `own_threads`: of ours in it, which use nothing shared.
[[noreturn]] void run_and_exit(const Target& target, const std::string& name, std::uint64_t own_threads) noexcept;

}  // namespace warren::detail
