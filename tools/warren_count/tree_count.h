// The job: a pool of workers counts every file below a directory.
#pragma once
#include <absl/status/statusor.h>
#include <warren/pool/pool.h>

#include <cstdint>
#include <string>
#include <vector>

#include "count_file.h"

namespace warren::tools {

class ProgressBar;

struct TreeFile {
  enum class State : std::uint8_t { kFound, kCounted, kFailed };
  std::string path;  // below the root
  FileCounts counts = {};
  State state = State::kFound;
};

struct Problem {
  std::string path;  // below the root; a directory's ends with a slash, the root's is empty
  std::string why;
  bool vanished = false;  // it was there when its directory was read: nobody's fault
};

struct TreeCount {
  std::vector<TreeFile> files;    // in the order of their paths
  std::vector<Problem> problems;  // likewise
  std::uint64_t counted = 0;
  FileCounts total;
};

// A pool for count_tree(). 0 workers: one per usable processor.
absl::StatusOr<Pool> make_counting_pool(std::uint32_t workers);

// Walks the tree below `root` in this process while the workers count. A file whose worker dies is tried again
// `retries` times; what could not be counted is among the problems. Cancelled: the program was interrupted; any other
// failure: the pool broke. Either way the pool is closed, and ends while the caller goes on.
//
// `root` is the descriptor of a directory, and was open when the pool was made.
absl::StatusOr<TreeCount> count_tree(Pool& pool, int root, std::uint32_t retries, ProgressBar& bar);

}  // namespace warren::tools
