#include "interrupt.h"

#include <atomic>
#include <csignal>

namespace warren::tools {
namespace {

std::atomic<int> noted = 0;
static_assert(std::atomic<int>::is_always_lock_free);

void note(int signal) { noted.store(signal, std::memory_order_relaxed); }

}  // namespace

void note_interrupts() noexcept {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

int interrupted() noexcept { return noted.load(std::memory_order_relaxed); }

}  // namespace warren::tools
