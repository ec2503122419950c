// ipc-inspect ls, for people.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <pwd.h>

#include <array>
#include <map>

#include "common/printable.h"
#include "ls.h"
#include "table.h"

namespace warren::tools {
namespace {

std::string size_as_text(std::uint64_t bytes) {
  constexpr std::array kUnits{"K", "M", "G", "T", "P", "E"};
  if (bytes < 1024) return absl::StrCat(bytes);
  auto size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return size < 10 ? absl::StrFormat("%.1f%s", size, kUnits[unit]) : absl::StrFormat("%.0f%s", size, kUnits[unit]);
}

std::string age_as_text(double seconds) {
  if (seconds < 120) return absl::StrFormat("%.0fs", seconds);
  if (seconds < 2 * 3600) return absl::StrFormat("%.0fm", seconds / 60);
  if (seconds < 48 * 3600) return absl::StrFormat("%.0fh", seconds / 3600);
  return absl::StrFormat("%.0fd", seconds / 86400);
}

std::string user_name(uid_t uid) {
  static std::map<uid_t, std::string> known;
  const auto [found, fresh] = known.try_emplace(uid);
  if (fresh) {
    const passwd* user = ::getpwuid(uid);  // NOLINT(concurrency-mt-unsafe): one thread
    found->second = user != nullptr ? user->pw_name : absl::StrCat(uid);
  }
  return found->second;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : printable(text); }

// An age of a corrupt segment means nothing.
Row segment_row(const SegmentInfo& info) {
  const bool readable = !info.type.empty();
  return {printable(info.name),
          or_dash(info.type),
          or_dash(info.element),
          size_as_text(info.memory_bytes),
          info.usage ? absl::StrCat(info.usage->used, "/", info.usage->capacity) : "-",
          readable ? absl::StrCat(info.live_peers, "/", info.dead_peers) : "-",
          info.state,
          info.abi != 0 ? absl::StrCat(info.abi) : "-",
          readable ? absl::StrCat(user_name(info.owner), ":", info.creator) : user_name(info.owner),
          readable ? age_as_text(info.age_seconds) : "-"};
}

// "7.3", "7.3 resize".
std::string task_cell(const WorkerInfo& worker) {
  if (!worker.task) return "-";
  return absl::StrCat(*worker.task >> 32, ".", *worker.task & 0xffffffff, worker.task_name.empty() ? "" : " ",
                      printable(worker.task_name));
}

Row worker_row(const WorkerInfo& worker) {
  return {absl::StrCat(worker.index),
          worker.pid != 0 ? absl::StrCat(worker.pid) : "-",
          worker.state,
          task_cell(worker),
          worker.task ? absl::StrCat(worker.attempt) : "-",
          absl::StrCat(worker.tasks_done),
          absl::StrCat(worker.restarts),
          worker.age_seconds ? age_as_text(*worker.age_seconds) : "-"};
}

std::string pool_as_text(const PoolInfo& pool, bool headers) {
  std::string text = absl::StrFormat(
      "  pool%s %s: application %d%s, supervisor %d%s, %d workers, %d deaths; tasks: %d pending, %d running, %d "
      "ended\n",
      pool.name.empty() ? "" : absl::StrCat(" \"", printable(pool.name), "\""), pool.phase, pool.application,
      pool.application_dead ? " (dead)" : "", pool.supervisor, pool.supervisor_dead ? " (dead)" : "",
      pool.workers.size(), pool.worker_deaths, pool.pending, pool.running, pool.ended);
  if (!pool.diagnosis.empty()) absl::StrAppend(&text, "  diagnosis: ", printable(pool.diagnosis), "\n");
  std::vector<Row> rows;
  if (headers) rows.push_back({"WORKER", "PID", "STATE", "TASK", "ATTEMPT", "DONE", "RESTARTS", "AGE"});
  for (const WorkerInfo& worker : pool.workers) rows.push_back(worker_row(worker));
  for (const std::string& line : aligned(rows)) absl::StrAppend(&text, "  ", line, "\n");
  return text;
}

}  // namespace

std::string listing_as_text(const Listing& listing, bool headers) {
  std::vector<Row> rows;
  if (headers) rows.push_back({"NAME", "TYPE", "ELEMENT", "SIZE", "USED", "PEERS", "STATE", "ABI", "OWNER", "AGE"});
  for (const SegmentInfo& segment : listing.segments) rows.push_back(segment_row(segment));
  std::string text;
  std::size_t line = 0;
  const std::vector<std::string> lines = aligned(rows);
  if (headers) absl::StrAppend(&text, lines[line++], "\n");
  for (const SegmentInfo& segment : listing.segments) {
    absl::StrAppend(&text, lines[line++], "\n");
    if (segment.pool) text += pool_as_text(*segment.pool, headers);
  }
  return text;
}

}  // namespace warren::tools
