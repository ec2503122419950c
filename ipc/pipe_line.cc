#include "pipe_line.h"

#include <poll.h>
#include <warren/ipc/detail/process.h>

#include <array>
#include <ctime>

namespace warren::detail {
namespace {

// Some 50 us in ticks(), which need not be exact: 2 to 5 GHz on x86, else nanoseconds.
constexpr std::uint64_t kPatience = std::uint64_t{1} << 17;

// A clock that costs less than a call of the kernel's.
std::uint64_t ticks() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

timespec to_timespec(std::chrono::nanoseconds d) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(d);
  return {.tv_sec = static_cast<time_t>(seconds.count()), .tv_nsec = static_cast<long>((d - seconds).count())};
}

}  // namespace

bool LifeLine::cut() noexcept {
  if (known_cut()) return true;
  pollfd line{.fd = socket_, .events = 0, .revents = 0};
  if (::poll(&line, 1, 0) != 1) return false;
  cut_.store(true, std::memory_order_relaxed);
  return true;
}

bool LifeLine::cut_lately(std::uint32_t departures) noexcept {
  if (known_cut()) return true;
  const std::uint64_t now = ticks();
  if (now - asked_.load(std::memory_order_relaxed) < kPatience &&
      departures == departures_.load(std::memory_order_relaxed))
    return false;
  asked_.store(now, std::memory_order_relaxed);
  departures_.store(departures, std::memory_order_relaxed);
  return cut();
}

bool LifeLine::sleep(int bell, Timeout timeout) noexcept {
  std::array<pollfd, 2> fds{pollfd{.fd = bell, .events = POLLIN, .revents = 0},
                            pollfd{.fd = socket_, .events = 0, .revents = 0}};
  const timespec until = to_timespec(timeout.ns());
  const int ready = ::ppoll(fds.data(), fds.size(), &until, nullptr);
  if (ready > 0 && fds[1].revents != 0) cut_.store(true, std::memory_order_relaxed);
  return ready != 0;
}

}  // namespace warren::detail
