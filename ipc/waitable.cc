#include <poll.h>
#include <warren/ipc/pipe.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <thread>

namespace warren {
namespace {

// A ring may be lost with the process that would have rung, so what knows better is asked that often,
constexpr std::chrono::nanoseconds kSlice = std::chrono::seconds(2);
// and more often where there is no descriptor to tell.
constexpr std::chrono::nanoseconds kShortSlice = std::chrono::milliseconds(10);

// Sleeps until a descriptor is readable, or that long. False: nothing is known of the descriptors.
bool sleep(std::vector<pollfd>& fds, std::chrono::nanoseconds timeout) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timespec until{.tv_sec = static_cast<time_t>(seconds.count()),
                       .tv_nsec = static_cast<long>((timeout - seconds).count())};
  const int ready = ::ppoll(fds.data(), fds.size(), &until, nullptr);
  if (ready > 0) return true;
  for (pollfd& fd : fds) fd.revents = 0;
  if (ready < 0 && errno != EINTR) std::this_thread::sleep_for(std::min(timeout, kShortSlice));  // no memory for it
  return false;
}

bool is_ready(const Waitable& object, const pollfd& fd, bool ask_all) {
  if (fd.fd >= 0 && fd.revents == 0 && !ask_all) return false;
  return object.knows() ? object.ready() : fd.fd < 0 || fd.revents != 0;
}

}  // namespace

std::vector<std::size_t> wait(std::span<const Waitable> objects, Timeout d) {
  const Deadline deadline = Deadline::after(d);
  std::vector<std::size_t> ready;
  std::vector<pollfd> fds;
  fds.reserve(objects.size());
  for (const Waitable& object : objects) fds.push_back({.fd = object.fileno(), .events = POLLIN, .revents = 0});
  const bool all_open = std::ranges::all_of(fds, [](const pollfd& fd) { return fd.fd >= 0; });
  const std::chrono::nanoseconds slice = all_open ? kSlice : kShortSlice;
  while (!objects.empty()) {
    const bool told = sleep(fds, std::min(slice, deadline.remaining().ns()));
    for (std::size_t i = 0; i < objects.size(); ++i) {
      if (is_ready(objects[i], fds[i], /*ask_all=*/!told)) ready.push_back(i);
    }
    if (!ready.empty() || deadline.expired()) break;
  }
  return ready;
}

std::vector<std::size_t> wait(std::initializer_list<Waitable> objects, Timeout d) {
  return wait(std::span(objects.begin(), objects.size()), d);
}

}  // namespace warren
