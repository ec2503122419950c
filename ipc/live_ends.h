// Every end of a pipe that this process holds: what a child has to let go of.
#pragma once
#include <mutex>
#include <span>
#include <vector>

namespace warren::detail {

class PipeEnd;

// Its mutex is held while descriptors of ends come and go, so that a fork by another thread copies none that is not on
// the list. Never destroyed, as AttachmentList; a fork takes it, and nothing else is locked under it.
class LiveEnds {
 public:
  static LiveEnds& instance();

  std::mutex& mutex() noexcept { return mutex_; }
  void add(PipeEnd& end) { ends_.push_back(&end); }  // under the mutex
  void remove(PipeEnd& end) { std::erase(ends_, &end); }
  // In a forked child, before it has threads.
  void abandon_all_but(std::span<const PipeEnd* const> kept) noexcept;

 private:
  LiveEnds();

  std::mutex mutex_;
  std::vector<PipeEnd*> ends_;
};

}  // namespace warren::detail
