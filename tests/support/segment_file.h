// SegmentFile: the file behind a named segment, looked at and spoilt from outside.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace warren::test {

inline std::string shm_path(const std::string& name) { return "/dev/shm/" + name; }

// Whether something bears the name, be it a dangling link.
inline bool name_exists(const std::string& name) {
  struct stat st {};
  return ::lstat(shm_path(name).c_str(), &st) == 0;
}

class SegmentFile {
 public:
  explicit SegmentFile(const std::string& name) : fd_(::open(shm_path(name).c_str(), O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("no file " + shm_path(name));
  }
  ~SegmentFile() { ::close(fd_); }
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  template <class T>
  [[nodiscard]] T read(std::size_t offset) const {
    T value{};
    if (::pread(fd_, &value, sizeof value, static_cast<off_t>(offset)) != sizeof value)
      throw std::runtime_error("pread");
    return value;
  }
  template <class T>
  void write(std::size_t offset, const T& value) const {
    if (::pwrite(fd_, &value, sizeof value, static_cast<off_t>(offset)) != sizeof value)
      throw std::runtime_error("pwrite");
  }
  void resize(std::size_t size) const {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) throw std::runtime_error("ftruncate");
  }
  // The range reads as zeros, and has no memory.
  void punch(std::size_t offset, std::size_t length) const {
    if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) != 0) {
      throw std::runtime_error("fallocate");
    }
  }
  [[nodiscard]] struct stat stat() const {
    struct stat st {};
    ::fstat(fd_, &st);
    return st;
  }
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace warren::test
