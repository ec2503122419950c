#include "support/stepper.h"

#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/watch.h"

namespace warren::test {
namespace {

constexpr unsigned char kBreakpoint = 0xcc;   // int3
constexpr int kSystemCallStop = 0x80;         // beside SIGTRAP
constexpr std::size_t kWorthABreakpoint = 8;  // instructions; below, stepping costs less

// Both ends of the operation.
inline void marker() {
#if defined(__x86_64__)
  asm volatile("int3" ::: "memory");
#endif
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::abort();
}

#if defined(__x86_64__)

constexpr std::size_t kAddressRegister = offsetof(user_regs_struct, rip);

std::uintptr_t peek(pid_t pid, std::uintptr_t address) {
  errno = 0;
  const long word = ::ptrace(PTRACE_PEEKTEXT, pid, address, nullptr);
  if (word == -1 && errno != 0) fail("PTRACE_PEEKTEXT");
  return static_cast<std::uintptr_t>(word);
}

std::uintptr_t next_address(pid_t pid) {
  errno = 0;
  const long word = ::ptrace(PTRACE_PEEKUSER, pid, kAddressRegister, nullptr);
  if (word == -1 && errno != 0) fail("PTRACE_PEEKUSER");
  return static_cast<std::uintptr_t>(word);
}

#endif

}  // namespace

void Path::append(std::uintptr_t address) {
  std::size_t& last = last_[address];
  turns.push_back(last == 0 ? 0 : turns[last - 1] + 1);
  earlier.push_back(last);
  addresses.push_back(address);
  last = addresses.size();
}

#if defined(__x86_64__)

bool Stepped::supported() {
  static const bool permitted =
      Child([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1; }).join().well();
  return permitted;
}

Stepped::Stepped(const std::function<void()>& warm, const std::function<void()>& operation) : pid_(::fork()) {
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) fail("PTRACE_TRACEME");
    warm();
    marker();
    operation();
    marker();
    ::_exit(0);
  }
  reaped_ = false;
  if (await_stop(/*may_sleep=*/false) != State::kReady) return;
  ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
}

Stepped::Stepped(pid_t sleeper) : pid_(sleeper), reaped_(false), mine_(false) {
  if (::ptrace(PTRACE_SEIZE, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) != 0) fail("PTRACE_SEIZE");
  if (::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0) fail("PTRACE_INTERRUPT");
  (void)await_stop(/*may_sleep=*/false);
}

Stepped::~Stepped() {
  if (!reaped_) kill();
}

void Stepped::kill() {
  kill_zombie();
  int status = 0;
  while (!reaped_ && ::waitpid(pid_, &status, __WALL) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

void Stepped::kill_zombie() {
  if (reaped_ || pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | __WALL) != 0 && errno == EINTR) {
  }
  state_ = State::kGone;
}

bool Stepped::release() {
  if (state_ == State::kFinished) (void)::ptrace(PTRACE_POKEUSER, pid_, kAddressRegister, address_ + 1);  // the marker
  if (!mine_ && state_ == State::kAsleep) {  // only who stands can be let go
    if (::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0) return false;
    (void)await_stop(/*may_sleep=*/false);
  }
  if (::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr) != 0) return false;
  if (!mine_) {
    reaped_ = true;
    state_ = State::kGone;
    return true;
  }
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  state_ = State::kGone;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Children of this process run the same text at the same addresses, so each is looked at once.
Stepped::Kind Stepped::kind_at(std::uintptr_t address) const {
  static std::unordered_map<std::uintptr_t, Kind> known;
  const auto found = known.find(address);
  if (found != known.end()) return found->second;
  const std::uintptr_t word = peek(pid_, address);
  const bool system_call = (word & 0xffff) == 0x050f;
  const Kind kind = system_call ? Kind::kSystemCall : (word & 0xff) == kBreakpoint ? Kind::kEnd : Kind::kPlain;
  known.emplace(address, kind);
  return kind;
}

// In a call that waits for others; membarrier and page faults also sleep now and then, but not for long.
bool Stepped::asleep() const {
  if (process_state(pid_) != 'S') return false;
  const long call = current_system_call(pid_);
  return call == SYS_futex || call == SYS_ppoll || call == SYS_clock_nanosleep;
}

Stepped::State Stepped::gone(int status) {
  reaped_ = true;
  what_ = WIFSIGNALED(status) ? std::string("killed by ") + ::strsignal(WTERMSIG(status))
                              : "exited with " + std::to_string(WEXITSTATUS(status));
  return state_ = State::kGone;
}

Stepped::State Stepped::stopped(int status) {
  if (!WIFSTOPPED(status)) return gone(status);
  if (WSTOPSIG(status) != SIGTRAP) {
    what_ = std::string("stopped by ") + ::strsignal(WSTOPSIG(status));
    kill();
    return state_ = State::kGone;
  }
  address_ = next_address(pid_);
  return state_ = kind_at(address_) == Kind::kEnd ? State::kFinished : State::kReady;
}

// A system call that sleeps would keep the tracer waiting too, so where one may, the child is looked at from time to
// time. nullopt: it is asleep.
std::optional<int> Stepped::next_stop(bool may_sleep) const {
  for (int look = 0;; ++look) {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, __WALL | (may_sleep ? WNOHANG : 0));
    if (got == pid_) return status;
    if (got < 0 && errno != EINTR) fail("waitpid");
    if (!may_sleep) continue;
    if (look > 1 && asleep()) return std::nullopt;
    if (look < 4) {
      ::sched_yield();
    } else {
      ::usleep(20);
    }
  }
}

Stepped::State Stepped::await_stop(bool may_sleep) {
  const std::optional<int> status = next_stop(may_sleep);
  return status ? stopped(*status) : state_ = State::kAsleep;
}

Stepped::State Stepped::resume_call() {
  if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) fail("PTRACE_SINGLESTEP");
  return await_stop(/*may_sleep=*/true);
}

Stepped::State Stepped::await_call() { return await_stop(/*may_sleep=*/false); }

Stepped::State Stepped::step() {
  if (state_ != State::kReady) return state_;
  const bool may_sleep = kind_at(address_) == Kind::kSystemCall;
  if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) fail("PTRACE_SINGLESTEP");
  return await_stop(may_sleep);
}

Stepped::State Stepped::next_call() {
  for (int side = 0; side < 2 && state_ == State::kReady; ++side) {  // into it, out of it
    if (::ptrace(PTRACE_SYSCALL, pid_, nullptr, nullptr) != 0) fail("PTRACE_SYSCALL");
    const std::optional<int> status = next_stop(/*may_sleep=*/false);
    if (WIFSTOPPED(*status) && WSTOPSIG(*status) == (SIGTRAP | kSystemCallStop)) {
      address_ = next_address(pid_);
      continue;
    }
    if (!WIFSTOPPED(*status) || WSTOPSIG(*status) != SIGTRAP) return stopped(*status);
    address_ = next_address(pid_) - 1;
    state_ = State::kFinished;
  }
  return state_;
}

Stepped::State Stepped::run_to(std::uintptr_t address, const std::function<void()>& asleep) {
  if (state_ != State::kReady || address_ == address) return state_;
  const std::uintptr_t text = peek(pid_, address);
  const std::uintptr_t trap = (text & ~std::uintptr_t{0xff}) | kBreakpoint;
  if (::ptrace(PTRACE_POKETEXT, pid_, address, trap) != 0) fail("PTRACE_POKETEXT");
  if (::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) fail("PTRACE_CONT");
  std::optional<int> status;
  while (!(status = next_stop(/*may_sleep=*/true))) asleep();  // it left the path; it would sleep for ever
  if (!WIFSTOPPED(*status)) return gone(*status);
  if (::ptrace(PTRACE_POKETEXT, pid_, address, text) != 0) fail("PTRACE_POKETEXT");
  if (WSTOPSIG(*status) != SIGTRAP) return stopped(*status);
  address_ = next_address(pid_) - 1;  // a trap stands behind its byte
  if (::ptrace(PTRACE_POKEUSER, pid_, kAddressRegister, address_) != 0) fail("PTRACE_POKEUSER");
  return state_ = address_ == address ? State::kReady : State::kFinished;
}

Stepped::State Stepped::run(const std::function<void()>& asleep) {
  if (state_ == State::kAsleep) {
    asleep();
    (void)await_call();
  }
  if (state_ != State::kReady) return state_;
  if (::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) fail("PTRACE_CONT");
  std::optional<int> status;
  while (!(status = next_stop(/*may_sleep=*/true))) asleep();
  if (!WIFSTOPPED(*status) || WSTOPSIG(*status) != SIGTRAP) return stopped(*status);
  address_ = next_address(pid_) - 1;
  return state_ = State::kFinished;
}

// Hops: from `done`, at full speed to the last instruction before the target that has not run in between, so that its
// breakpoint is met there and not before. A loop costs one hop for each turn. What is left is stepped, and so is each
// system call that sleeps.
Stepped::State Stepped::advance(const Path& path, std::size_t count, const std::function<void()>& asleep) {
  auto sleep = path.sleeps.begin();
  for (std::size_t done = 0; done < count && state_ == State::kReady;) {
    while (sleep != path.sleeps.end() && *sleep < done) ++sleep;
    const std::size_t target = sleep != path.sleeps.end() && *sleep < count ? *sleep : count;
    std::size_t jump = std::min(target, path.size() - 1);
    while (jump > done && path.earlier[jump] > done) --jump;
    if (jump > done + kWorthABreakpoint) {
      (void)run_to(path.addresses[jump], asleep);
      done = jump;
      continue;
    }
    // To the end of what no hop reaches, or over the sleeping call.
    const std::size_t end = std::max({jump, done + 1, std::min(target, done + kWorthABreakpoint)});
    for (; done < end && state_ == State::kReady; ++done) {
      if (step() != State::kAsleep) continue;
      asleep();
      (void)await_call();
    }
  }
  return state_;
}

#else

bool Stepped::supported() { return false; }
Stepped::Stepped(const std::function<void()>&, const std::function<void()>&) { fail("single-stepping"); }
Stepped::Stepped(pid_t) { fail("single-stepping"); }
Stepped::~Stepped() = default;
void Stepped::kill() {}
void Stepped::kill_zombie() {}
bool Stepped::release() { return false; }
Stepped::State Stepped::step() { return state_; }
Stepped::State Stepped::next_call() { return state_; }
Stepped::State Stepped::resume_call() { return state_; }
Stepped::State Stepped::await_call() { return state_; }
Stepped::State Stepped::run_to(std::uintptr_t, const std::function<void()>&) { return state_; }
Stepped::State Stepped::run(const std::function<void()>&) { return state_; }
Stepped::State Stepped::advance(const Path&, std::size_t, const std::function<void()>&) { return state_; }

#endif

OneProcessor::OneProcessor() : before_(sizeof(cpu_set_t)) {
  auto* const before = reinterpret_cast<cpu_set_t*>(before_.data());
  if (::sched_getaffinity(0, sizeof(cpu_set_t), before) != 0) fail("sched_getaffinity");
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  (void)::sched_setaffinity(0, sizeof one, &one);
}

OneProcessor::~OneProcessor() {
  (void)::sched_setaffinity(0, before_.size(), reinterpret_cast<const cpu_set_t*>(before_.data()));
}

}  // namespace warren::test
