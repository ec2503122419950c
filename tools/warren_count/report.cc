#include "report.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/printable.h"
#include "options.h"
#include "output_file.h"

namespace warren::tools {
namespace {

std::string beginning_of_paths(const Options& options) {
  return options.directory.ends_with('/') ? options.directory : options.directory + '/';
}

std::string full_path(const Report& report, const Problem& problem) {
  return problem.path.empty() ? report.options.directory : beginning_of_paths(report.options) + problem.path;
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

}  // namespace

absl::Status write_counts(const Options& options, const TreeCount& tree) {
  absl::StatusOr<OutputFile> output = OutputFile::create(options.output);
  if (!output.ok()) return output.status();
  const std::string beginning = beginning_of_paths(options);
  const absl::string_view end(options.null ? "\0" : "\n", 1);
  std::string line;
  for (const TreeFile& file : tree.files) {
    if (file.state != TreeFile::State::kCounted) continue;
    line.clear();
    absl::StrAppend(&line, beginning, file.path, ":", file.counts.lines, ",", file.counts.characters, end);
    output->append(line);
  }
  return output->commit();
}

std::string totals_as_text(const Report& report) {
  const TreeCount& tree = report.tree;
  return absl::StrFormat(
      "%d files, %d lines, %d characters\n"
      "%.3f s with %d worker%s: %.0f files/s, %.1f MB/s\n",
      tree.counted, tree.total.lines, tree.total.characters, report.seconds, report.workers,
      report.workers == 1 ? "" : "s", rate(static_cast<double>(tree.counted), report.seconds),
      rate(static_cast<double>(tree.total.bytes()), report.seconds) / 1e6);
}

std::string totals_as_json(const Report& report) {
  const TreeCount& tree = report.tree;
  nlohmann::ordered_json problems = nlohmann::ordered_json::array();
  for (const Problem& problem : tree.problems) {
    problems.push_back({{"path", full_path(report, problem)}, {"why", problem.why}, {"vanished", problem.vanished}});
  }
  const nlohmann::ordered_json json = {
      {"directory", report.options.directory},
      {"files", tree.counted},
      {"lines", tree.total.lines},
      {"characters", tree.total.characters},
      {"bytes", tree.total.bytes()},
      {"workers", report.workers},
      {"seconds", report.seconds},
      {"files_per_second", rate(static_cast<double>(tree.counted), report.seconds)},
      {"bytes_per_second", rate(static_cast<double>(tree.total.bytes()), report.seconds)},
      {"problems", std::move(problems)},
  };
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::string problems_as_text(const Report& report) {
  std::string text;
  std::size_t vanished = 0;
  for (const Problem& problem : report.tree.problems) {
    text += absl::StrFormat("warren-count: %s: %s\n", printable(full_path(report, problem)), problem.why);
    vanished += problem.vanished ? 1 : 0;
  }
  const std::size_t unread = report.tree.problems.size() - vanished;
  if (unread != 0) text += absl::StrFormat("warren-count: %d files or directories could not be read\n", unread);
  if (vanished != 0)
    text += absl::StrFormat("warren-count: %d files or directories vanished while they were counted\n", vanished);
  return text;
}

bool all_counted(const TreeCount& tree) { return std::ranges::all_of(tree.problems, &Problem::vanished); }

}  // namespace warren::tools
