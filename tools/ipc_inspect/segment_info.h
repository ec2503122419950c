// What a segment says of itself. Every byte of it may be a lie: what does not fit together is told as trouble.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "find_segments.h"
#include "pool_info.h"

namespace warren::tools {

struct Usage {
  std::uint64_t used = 0;
  std::uint64_t capacity = 0;
};

struct SegmentInfo {
  std::string name;  // @PID:FD where it has none
  bool named = false;
  std::string state;    // live, stale, kept, idle, unlinked, corrupt, other-abi
  std::string trouble;  // why it is corrupt
  std::vector<pid_t> holders;

  std::uint64_t file_bytes = 0;
  std::uint64_t memory_bytes = 0;  // that it takes now
  uid_t owner = 0;

  std::uint32_t abi = 0;
  std::string type;
  std::string element;  // empty: plain bytes
  std::uint64_t element_bytes = 0;
  std::uint64_t bytes = 0;      // of the object, committed when it was made or grown
  std::uint64_t max_bytes = 0;  // reserved
  pid_t creator = 0;
  double age_seconds = 0;
  std::size_t live_peers = 0;
  std::size_t dead_peers = 0;
  std::optional<Usage> usage;  // items or tasks
  std::optional<PoolInfo> pool;
};

// `locked` holds the inodes that somebody has locked.
SegmentInfo describe(const FoundSegment& segment, const std::set<ino_t>& locked);

// From /proc/locks: read-only users of a named segment have no lane, but they do hold a lock.
std::set<ino_t> locked_inodes();

}  // namespace warren::tools
