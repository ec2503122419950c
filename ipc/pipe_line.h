// LifeLine: a socket that the other end holds the other side of. When nobody does any more, closed or killed, the
// kernel says so; nothing is ever written to it.
#pragma once
#include <warren/ipc/time.h>

#include <atomic>
#include <cstdint>

namespace warren::detail {

class LifeLine {
 public:
  explicit LifeLine(int socket) noexcept : socket_(socket) {}

  [[nodiscard]] int socket() const noexcept { return socket_; }
  // True: nobody holds the other end. Final, since it can be got from a holder only. What they committed is visible
  // after this, so who waits for something looks once more.
  [[nodiscard]] bool cut() noexcept;
  [[nodiscard]] bool known_cut() const noexcept { return cut_.load(std::memory_order_relaxed); }
  // As cut(), but asks the kernel only when `departures` changed, or the last answer is some 50 us old.
  [[nodiscard]] bool cut_lately(std::uint32_t departures) noexcept;

  // Sleeps until the bell is rung, the line is cut, or `timeout` is over. False: the latter.
  bool sleep(int bell, Timeout timeout) noexcept;

 private:
  int socket_;
  std::atomic<bool> cut_{false};
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint32_t> departures_{0};
};

}  // namespace warren::detail
