// What the tasks of one call have in common, kept in the worker from one of them to the next.
#pragma once
#include <memory>

namespace warren::detail {

// Keeps this object, and no other one, until the worker has nothing to do: a handle that each of many tasks brings
// along is opened once. Of the worker's own thread.
void keep_until_idle(std::shared_ptr<const void> object);
void let_go_of_kept() noexcept;

}  // namespace warren::detail
