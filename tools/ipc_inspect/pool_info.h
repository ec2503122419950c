// What a pool's memory says of its workers and tasks.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peers.h"
#include "raw_file.h"

namespace warren::tools {

struct WorkerInfo {
  std::uint32_t index = 0;
  pid_t pid = 0;
  std::string state;                  // none, starting, idle, busy, leaving, gone; dead: killed, and not yet replaced
  std::optional<std::uint64_t> task;  // the id of the one that it runs
  std::string task_name = {};         // of that; empty: it has none
  std::uint32_t attempt = 0;          // of that
  std::uint64_t tasks_done = 0;
  std::uint32_t restarts = 0;
  std::optional<double> age_seconds = {};  // nullopt: it never started
};

struct PoolInfo {
  std::string name;
  std::string phase;  // open, closing, terminating, broken, stopped
  pid_t application = 0;
  pid_t supervisor = 0;
  bool application_dead = false;
  bool supervisor_dead = false;
  std::uint32_t worker_deaths = 0;
  std::string diagnosis;
  std::uint64_t capacity = 0;
  std::uint64_t pending = 0;
  std::uint64_t running = 0;
  std::uint64_t ended = 0;  // and their results not yet taken
  std::vector<WorkerInfo> workers;
};

// nullopt: these bytes are no pool; `trouble` says why.
std::optional<PoolInfo> read_pool(const RawFile& file, const Peers& peers, std::string& trouble);

}  // namespace warren::tools
