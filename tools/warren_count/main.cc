// warren-count DIR: counts the lines and characters of every regular file below DIR with a pool of worker processes.
#include <absl/status/status.h>
#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "common/file_descriptor.h"
#include "common/printable.h"
#include "interrupt.h"
#include "options.h"
#include "output_file.h"
#include "progress_bar.h"
#include "report.h"
#include "tree_count.h"

namespace {

using namespace warren::tools;
using Clock = std::chrono::steady_clock;

int complain(std::string_view what, int exit_code) {
  std::cerr << "warren-count: " << printable(what) << '\n';
  return exit_code;
}

int complain(const absl::Status& status, int exit_code) { return complain(std::string(status.message()), exit_code); }

int failed(const absl::Status& status) {
  return interrupted() != 0 ? complain("interrupted; nothing was written", 128 + interrupted())
                            : complain(status, kFailed);
}

int run(const Options& options, Clock::time_point start) {
  // Links are followed here, and only here.
  const FileDescriptor root(::open(options.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return complain(options.directory + ": " + std::generic_category().message(errno), kUsage);
  if (!options.output.empty()) {
    if (const absl::Status status = OutputFile::check(options.output); !status.ok()) return complain(status, kUsage);
  }

  absl::StatusOr<warren::Pool> pool = make_counting_pool(options.workers);
  if (!pool.ok()) return failed(pool.status());
  ProgressBar bar;
  const absl::StatusOr<TreeCount> tree = count_tree(*pool, root.get(), options.retries, bar);
  bar.clear();
  if (!tree.ok()) return failed(tree.status());
  if (!options.output.empty()) {
    if (const absl::Status status = write_counts(options, *tree); !status.ok()) return failed(status);
  }

  const Report report{.options = options,
                      .tree = *tree,
                      .workers = pool->workers(),
                      .seconds = std::chrono::duration<double>(Clock::now() - start).count()};
  std::cout << (options.json ? totals_as_json(report) : totals_as_text(report)) << std::flush;
  std::cerr << problems_as_text(report);
  if (!std::cout) return complain("cannot write to standard output", kFailed);
  return all_counted(*tree) ? kAllCounted : kSomeNotCounted;
}

}  // namespace

int main(int argc, char** argv) {
  const auto start = Clock::now();
  int exit_code = kAllCounted;
  const std::optional<Options> options = parse_options(argc, argv, exit_code);
  if (!options) return exit_code;
  note_interrupts();
  return run(*options, start);
}
