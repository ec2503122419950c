// ResourceLimit: one limit of this process, lowered for a while.
#pragma once
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

// UndefinedBehaviorSanitizer makes a pipe to look at the memory of an object, and takes EMFILE for a bad object.
#if defined(__SANITIZE_ADDRESS__)
#define WARREN_NEEDS_NO_DESCRIPTORS() GTEST_SKIP() << "the sanitizer needs descriptors"
#else
#define WARREN_NEEDS_NO_DESCRIPTORS() static_cast<void>(0)
#endif

// exit() leaves what stands on the stack, and LeakSanitizer has the exit code then.
#if defined(__SANITIZE_ADDRESS__)
#define WARREN_EXITS_PAST_OBJECTS() GTEST_SKIP() << "the sanitizer takes what exit() leaves for leaks"
#else
#define WARREN_EXITS_PAST_OBJECTS() static_cast<void>(0)
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WARREN_LIMITS_ADDRESS_SPACE() GTEST_SKIP() << "the sanitizer's shadow needs the address space"
#else
#define WARREN_LIMITS_ADDRESS_SPACE() static_cast<void>(0)
#endif

namespace warren::test {

class ResourceLimit {
 public:
  ResourceLimit(decltype(RLIMIT_AS) which, rlim_t limit) : which_(which) {
    ::getrlimit(which_, &before_);
    const rlimit lowered{.rlim_cur = limit, .rlim_max = before_.rlim_max};
    ::setrlimit(which_, &lowered);
  }
  ~ResourceLimit() { ::setrlimit(which_, &before_); }
  ResourceLimit(const ResourceLimit&) = delete;
  ResourceLimit& operator=(const ResourceLimit&) = delete;

 private:
  decltype(RLIMIT_AS) which_;
  rlimit before_{};
};

// While it lives this process can open nothing: EMFILE.
class NoDescriptors : ResourceLimit {
 public:
  NoDescriptors() : ResourceLimit(RLIMIT_NOFILE, next_descriptor()) {}

 private:
  static rlim_t next_descriptor() {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return static_cast<rlim_t>(fd);
  }
};

}  // namespace warren::test
