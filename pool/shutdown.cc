#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <warren/pool/shutdown.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "pidfd.h"
#include "worker_signal.h"

namespace warren {
namespace {

// What the handler of this process writes to.
std::atomic<bool> was_requested{false};
std::atomic<int> bell{-1};

void on_sigterm(int) {
  const int error = errno;
  was_requested.store(true, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  (void)!::write(bell.load(std::memory_order_relaxed), &one, sizeof one);
  errno = error;
}

}  // namespace

bool Shutdown::requested() const noexcept { return was_requested.load(std::memory_order_relaxed); }
bool Shutdown::wait_until(Deadline t) const { return detail::await_end(descriptor_, t); }

namespace detail {

Shutdown WorkerSignal::install() noexcept {
  was_requested.store(false, std::memory_order_relaxed);  // of a process that this one was forked from
  bell.store(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = on_sigterm;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
  return Shutdown(bell.load(std::memory_order_relaxed));
}
Shutdown WorkerSignal::none() noexcept { return Shutdown(-1); }

}  // namespace detail
}  // namespace warren
