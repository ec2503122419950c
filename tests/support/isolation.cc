#include "support/isolation.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace warren::test {
namespace {

constexpr int kNotPermitted = 77;
constexpr uid_t kNobody = 65534;

bool write_file(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return written;
}

// Namespaces need root; an ordinary user has a namespace of users to be root in, where the kernel allows it.
bool unshare_as_root(int flags) {
  const uid_t uid = ::geteuid();
  if (uid == 0) return ::unshare(flags) == 0;
  if (::unshare(flags | CLONE_NEWUSER) != 0) return false;
  return write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1");
}

bool detach_mounts() { return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0; }

IsolatedEnd isolated(const std::function<int()>& run) {
  const Ended end = Child(run).join();
  if (end.code == kNotPermitted) return std::nullopt;
  return end;
}

// The namespaces that unshare() makes for children begin with the next fork.
int run_in_grandchild(const std::function<void()>& run) {
  const Ended end = Child(run).join();
  return end.signal != 0 ? 128 + end.signal : end.code;
}

}  // namespace

IsolatedEnd with_small_shm(std::size_t bytes, const std::function<void()>& run) {
  return isolated([&] {
    const std::string options = "size=" + std::to_string(bytes) + ",mode=1777";
    if (!unshare_as_root(CLONE_NEWNS) || !detach_mounts() ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      return kNotPermitted;
    }
    run();
    return 0;
  });
}

IsolatedEnd in_new_pid_namespace(const std::function<void()>& run) {
  return isolated([&] {
    if (!unshare_as_root(CLONE_NEWPID | CLONE_NEWNS) || !detach_mounts()) return kNotPermitted;
    return run_in_grandchild([&] {
      // The first process of a namespace takes the others along when it ends, so it is not the one that runs.
      if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) ::_exit(kNotPermitted);
      const int code = run_in_grandchild(run);
      if (code != 0) ::_exit(code);
    });
  });
}

IsolatedEnd in_new_pid_namespace_with_proc_of_another(const std::function<void()>& run) {
  return isolated([&] {
    if (!unshare_as_root(CLONE_NEWPID)) return kNotPermitted;
    return run_in_grandchild([&] {
      const int code = run_in_grandchild(run);
      if (code != 0) ::_exit(code);
    });
  });
}

IsolatedEnd in_new_time_namespace(const std::function<void()>& run) {
  return isolated([&] {
    if (!unshare_as_root(CLONE_NEWTIME) || !write_file("/proc/self/timens_offsets", "boottime 100000 0")) {
      return kNotPermitted;
    }
    return run_in_grandchild(run);
  });
}

IsolatedEnd as_another_user(const std::function<void()>& run) {
  return isolated([&] {
    if (::geteuid() != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return kNotPermitted;
    run();
    return 0;
  });
}

}  // namespace warren::test
