#include "options.h"

#include <warren/layout/pool.h>

#include <CLI/CLI.hpp>
#include <limits>

namespace warren::tools {

std::optional<Options> parse_options(int argc, char** argv, int& exit_code) {
  Options options;
  CLI::App app(
      "Counts the lines and characters of every regular file below a directory, with a pool of worker processes.",
      "warren-count");
  app.add_option("DIR", options.directory, "The directory; links below it are not followed")->required();
  app.add_option("--workers", options.workers, "Worker processes (default: one per usable processor)")
      ->check(CLI::Range(1u, layout::kMaxWorkers))
      ->type_name("N");
  app.add_option("--output", options.output, "Write path:lines,characters of each file to FILE, sorted by path")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "Print the totals as JSON");
  app.add_option("--retries", options.retries, "How often a file is tried again whose worker died")
      ->check(CLI::Range(0u, std::numeric_limits<std::uint32_t>::max() - 1))
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("-0,--null", options.null, "End the records of FILE by a zero byte: file names may hold newlines");
  app.footer(
      "Lines are newlines, as `wc -l` counts them; characters are all other bytes.\n"
      "Exit codes: 0 all was counted; 1 some files or directories could not be read; 2 usage;\n"
      "3 the pool or the output failed; 128 + n ended by signal n (Ctrl-C: 130).");
  try {
    app.parse(argc, argv);
    return options;
  } catch (const CLI::ParseError& e) {
    exit_code = app.exit(e) == 0 ? kAllCounted : kUsage;
    return std::nullopt;
  }
}

}  // namespace warren::tools
