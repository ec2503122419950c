// What tests of fileno() share: whether it is readable, and a world in which nothing is told late.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>

#include "support/blocked.h"
#include "support/child.h"
#include "support/no_slices.h"

namespace warren::test {

inline constexpr int kAges = 20'000;  // ms: whoever oversleeps is told of by the test

template <class Object>
bool readable(const Object& object, int timeout_ms = 0) {
  pollfd fd{.fd = object.fileno(), .events = POLLIN, .revents = 0};
  return ::poll(&fd, 1, timeout_ms) == 1 && (fd.revents & POLLIN) != 0;
}

// Slices that never come: what is told late was not told. Children inherit it.
class Readiness : public ::testing::Test {
 protected:
  const NoSlices no_slices_;
};

// The wake for an item may come to a mirror, whose process does not look.
template <class Object>
void expect_that_a_mirror_keeps_no_wake(Object& object, int rounds) {
  (void)object.fileno();
  for (int round = 0; round < rounds; ++round) {
    Child consumer([&] { return object.pop() == round ? 0 : 1; });
    await_futex_sleep(consumer.pid());
    ASSERT_TRUE(object.push(round));
    ASSERT_TRUE(consumer.join().well());
    while (readable(object)) (void)object.try_pop();  // so that most times the mirror sleeps again
  }
}

}  // namespace warren::test
