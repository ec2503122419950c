#include "child.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "pidfd.h"

namespace warren::detail {
namespace {

constexpr int kUnknownCode = 255;

alignas(ChildList) std::byte list_memory[sizeof(ChildList)];

}  // namespace

Child::~Child() { ::close(pidfd_); }

std::optional<int> Child::join_until(Deadline deadline) {
  if (!await_end(pidfd_, deadline)) return std::nullopt;
  return reap();
}

int Child::finish() {
  if (daemon_) {
    signal(SIGTERM);
    if (const std::optional<int> code = join_until(Deadline::after(grace_))) return *code;
    signal(SIGKILL);  // it does not heed SIGTERM, or is stopped
  }
  return *join_until(Deadline::never());
}

void Child::signal(int signal) noexcept { send_signal(pidfd_, signal); }

// It has ended.
int Child::reap() {
  const std::scoped_lock lock(mutex_);
  if (code_) return *code_;
  siginfo_t info{};
  int result = 0;
  while ((result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED)) != 0 && errno == EINTR) {
  }
  if (result != 0) {
    code_ = kUnknownCode;  // the program has waited for it, or ignores SIGCHLD; or it is another process's child
  } else {
    code_ = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }
  if (mine()) ChildList::instance().remove(*this);
  return *code_;
}

// Never destroyed: processes may be joined after static objects are gone. A forked child begins with none: those of the
// list are its parent's, and another thread of that may have held the mutex.
ChildList& ChildList::instance() {
  static ChildList* const list = [] {
    ::pthread_atfork(nullptr, nullptr, [] { new (list_memory) ChildList; });
    std::atexit(&at_exit);
    return new (list_memory) ChildList;
  }();
  return *list;
}

void ChildList::add(std::shared_ptr<Child> child) {
  const std::scoped_lock lock(mutex_);
  children_.push_back(std::move(child));
}

void ChildList::remove(const Child& child) noexcept {
  const std::scoped_lock lock(mutex_);
  std::erase_if(children_, [&child](const auto& each) { return each.get() == &child; });
}

std::vector<std::shared_ptr<Child>> ChildList::all() const {
  const std::scoped_lock lock(mutex_);
  return children_;
}

void ChildList::at_exit() noexcept {
  const std::vector<std::shared_ptr<Child>> left = instance().all();
  for (const auto& child : left) {
    if (child->daemon()) child->signal(SIGTERM);
  }
  for (const auto& child : left) (void)child->finish();
}

}  // namespace warren::detail
