#include "peers.h"

#include <signal.h>
#include <warren/ipc/detail/process.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace warren::tools {
namespace {

using layout::Lane;
using layout::LaneIdentity;

bool of_this_namespace(const Lane& lane, const layout::SegmentHeader& header) {
  const detail::ProcessIdentity& self = detail::this_process();
  std::uint32_t pid_namespace = lane.pid_namespace.load(std::memory_order_relaxed);
  std::uint32_t time_namespace = lane.time_namespace.load(std::memory_order_relaxed);
  if (pid_namespace == 0 || time_namespace == 0) {  // just claimed: the creator's, unless others came too
    if (header.foreign.load(std::memory_order_relaxed) != 0) return false;
    pid_namespace = header.pid_namespace;
    time_namespace = header.time_namespace;
  }
  return self.known() && pid_namespace == self.pid_namespace && time_namespace == self.time_namespace;
}

}  // namespace

Peers::Peers(const RawFile& file, const layout::SegmentHeader& header) {
  const std::uint32_t lanes = std::min(header.lanes_high.load(std::memory_order_relaxed), layout::kMaxLanes);
  for (std::uint32_t index = 0; index < lanes; ++index) {
    const auto lane = file.read<Lane>(layout::kLanesOffset + std::uint64_t{index} * sizeof(Lane));
    if (!lane) break;
    const LaneIdentity identity = LaneIdentity::from((*lane)->identity.load(std::memory_order_relaxed));
    const std::pair process(static_cast<pid_t>(identity.pid), identity.start_low);
    if (identity.phase != LaneIdentity::Phase::kLive || dead_.contains(process)) continue;
    const bool dead = of_this_namespace(**lane, header) &&
                      detail::confirmed_dead(identity, (*lane)->start_time.load(std::memory_order_relaxed));
    dead_[process] = dead;
    live_ += dead ? 0 : 1;
  }
}

bool Peers::is_dead(pid_t pid) const noexcept {
  bool known = false;
  for (auto found = dead_.lower_bound({pid, 0}); found != dead_.end() && found->first.first == pid; ++found) {
    if (!found->second) return false;
    known = true;
  }
  return known || pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH);
}

}  // namespace warren::tools
