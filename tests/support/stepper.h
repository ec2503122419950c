// Stepped: a forked child that runs one machine instruction at a time under ptrace, and can be killed between any two.
// x86-64 only: elsewhere a step breaks load-exclusive pairs.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace warren::test {

// Instructions in the order they ran, by address. Children of one parent run the same path as long as nothing that they
// see differs.
struct Path {
  std::vector<std::uintptr_t> addresses;
  std::vector<std::size_t> earlier;  // earlier[i]: index + 1 of the last time addresses[i] ran before i; 0: never
  std::vector<std::size_t> turns;    // turns[i]: how often addresses[i] ran before i
  std::vector<std::size_t> sleeps;   // indices of the system calls that went to sleep

  [[nodiscard]] std::size_t size() const noexcept { return addresses.size(); }
  void append(std::uintptr_t address);
  [[nodiscard]] std::size_t distinct() const noexcept { return last_.size(); }
  // The third or a later turn of a loop, and not the last.
  [[nodiscard]] bool amid_loop(std::size_t i) const { return turns[i] >= 2 && last_.at(addresses[i]) != i + 1; }

 private:
  std::unordered_map<std::uintptr_t, std::size_t> last_;  // index + 1
};

// Owned by the thread that made it: only that one may trace.
class Stepped {
 public:
  enum class State {
    kReady,     // stands between two instructions of the operation
    kAsleep,    // sleeps in a system call of it: futex, ppoll, nanosleep
    kFinished,  // the operation has returned
    kGone,      // died of something else; what() says of what
  };

  // In the child `warm` runs at full speed, then it stands before the first instruction of `operation`.
  Stepped(const std::function<void()>& warm, const std::function<void()>& operation);
  // Takes hold of a process that another one forked and that sleeps in a system call: kReady, once that goes on.
  explicit Stepped(pid_t sleeper);
  ~Stepped();  // kills what still lives
  Stepped(const Stepped&) = delete;
  Stepped& operator=(const Stepped&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] std::uintptr_t address() const noexcept { return address_; }  // of the next instruction
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

  State step();         // one instruction; a system call is one
  State await_call();   // from kAsleep: waits until the system call is over
  State resume_call();  // of a sleeper: the system call that it was found in, which may sleep again
  State next_call();    // runs until it has returned from its next system call
  // Runs at full speed until `address` is next; asleep() is called whenever it sleeps.
  State run_to(std::uintptr_t address, const std::function<void()>& asleep);
  // Runs at full speed to the end of the operation, likewise.
  State run(const std::function<void()>& asleep);
  // Runs the first `count` instructions of `path`, at full speed where it can. Where the child leaves the path it ends
  // up elsewhere, or finishes.
  State advance(const Path& path, std::size_t count, const std::function<void()>& asleep);

  void kill();         // SIGKILL, and reaps
  void kill_zombie();  // SIGKILL; stays a zombie until it is destroyed
  // Lets it go on without a tracer and exit; true: it did so with 0. One of another's children: it goes on.
  bool release();

  static bool supported();  // false where there is no single-stepping, or it is not permitted

 private:
  enum class Kind : std::uint8_t { kPlain, kSystemCall, kEnd };
  [[nodiscard]] Kind kind_at(std::uintptr_t address) const;
  [[nodiscard]] bool asleep() const;
  [[nodiscard]] std::optional<int> next_stop(bool may_sleep) const;
  State await_stop(bool may_sleep);
  State stopped(int status);
  State gone(int status);

  pid_t pid_ = -1;
  State state_ = State::kGone;
  std::uintptr_t address_ = 0;
  std::string what_;
  bool reaped_ = true;
  bool mine_ = true;  // forked here
};

// Keeps this process, and the children it forks from now on, on one processor, and gives back what was allowed before:
// a step then costs half, since tracer and tracee never wake each other across cores.
class OneProcessor {
 public:
  OneProcessor();
  ~OneProcessor();
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  std::vector<std::byte> before_;
};

}  // namespace warren::test
