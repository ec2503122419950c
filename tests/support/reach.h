// The attachment behind a handle, for tests that look into shared memory.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/handle.h>

namespace warren::test {

struct Reach : Handle {
  static detail::Attachment& attachment(const Handle& handle) { return *(handle.*(&Reach::attachment_)); }
};

}  // namespace warren::test
