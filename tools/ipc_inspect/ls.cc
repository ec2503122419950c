#include "ls.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <set>

#include "common/printable.h"
#include "find_segments.h"

namespace warren::tools {

void add_ls(CLI::App& app, LsOptions& options) {
  CLI::App* ls = app.add_subcommand("ls", "List segments, who is attached to them, and the workers of pools");
  ls->add_flag("--json", options.json, "As JSON, with all that is known");
  ls->add_flag_callback(
      "--no-headers", [&options] { options.headers = false; }, "Without the lines that name the columns");
  ls->footer(
      "NAME @PID:FD: anonymous, descriptor FD of process PID. USED: items of a queue, tasks of a pool, of how many at\n"
      "most. PEERS: processes that use it, alive/dead. STATE: live; idle or kept: nobody uses it; stale: its users "
      "died;\n"
      "unlinked: its name is gone. OWNER: user:process that made it. More: docs/tools.md");
}

int run_ls(const LsOptions& options) {
  absl::StatusOr<FoundSegments> found = find_segments();
  if (!found.ok()) {
    std::cerr << "ipc-inspect: " << found.status().message() << '\n';
    return kNotPermitted;
  }
  const std::set<ino_t> locked = locked_inodes();
  Listing listing{.segments = {}, .hidden_files = found->hidden_files, .hidden_processes = found->hidden_processes};
  for (const FoundSegment& segment : found->segments) listing.segments.push_back(describe(segment, locked));

  std::cout << (options.json ? listing_as_json(listing) : listing_as_text(listing, options.headers)) << std::flush;
  bool trouble = false;
  for (const SegmentInfo& segment : listing.segments) {
    if (segment.trouble.empty()) continue;
    std::cerr << "ipc-inspect: " << printable(segment.name) << " is corrupt: " << segment.trouble << '\n';
    trouble = true;
  }
  if (listing.hidden_files != 0) {
    std::cerr << "ipc-inspect: " << listing.hidden_files << " files may be segments, and belong to other users\n";
  }
  return trouble || !std::cout ? kTrouble : kFine;
}

}  // namespace warren::tools
