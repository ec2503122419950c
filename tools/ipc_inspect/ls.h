// ipc-inspect ls: lists the segments of this machine, and the workers of its pools.
#pragma once
#include <string>
#include <vector>

#include "segment_info.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's name
class App;
}

namespace warren::tools {

// What the program ends with.
enum ExitCode : int { kFine = 0, kTrouble = 1, kUsage = 2, kNotPermitted = 3 };

struct LsOptions {
  bool json = false;
  bool headers = true;
};
void add_ls(CLI::App& app, LsOptions& options);
int run_ls(const LsOptions& options);

struct Listing {
  std::vector<SegmentInfo> segments;
  std::size_t hidden_files = 0;
  std::size_t hidden_processes = 0;
};
[[nodiscard]] std::string listing_as_text(const Listing& listing, bool headers);
[[nodiscard]] std::string listing_as_json(const Listing& listing);

}  // namespace warren::tools
