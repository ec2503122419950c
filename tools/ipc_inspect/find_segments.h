// Where segments are: files in /dev/shm, and descriptors of processes.
#pragma once
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "raw_file.h"

namespace warren::tools {

struct FoundSegment {
  RawFile file;
  std::string name;            // in /dev/shm; empty: it is not there
  std::vector<pid_t> holders;  // who has a descriptor of it, as far as this user may see
  int descriptor = -1;         // the first holder's
};

struct FoundSegments {
  std::vector<FoundSegment> segments;  // named ones first
  std::size_t hidden_files = 0;        // of other users
  std::size_t hidden_processes = 0;
};

// Whatever begins like a segment; nothing beyond its first bytes has been looked at. PermissionDenied: /dev/shm or
// /proc cannot be read at all.
absl::StatusOr<FoundSegments> find_segments();

}  // namespace warren::tools
