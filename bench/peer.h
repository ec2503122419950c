// The other process of a benchmark.
#pragma once
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace warren::bench {

inline void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

// Keeps the calling process on one processor while it lives.
class Pinned {
 public:
  explicit Pinned(int cpu) {
    (void)::sched_getaffinity(0, sizeof before_, &before_);
    pin(cpu);
  }
  ~Pinned() { (void)::sched_setaffinity(0, sizeof before_, &before_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_{};
};

// Runs `body` in a child on another processor, until it returns or the benchmark is over.
class Peer {
 public:
  template <class Body>
  Peer(int cpu, Body&& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    pin(cpu);
    std::forward<Body>(body)();
    ::_exit(0);
  }
  ~Peer() {
    if (pid_ <= 0) return;  // the fork failed
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  pid_t pid_;
};

// One T in memory that both processes see.
template <class T>
class Shared {
 public:
  Shared()
      : object_(new(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1,
                           0)) T()) {}
  ~Shared() { ::munmap(object_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() noexcept { return object_; }
  T& operator*() noexcept { return *object_; }

 private:
  T* object_;
};

inline constexpr int kHere = 0;
inline constexpr int kThere = 1;

}  // namespace warren::bench
