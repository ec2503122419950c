#include "live_ends.h"

#include <pthread.h>

#include <algorithm>

#include "pipe_end.h"

namespace warren::detail {

LiveEnds::LiveEnds() {
  const auto lock = [] { instance().mutex_.lock(); };
  const auto unlock = [] { instance().mutex_.unlock(); };
  ::pthread_atfork(lock, unlock, unlock);
}

LiveEnds& LiveEnds::instance() {
  static auto* const ends = new LiveEnds;
  return *ends;
}

void LiveEnds::abandon_all_but(std::span<const PipeEnd* const> kept) noexcept {
  const std::scoped_lock lock(mutex_);
  for (PipeEnd* const end : ends_) {
    if (std::ranges::find(kept, end) == kept.end()) end->abandon();
  }
}

}  // namespace warren::detail
