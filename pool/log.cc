#include "log.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <poll.h>
#include <spdlog/common.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>
#include <warren/ipc/detail/process.h>
#include <warren/pool/process.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>

namespace warren {
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

std::unique_ptr<spdlog::logger> make_logger() {
  auto made = std::make_unique<spdlog::logger>(current_process().name, std::make_shared<StderrSink>());
  made->set_pattern("warren[%P] %n %l: %v");
  return made;
}

// The environment's, until somebody sets another.
spdlog::level::level_enum first_level() {
  const char* set = std::getenv("WARREN_LOG");  // NOLINT(concurrency-mt-unsafe): once
  const std::string text = set != nullptr ? set : "";
  const spdlog::level::level_enum level = spdlog::level::from_str(absl::AsciiStrToLower(text));
  if (level != spdlog::level::off || absl::EqualsIgnoreCase(text, "off")) return level;  // unknown ones are off, too
  if (!text.empty()) make_logger()->warn("WARREN_LOG={}: not one of debug, info, warn, error, off; it is warn", text);
  return spdlog::level::warn;
}
std::atomic<spdlog::level::level_enum>& level_now() {
  static std::atomic level(first_level());
  return level;
}

constexpr std::array kLevels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err,
                             spdlog::level::off};  // in the order of LogLevel

}  // namespace

void set_log_level(LogLevel level) noexcept {
  level_now().store(kLevels.at(static_cast<std::size_t>(level)), std::memory_order_relaxed);
}

LogLevel log_level() noexcept {
  const auto* const first = std::ranges::lower_bound(kLevels, level_now().load(std::memory_order_relaxed));
  return static_cast<LogLevel>(std::min<std::ptrdiff_t>(first - kLevels.begin(), kLevels.size() - 1));
}

void log(LogLevel level, std::string_view text) {
  if (level == LogLevel::kOff) return;  // spdlog tells what is of that level
  logger().log(kLevels.at(static_cast<std::size_t>(level)), spdlog::string_view_t(text.data(), text.size()));
}

// A thread's own in every process: a lock that another thread of the application held at the fork is not in the way.
spdlog::logger& logger() {
  thread_local std::unique_ptr<spdlog::logger> mine;
  thread_local std::uint64_t made_in_epoch = 0;
  if (const std::uint64_t epoch = detail::process_epoch(); made_in_epoch != epoch) {
    mine = make_logger();
    made_in_epoch = epoch;
  }
  mine->set_level(level_now().load(std::memory_order_relaxed));
  return *mine;
}

}  // namespace warren
