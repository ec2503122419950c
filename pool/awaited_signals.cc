#include "awaited_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace warren::detail {
namespace {

std::atomic<bool> in_use{false};
std::atomic<int> notice{-1};

void on_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<unsigned char>(signal);
  (void)!::write(notice.load(std::memory_order_relaxed), &byte, 1);  // full: enough of them are on their way
  errno = error;
}

}  // namespace

AwaitedSignals::AwaitedSignals() {
  if (in_use.exchange(true, std::memory_order_relaxed)) return;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    in_use.store(false, std::memory_order_relaxed);
    return;
  }
  installed_ = true;
  read_ = ends[0], write_ = ends[1];
  notice.store(write_, std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigset_t ours;
  sigemptyset(&ours);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &before_[i]);
    sigaddset(&ours, kSignals[i]);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &ours, &mask_before_);
}

AwaitedSignals::~AwaitedSignals() {
  if (!installed_) return;
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  notice.store(-1, std::memory_order_relaxed);
  ::close(read_);
  ::close(write_);
  in_use.store(false, std::memory_order_relaxed);
}

std::optional<int> AwaitedSignals::next() noexcept {
  unsigned char signal = 0;
  if (::read(read_, &signal, 1) != 1) return std::nullopt;
  return signal;
}

}  // namespace warren::detail
