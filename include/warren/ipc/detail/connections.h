// What a child that Warren forks does about the connections that it inherited.
#pragma once
#include <warren/ipc/pipe.h>

#include <span>

namespace warren::detail {

// To be called in a child, before it has threads: lets go of every end of a pipe that it inherited but these, so that
// their peers see end of stream when those who were meant to hold them are gone. Calls of the others say
// FailedPrecondition from then on.
void keep_connections(std::span<const Connection* const> passed) noexcept;

}  // namespace warren::detail
