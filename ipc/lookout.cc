// Looking for the dead cheaply and often, where a sweep is thorough and costs more. docs/algorithms/wait_word.md.
#include <warren/ipc/detail/attachment.h>

#include <array>

namespace warren::detail {

using layout::LaneIdentity;
using Phase = layout::LaneIdentity::Phase;

void Lookout::begin() noexcept { counted_ = attachment_.header().looks.load(std::memory_order_relaxed); }

std::chrono::nanoseconds Lookout::each() const noexcept { return attachment_.look_each(); }

// Counted before it is made, and owned by nobody: of one that dies or stands still in it the others miss that look, and
// the next period finds nothing counted.
bool Lookout::found_dead() noexcept {
  std::atomic<std::uint32_t>& looks = attachment_.header().looks;
  std::uint32_t now = looks.load(std::memory_order_relaxed);
  const bool mine = now == counted_ && looks.compare_exchange_strong(now, now + 1, std::memory_order_relaxed);
  counted_ = mine ? now + 1 : now;
  return mine && somebody_died();
}

// Each process is asked for once: its lanes are many, and mostly lie together.
bool Lookout::somebody_died() noexcept {
  std::array<std::uint32_t, 64> asked{};
  asked[0] = static_cast<std::uint32_t>(this_process().pid);
  for (std::uint32_t index = 0, end = attachment_.lanes_high(); index < end; ++index) {
    const layout::Lane& lane = attachment_.lane(index);
    const std::uint64_t word = lane.identity.load(std::memory_order_acquire);  // [L20] as L11; pairs with L4
    const LaneIdentity found = LaneIdentity::from(word);
    if (found.phase == Phase::kFree) continue;
    if (found.phase == Phase::kSweeping && word != being_swept_) {  // by one that may stand still: once for each sleep
      being_swept_ = word;
      return true;
    }
    std::uint32_t& known = asked[1 + found.pid % (asked.size() - 1)];
    if (found.pid == asked[0] || found.pid == known) continue;
    if (seems_gone(static_cast<pid_t>(found.pid)) && attachment_.dead(lane, found)) return true;
    known = found.pid;
  }
  return false;
}

}  // namespace warren::detail
