// One line on stderr that says how far a count has come. Nothing where stderr is not a terminal.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace warren::tools {

struct Progress {
  std::uint64_t files = 0;  // counted
  std::uint64_t bytes = 0;
  std::uint64_t found = 0;  // so far
  bool all_found = false;   // only then can anybody tell how long it takes
};

class ProgressBar {
 public:
  ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(const Progress& progress);  // at most ten times a second
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool on_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point next_;
};

}  // namespace warren::tools
