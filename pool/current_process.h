#pragma once
#include <warren/pool/process.h>

namespace warren::detail {

// What current_process() tells from now on. Early in a child, while it has one thread.
void set_current_process(const ProcessInfo& info);

}  // namespace warren::detail
