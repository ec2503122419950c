// Children in a world of their own: a small /dev/shm, another pid namespace, another user. Where that is not permitted
// they report kNotPermitted, and the test is skipped.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <optional>

#include "support/child.h"

namespace warren::test {

// nullopt: not permitted here.
using IsolatedEnd = std::optional<Ended>;

// In a child with a /dev/shm of its own, of `bytes`.
IsolatedEnd with_small_shm(std::size_t bytes, const std::function<void()>& run);

// In a child of a child, in a pid namespace of its own with its own /proc; there its pid is 2 or so.
IsolatedEnd in_new_pid_namespace(const std::function<void()>& run);

// Likewise, where /proc goes on showing the processes of the pid namespace outside.
IsolatedEnd in_new_pid_namespace_with_proc_of_another(const std::function<void()>& run);

// In a child whose clocks are shifted, so that /proc shows it other start times than it shows us.
IsolatedEnd in_new_time_namespace(const std::function<void()>& run);

// In a child that belongs to `nobody`.
IsolatedEnd as_another_user(const std::function<void()>& run);

}  // namespace warren::test

// Runs `end` (an IsolatedEnd), skips where it was not permitted, and expects it to have gone well.
#define WARREN_EXPECT_ISOLATED(end)                                         \
  do {                                                                      \
    const ::warren::test::IsolatedEnd isolated_end = (end);                 \
    if (!isolated_end) GTEST_SKIP() << "namespaces are not permitted here"; \
    EXPECT_EQ(isolated_end->code, 0);                                       \
    EXPECT_EQ(isolated_end->signal, 0);                                     \
  } while (false)
