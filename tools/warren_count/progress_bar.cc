#include "progress_bar.h"

#include <absl/strings/str_format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

namespace warren::tools {
namespace {

constexpr std::chrono::milliseconds kEach{100};
constexpr int kBarWidth = 24;

bool is_capable_terminal() {
  const char* terminal = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): before there are threads
  return ::isatty(STDERR_FILENO) != 0 && std::string_view(terminal != nullptr ? terminal : "dumb") != "dumb";
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string bar(double share) {
  const auto filled = static_cast<std::size_t>(share * kBarWidth);
  return '[' + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + ']';
}

std::string line(const Progress& progress, double seconds) {
  const double per_second = static_cast<double>(progress.files) / seconds;
  std::string text;
  if (progress.all_found && progress.found != 0) {
    const double share = static_cast<double>(progress.files) / static_cast<double>(progress.found);
    text = absl::StrFormat("%s %3.0f %%  %d of %d files", bar(share), 100 * share, progress.files, progress.found);
  } else {
    text = absl::StrFormat("%d of at least %d files", progress.files, progress.found);
  }
  text += absl::StrFormat("  %.0f files/s  %.0f MB/s", per_second, static_cast<double>(progress.bytes) / seconds / 1e6);
  if (progress.all_found && per_second > 0) {
    const auto left = static_cast<std::uint64_t>(static_cast<double>(progress.found - progress.files) / per_second);
    text += absl::StrFormat("  ETA %d:%02d", left / 60, left % 60);
  }
  return text;
}

void put(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

}  // namespace

ProgressBar::ProgressBar() : on_(is_capable_terminal()), start_(Clock::now()), next_(start_ + kEach) {}

void ProgressBar::show(const Progress& progress) {
  if (!on_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + kEach;
  drawn_ = true;
  const std::string text = line(progress, std::chrono::duration<double>(now - start_).count());
  put("\r" + text.substr(0, terminal_width() - 1) + "\x1b[K");
}

void ProgressBar::clear() {
  if (drawn_) put("\r\x1b[K");
  drawn_ = false;
}

}  // namespace warren::tools
