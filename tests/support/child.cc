#include "support/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

namespace warren::test {
namespace {

// Expectations that failed in a child, where its copy of the test's result counts them.
class Failures : public ::testing::EmptyTestEventListener {
 public:
  void OnTestPartResult(const ::testing::TestPartResult& result) override { failed_ = failed_ || result.failed(); }
  [[nodiscard]] bool any() const noexcept { return failed_; }

 private:
  bool failed_ = false;
};

[[noreturn]] void run_in_child(const std::function<int()>& run) {
  auto* const failures = new Failures;  // owned by the list
  ::testing::UnitTest::GetInstance()->listeners().Append(failures);
  int code = run();
  if (code == 0 && failures->any()) code = 1;
  std::fflush(nullptr);
  ::_exit(code);
}

Ended ended(int status) {
  return WIFSIGNALED(status) ? Ended{.signal = WTERMSIG(status)} : Ended{.code = WEXITSTATUS(status)};
}

void await_state(pid_t pid, int options) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, options | WNOWAIT) != 0 && errno == EINTR) {
  }
}

}  // namespace

void Child::start(const std::function<int()>& run) {
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  if (pid_ == 0) run_in_child(run);
}

Child::~Child() {
  if (pid_ > 0) (void)kill();
}

Ended Child::join() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) != pid_ && errno == EINTR) {
  }
  pid_ = -1;
  return ended(status);
}

Ended Child::kill() {
  signal(SIGKILL);
  return join();
}

void Child::kill_but_not_reap() const {
  signal(SIGKILL);
  await_state(pid_, WEXITED);
}

void Child::stop() const {
  signal(SIGSTOP);
  await_state(pid_, WSTOPPED);
}

void await_futex_sleep(pid_t pid, pid_t tid) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/syscall", pid, tid != 0 ? tid : pid);
  const std::string futex = std::to_string(SYS_futex) + " ";
  for (;;) {
    std::array<char, 256> text{};
    const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : ::read(fd, text.data(), text.size() - 1);
    if (fd >= 0) ::close(fd);
    if (length < 0 && errno != EINTR) throw std::runtime_error(std::string(path.data()) + ": " + std::strerror(errno));
    if (std::strncmp(text.data(), futex.c_str(), futex.size()) == 0) return;
    ::sched_yield();
  }
}

void Gate::arrive() noexcept {
  arrived_->fetch_add(1);
  ::syscall(SYS_futex, &*arrived_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Gate::wait_for(std::uint32_t count) noexcept {
  for (;;) {
    const std::uint32_t seen = arrived_->load();
    if (seen >= count) return;
    ::syscall(SYS_futex, &*arrived_, FUTEX_WAIT, seen, nullptr, nullptr, 0);
  }
}

}  // namespace warren::test
