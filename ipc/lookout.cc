// Looking for the dead cheaply and often, where a sweep is thorough and costs more. docs/algorithms/wait_word.md.
#include <warren/ipc/detail/attachment.h>

#include <algorithm>
#include <array>

namespace warren::detail {
namespace {

using layout::LaneIdentity;
using Phase = layout::LaneIdentity::Phase;

std::uint64_t to_word(Time t) noexcept {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(t.time_since_epoch()).count());
}

// Since a look that was said to be at `said`. Far too long for one that is yet to come: a clock of another time
// namespace, or a peer that lies.
std::chrono::nanoseconds since(std::uint64_t said, Time now) noexcept {
  const std::uint64_t age = to_word(now) - said;
  constexpr std::chrono::nanoseconds kLong = std::chrono::hours(24);
  return age < static_cast<std::uint64_t>(kLong.count()) ? std::chrono::nanoseconds(age) : kLong;
}

}  // namespace

// The index goes where the start time of the sweeper's process was, which may sweep two lanes of one generation. Where
// two tell at the same time both may: a sweep too many.
bool SweepsTold::tell(std::uint32_t index, LaneIdentity identity) noexcept {
  identity.start_low = index;
  const std::uint64_t word = identity.word();
  for (const auto& told : told_) {
    if (told.load(std::memory_order_relaxed) == word) return false;
  }
  told_[next_.fetch_add(1, std::memory_order_relaxed) % told_.size()].store(word, std::memory_order_relaxed);
  return true;
}

std::uint32_t Lookout::parts() const noexcept { return std::max((attachment_.lanes_high() + kLanes - 1) / kLanes, 1u); }

// Who looks comes again after a period; the others when the next round would begin without it. So, however many sleep,
// their wakes stay bounded by a number for each part of the lanes.
Time Lookout::next(Time now) const noexcept {
  const std::chrono::nanoseconds period = look_period();
  const std::uint64_t said = attachment_.header().looked_ns.load(std::memory_order_relaxed);
  const std::chrono::nanoseconds ago = since(said, now);
  return now + about(said == said_ || ago >= period ? period : (1 + parts()) * period - ago, now);
}

// Said before it is done, and owned by nobody: where one dies or stands still in a look, that look is missed, and the
// next one is another's.
bool Lookout::found_dead(Time now) noexcept {
  layout::SegmentHeader& header = attachment_.header();
  std::uint64_t said = header.looked_ns.load(std::memory_order_relaxed);
  if (said != said_ && since(said, now) < look_period()) return false;
  if (!header.looked_ns.compare_exchange_strong(said, to_word(now), std::memory_order_relaxed)) return false;
  said_ = to_word(now);
  const std::uint32_t high = attachment_.lanes_high();
  const std::uint32_t from = header.looks.fetch_add(1, std::memory_order_relaxed) % parts() * kLanes;
  return somebody_died(from, std::min(from + kLanes, high));
}

// A process is asked for once: its lanes mostly lie together.
bool Lookout::somebody_died(std::uint32_t from, std::uint32_t to) noexcept {
  std::array<std::uint32_t, 64> asked{};  // by the low bits of the pid
  const auto own = static_cast<std::uint32_t>(this_process().pid);
  for (std::uint32_t index = from; index < to; ++index) {
    const layout::Lane& lane = attachment_.lane(index);
    const LaneIdentity found =
        LaneIdentity::from(lane.identity.load(std::memory_order_acquire));  // [L20] as L11; pairs with L4
    if (found.phase == Phase::kFree) continue;
    if (found.phase == Phase::kSweeping && attachment_.sweeps_told_.tell(index, found)) return true;
    std::uint32_t& known = asked[found.pid % asked.size()];
    if (found.pid == own || found.pid == known) continue;
    // Where it seems gone each lane says for itself who has it: a pid that is nobody's here may be another namespace's.
    if (!seems_gone(static_cast<pid_t>(found.pid))) {
      known = found.pid;
    } else if (attachment_.dead(lane, found)) {
      return true;
    }
  }
  return false;
}

}  // namespace warren::detail
