// The job: a pool of workers counts every file below a directory.
#pragma once
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "count_file.h"

namespace warren::tools {

class ProgressBar;

struct CountSettings {
  int root;               // the directory; the caller's, and open
  std::uint32_t workers;  // 0: one per usable processor
  std::uint32_t retries;  // of a file whose worker died
};

struct TreeFile {
  std::string path;  // below the root
  FileCounts counts;
  bool counted = false;
};

struct Problem {
  std::string path;  // below the root; a directory's ends with a slash, the root's is empty
  std::string why;
  bool vanished = false;  // it was there when its directory was read: nobody's fault
};

struct TreeCount {
  std::vector<TreeFile> files;    // in the order of their paths
  std::vector<Problem> problems;  // likewise
  std::uint32_t workers = 0;
  std::uint64_t counted = 0;
  FileCounts total;
};

// Walks the tree in this process while the workers count. What cannot be read is among the problems. Cancelled: the
// program was interrupted; any other failure: the pool could not be made, or broke. No worker is left either way.
absl::StatusOr<TreeCount> count_tree(const CountSettings& settings, ProgressBar& bar);

}  // namespace warren::tools
