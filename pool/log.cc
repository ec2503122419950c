#include "log.h"

#include <poll.h>
#include <spdlog/common.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>
#include <warren/ipc/detail/process.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace warren::detail {
namespace {

// Who writes here has others to look after: what a full or broken pipe does not take is dropped.
class StderrSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    pollfd pipe{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&pipe, 1, 0) == 1 && pipe.revents == POLLOUT) (void)!::write(STDERR_FILENO, text.data(), text.size());
  }
  void flush_() override {}
};

}  // namespace

spdlog::logger& logger() {
  thread_local std::unique_ptr<spdlog::logger> mine;
  thread_local std::uint64_t made_in_epoch = 0;
  if (const std::uint64_t epoch = process_epoch(); made_in_epoch != epoch) {
    const char* level = std::getenv("WARREN_LOG");  // NOLINT(concurrency-mt-unsafe): the supervisor has one thread
    mine = std::make_unique<spdlog::logger>("warren", std::make_shared<StderrSink>());
    mine->set_pattern("warren[%P] %l: %v");
    mine->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::warn);
    made_in_epoch = epoch;
  }
  return *mine;
}

}  // namespace warren::detail
