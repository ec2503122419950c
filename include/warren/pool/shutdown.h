// Shutdown: how a worker of a Supervisor learns that it is to end.
#pragma once
#include <warren/ipc/time.h>

#include <chrono>

namespace warren {

namespace detail {
class WorkerSignal;
}

// Requested once, and for good: the worker got a SIGTERM. From then on it takes no new work, finishes what it has, and
// returns; after the grace of its supervisor it is killed. Thread-safe; belongs to its process.
//
//     void serve(warren::Shutdown& shutdown, warren::Queue<Job> jobs) {
//       while (!shutdown.requested()) {
//         if (auto job = jobs.try_pop_for(100ms)) handle(*job);
//         else if (jobs.drained()) return shutdown.wait();  // nothing to do any more: who returns is replaced
//       }
//     }
class Shutdown {
 public:
  Shutdown(const Shutdown&) = delete;
  Shutdown& operator=(const Shutdown&) = delete;

  [[nodiscard]] bool requested() const noexcept;
  void wait() const { (void)wait_until(Deadline::never()); }
  bool wait_for(Timeout d) const { return wait_until(Deadline::after(d)); }  // false: not yet
  bool wait_until(Deadline t) const;
  // Readable from the request on: for poll, epoll, Asio and warren::wait. Nobody reads from it.
  [[nodiscard]] int fileno() const noexcept { return descriptor_; }

 private:
  friend class detail::WorkerSignal;
  explicit Shutdown(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace warren
