// How a process that Warren started runs what it was started for, and ends.
#pragma once
#include <warren/pool/detail/target.h>

#include <warren/pool/process.h>

#include <cstdint>
#include <string>

namespace warren::detail {

// Of a child that is named and has its signals. `own_threads`: of ours in it, which use nothing shared.
[[noreturn]] void run_and_exit(const Target& target, const std::string& name, std::uint64_t own_threads) noexcept;

// The same of a child that has just begun: takes the name, the signals, and the watch over its parent that a daemon
// has.
[[noreturn]] void run_as(const ProcessInfo& self, int parent_pidfd, const Target& target) noexcept;

}  // namespace warren::detail
