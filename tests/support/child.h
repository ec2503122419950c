// Child: a forked process that runs a function and is always reaped. Gate and Shared: what parent and child agree by.
#pragma once
#include <sys/mman.h>
#include <sys/types.h>

#include <atomic>
#include <concepts>
#include <csignal>
#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

namespace warren::test {

// How a process ended.
struct Ended {
  int code = 0;    // of exit, where no signal ended it
  int signal = 0;  // 0: it exited

  [[nodiscard]] bool well() const noexcept { return code == 0 && signal == 0; }
};

// The child gets the parent's memory as of now and a single thread. It leaves by _exit: with what `run` returned, or 1
// where an expectation failed in it. Handles that it inherited or made are not destroyed unless `run` does it.
class Child {
 public:
  template <std::invocable Run>
  explicit Child(Run&& run) {
    start([&run]() -> int {
      if constexpr (std::is_void_v<std::invoke_result_t<Run>>) {
        run();
        return 0;
      } else {
        return run();
      }
    });
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child();  // kills it if it still runs, and reaps it

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept { (void)::kill(pid_, number); }
  Ended join();                    // waits for its end
  Ended kill();                    // SIGKILL, and reaps
  void kill_but_not_reap() const;  // SIGKILL; returns when it is a zombie
  void stop() const;               // SIGSTOP; returns when it stands
  void go_on() const noexcept { signal(SIGCONT); }

 private:
  void start(const std::function<int()>& run);

  pid_t pid_ = -1;
};

// Returns when the main thread of `pid` (thread `tid` of it) sleeps in futex(2): it waits for a word. That is where a
// blocked call ends up, after it has spun.
void await_futex_sleep(pid_t pid, pid_t tid = 0);

// A T that parent and children share, whenever they were forked.
template <class T>
class Shared {
 public:
  template <class... Arguments>
  explicit Shared(Arguments&&... arguments) {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    value_ = new (memory) T(std::forward<Arguments>(arguments)...);
  }
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }

 private:
  T* value_;
};

// Opened once by anybody, and then everybody passes. Works across fork, and between threads.
class Gate {
 public:
  void open() noexcept { arrive(); }
  void wait() noexcept { wait_for(1); }
  // A gate that opens when `count` have arrived.
  void arrive() noexcept;
  void wait_for(std::uint32_t count) noexcept;

 private:
  Shared<std::atomic<std::uint32_t>> arrived_{0u};
};

}  // namespace warren::test
