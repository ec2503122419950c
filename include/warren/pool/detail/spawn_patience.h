#pragma once
#include <warren/ipc/time.h>

namespace warren::detail {

// How long a new process may take to come to enter(). Tests shorten it.
Timeout& spawn_patience() noexcept;

}  // namespace warren::detail
