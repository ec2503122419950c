// Ctrl-C, and the other signals that ask the program to stop.
#pragma once

namespace warren::tools {

// From now on the first SIGINT, SIGTERM or SIGHUP is only noted, so that the program can end in order; blocking system
// calls return with EINTR. A second one ends it at once. Signals that were ignored stay so (nohup).
void note_interrupts() noexcept;

// The signal that was noted; 0: none.
[[nodiscard]] int interrupted() noexcept;

}  // namespace warren::tools
