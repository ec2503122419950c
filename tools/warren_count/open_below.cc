#include "open_below.h"

#include <fcntl.h>

#include <cerrno>
#include <climits>

namespace warren::tools {
namespace {

FileDescriptor open_at(int directory, const char* path, int flags) noexcept {
  int fd = -1;
  do fd = ::openat(directory, path, flags | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

}  // namespace

FileDescriptor open_below(int directory, const std::string& path, int flags) noexcept {
  FileDescriptor step;
  std::size_t begin = 0;
  while (path.size() - begin >= PATH_MAX) {
    const std::size_t end = path.rfind('/', begin + PATH_MAX - 1);
    if (end == std::string::npos || end <= begin) {
      errno = ENAMETOOLONG;
      return {};
    }
    const std::string part = path.substr(begin, end - begin);
    FileDescriptor next = open_at(step ? step.get() : directory, part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!next) return {};
    step = std::move(next);
    begin = end + 1;
  }
  return open_at(step ? step.get() : directory, path.c_str() + begin, flags);
}

}  // namespace warren::tools
