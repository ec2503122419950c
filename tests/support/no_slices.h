// While it lives no slice comes, in this process and in those that it forks: what is told late was not told.
#pragma once
#include <warren/ipc/detail/wait.h>

#include <cstdint>

namespace warren::test {

class NoSlices {
 public:
  NoSlices() {
    constexpr std::int64_t kHour = 3'600'000'000'000;
    tuning_.slice_min_ns = kHour;
    tuning_.slice_max_ns = kHour;
    tuning_.look_ns = kHour;
  }
  ~NoSlices() {
    tuning_.slice_min_ns = min_;
    tuning_.slice_max_ns = max_;
    tuning_.look_ns = look_;
  }
  NoSlices(const NoSlices&) = delete;
  NoSlices& operator=(const NoSlices&) = delete;

 private:
  detail::WaitTuning& tuning_ = detail::wait_tuning();
  const std::int64_t min_ = tuning_.slice_min_ns, max_ = tuning_.slice_max_ns, look_ = tuning_.look_ns;
};

}  // namespace warren::test
