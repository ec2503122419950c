// What a lock that has no status throws, as those of std do: where the words in shared memory say what cannot go on.
// Who made them say so, this program or a peer's false bytes, nobody can tell: so it is an error, and no end of the
// program.
#pragma once

namespace warren::detail {

// std::system_error, resource_deadlock_would_occur: by the words the calling thread waits for itself.
[[noreturn]] void throw_would_deadlock(const char* what);
// std::system_error, operation_not_permitted: by the words it does not hold what it has to.
[[noreturn]] void throw_not_held(const char* what);

}  // namespace warren::detail
