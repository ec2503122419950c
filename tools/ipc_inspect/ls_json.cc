// ipc-inspect ls, for programs.
#include <nlohmann/json.hpp>

#include "ls.h"

namespace warren::tools {
namespace {

using Json = nlohmann::ordered_json;

Json worker_as_json(const WorkerInfo& worker) {
  Json json = {
      {"index", worker.index},           {"pid", worker.pid},           {"state", worker.state}, {"task", nullptr},
      {"tasks_done", worker.tasks_done}, {"restarts", worker.restarts}, {"age_seconds", nullptr}};
  if (worker.age_seconds) json["age_seconds"] = *worker.age_seconds;
  if (worker.task) json["task"] = {{"id", *worker.task}, {"attempt", worker.attempt}, {"name", worker.task_name}};
  return json;
}

Json pool_as_json(const PoolInfo& pool) {
  Json workers = Json::array();
  for (const WorkerInfo& worker : pool.workers) workers.push_back(worker_as_json(worker));
  return {{"name", pool.name},
          {"phase", pool.phase},
          {"application", {{"pid", pool.application}, {"dead", pool.application_dead}}},
          {"supervisor", {{"pid", pool.supervisor}, {"dead", pool.supervisor_dead}}},
          {"worker_deaths", pool.worker_deaths},
          {"diagnosis", pool.diagnosis},
          {"tasks",
           {{"capacity", pool.capacity}, {"pending", pool.pending}, {"running", pool.running}, {"ended", pool.ended}}},
          {"workers", std::move(workers)}};
}

Json segment_as_json(const SegmentInfo& info) {
  Json json = {{"name", info.name},
               {"named", info.named},
               {"state", info.state},
               {"trouble", info.trouble},
               {"type", info.type},
               {"element", info.element},
               {"element_bytes", info.element_bytes},
               {"memory_bytes", info.memory_bytes},
               {"bytes", info.bytes},
               {"max_bytes", info.max_bytes},
               {"file_bytes", info.file_bytes},
               {"used", nullptr},
               {"capacity", nullptr},
               {"peers", {{"live", info.live_peers}, {"dead", info.dead_peers}}},
               {"abi", info.abi},
               {"owner_uid", info.owner},
               {"creator_pid", info.creator},
               {"age_seconds", info.age_seconds},
               {"holders", info.holders}};
  if (info.usage) {
    json["used"] = info.usage->used;
    json["capacity"] = info.usage->capacity;
  }
  if (info.pool) json["pool"] = pool_as_json(*info.pool);
  return json;
}

}  // namespace

std::string listing_as_json(const Listing& listing) {
  Json segments = Json::array();
  for (const SegmentInfo& segment : listing.segments) segments.push_back(segment_as_json(segment));
  const Json json = {{"segments", std::move(segments)},
                     {"not_permitted", {{"files", listing.hidden_files}, {"processes", listing.hidden_processes}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace warren::tools
