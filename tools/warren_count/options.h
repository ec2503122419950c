// The command line of warren-count.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace warren::tools {

struct Options {
  std::string directory;
  std::string output;         // empty: totals only
  std::uint32_t workers = 0;  // 0: one per usable processor
  std::uint32_t retries = 3;
  bool json = false;
  bool null = false;
};

// What the program ends with; 128 + the signal's number where it was interrupted.
enum ExitCode : int { kAllCounted = 0, kSomeNotCounted = 1, kUsage = 2, kFailed = 3 };

// nullopt: there is nothing to do but to exit with `exit_code` (--help, or a mistake, which was explained).
std::optional<Options> parse_options(int argc, char** argv, int& exit_code);

}  // namespace warren::tools
