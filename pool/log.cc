#include "log.h"

#include <spdlog/common.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>
#include <warren/ipc/detail/process.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace warren::detail {

spdlog::logger& logger() {
  thread_local std::unique_ptr<spdlog::logger> mine;
  thread_local std::uint64_t made_in_epoch = 0;
  if (const std::uint64_t epoch = process_epoch(); made_in_epoch != epoch) {
    const char* level = std::getenv("WARREN_LOG");  // NOLINT(concurrency-mt-unsafe): the supervisor has one thread
    mine = std::make_unique<spdlog::logger>("warren", std::make_shared<spdlog::sinks::stderr_sink_st>());
    mine->set_pattern("warren[%P] %l: %v");
    mine->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::warn);
    made_in_epoch = epoch;
  }
  return *mine;
}

}  // namespace warren::detail
