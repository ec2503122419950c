// Who is attached to a segment, by its lanes.
#pragma once
#include <sys/types.h>
#include <warren/layout/segment.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "raw_file.h"

namespace warren::tools {

class Peers {
 public:
  // Reads the lanes that `header` speaks of. Dead is who the library would call so: beyond doubt, and in this process's
  // pid and time namespaces; everybody else lives.
  Peers(const RawFile& file, const layout::SegmentHeader& header);

  [[nodiscard]] std::size_t live() const noexcept { return live_; }  // processes
  [[nodiscard]] std::size_t dead() const noexcept { return dead_.size() - live_; }
  // Is the process dead that holds a lane under this pid? One without a lane: if there is no such process.
  [[nodiscard]] bool is_dead(pid_t pid) const noexcept;

 private:
  std::map<std::pair<pid_t, std::uint32_t>, bool> dead_;  // by pid and low bits of the start time
  std::size_t live_ = 0;
};

}  // namespace warren::tools
