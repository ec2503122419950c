// log: what a process tells. One logger for each process, on stderr, quiet unless something is wrong.
//
//     warren[4711] server-0 warning: no answer from the database
//
// In each line stand the pid, and the name that current_process() gives: of a Process, a pool's worker, a Supervisor's.
// Warren itself tells there what breaks a pool, why a process failed, who is replaced again and again; at kInfo also
// each worker's death. A line is one write(2); what a full or broken pipe does not take is dropped, so nobody waits for
// who reads it. No lock is held that a fork could leave locked.
#pragma once
#include <string_view>

namespace spdlog {
class logger;
}

namespace warren {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// Of this process, and of those that it starts from now on. Before the first call: WARREN_LOG in the environment
// (debug, info, warn, error, off), else kWarning; what is none of them is kWarning, too, and told. Thread-safe.
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] LogLevel log_level() noexcept;

// Thread-safe. kOff: not told.
void log(LogLevel level, std::string_view text);

// The same with spdlog's formatting, for who includes <spdlog/logger.h> and links spdlog: logger().info("{} s", t). The
// object is the calling thread's in this process: ask anew each time. Its level is set_log_level()'s.
spdlog::logger& logger();

}  // namespace warren
