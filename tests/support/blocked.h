// Blocked: a thread that is in the midst of a call, asleep.
#pragma once
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/child.h"

namespace warren::test {

class Blocked {
 public:
  // Returns when the call sleeps. One that returns at once would keep this waiting for ever, and the test's timeout
  // tells.
  template <class Call>
  explicit Blocked(Call call)
      : thread_([this, call] {
          tid_.store(::gettid());
          call();
          returned_.store(true);
        }) {
    while (tid_.load() == 0) ::sched_yield();
    await_futex_sleep(::getpid(), tid_.load());
  }
  ~Blocked() {
    if (thread_.joinable()) thread_.join();
  }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  [[nodiscard]] bool returned() const noexcept { return returned_.load(); }
  void join() { thread_.join(); }

 private:
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> returned_{false};
  std::thread thread_;
};

}  // namespace warren::test
