// Watching another process from outside, and waiting for what it does with a limit.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>

#include "support/child.h"

namespace warren::test {

// State in /proc/PID/stat: 'R', 'S' (sleeps in a system call), 'T', 't' (stands under a tracer), 'Z'; '?': gone.
char process_state(pid_t pid);

// The number of the system call that it sleeps in; -1: none.
long current_system_call(pid_t pid);

// Waits for `condition` with short sleeps; false: not within `limit`.
bool eventually(const std::function<bool()>& condition, std::chrono::nanoseconds limit);

// Reaps it if it ends in time; nullopt: it runs on.
std::optional<Ended> ended_within(Child& child, std::chrono::nanoseconds limit);

}  // namespace warren::test
