// What warren-count says: the lines of its output file, the totals, the problems.
#pragma once
#include <absl/status/status.h>

#include <cstdint>
#include <string>

#include "tree_count.h"

namespace warren::tools {

struct Options;

struct Report {
  const Options& options;
  const TreeCount& tree;
  std::uint32_t workers;
  double seconds;
};

// path:lines,characters of every counted file. Paths begin as `find DIR` prints them.
absl::Status write_counts(const Options& options, const TreeCount& tree);
[[nodiscard]] std::string totals_as_text(const Report& report);
[[nodiscard]] std::string totals_as_json(const Report& report);
// One line for each, and how many. Empty where there are none.
[[nodiscard]] std::string problems_as_text(const Report& report);
[[nodiscard]] bool all_counted(const TreeCount& tree);  // but for what vanished

}  // namespace warren::tools
