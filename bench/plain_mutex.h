// The lock that promises nothing about deaths, to tell what the promise costs: one word and the futex call, the second
// mutex of U. Drepper, "Futexes Are Tricky". In memory that processes share.
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace warren::bench {

class PlainMutex {
 public:
  void lock() noexcept {
    std::uint32_t found = kFree;
    if (word_.compare_exchange_strong(found, kHeld, std::memory_order_acquire)) return;
    while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) futex(FUTEX_WAIT, kAwaited);
  }
  void unlock() noexcept {
    if (word_.exchange(kFree, std::memory_order_release) == kAwaited) futex(FUTEX_WAKE, 1);
  }

 private:
  static constexpr std::uint32_t kFree = 0, kHeld = 1, kAwaited = 2;
  void futex(int operation, std::uint32_t value) noexcept {
    ::syscall(SYS_futex, &word_, operation, value, nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> word_{kFree};
};

}  // namespace warren::bench
