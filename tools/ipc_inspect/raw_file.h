// RawFile: what lies in a segment's file, read as bytes. Nothing is mapped, so nothing is touched: reading a hole this
// way does not give it memory, and a file that is cut short is a short read, not a SIGBUS.
#pragma once
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/file_descriptor.h"

namespace warren::tools {

// A private copy of a struct of layout/: whatever its bytes are, they no longer change.
template <class T>
class Copy {
 public:
  [[nodiscard]] const T& operator*() const noexcept { return *reinterpret_cast<const T*>(bytes_.data()); }
  [[nodiscard]] const T* operator->() const noexcept { return &**this; }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return bytes_; }

 private:
  alignas(T) std::array<std::byte, sizeof(T)> bytes_{};
};

class RawFile {
 public:
  RawFile(FileDescriptor fd, const struct stat& st) : fd_(std::move(fd)), stat_(st) {}

  [[nodiscard]] const struct stat& stat() const noexcept { return stat_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return static_cast<std::uint64_t>(stat_.st_size); }

  // How many bytes were there to be read, up to bytes.size().
  std::size_t read(std::uint64_t offset, std::span<std::byte> bytes) const noexcept;
  // nullopt: the file ends before.
  template <class T>
  [[nodiscard]] std::optional<Copy<T>> read(std::uint64_t offset) const noexcept {
    Copy<T> copy;
    if (read(offset, copy.bytes()) != sizeof(T)) return std::nullopt;
    return copy;
  }

 private:
  FileDescriptor fd_;
  struct stat stat_;
};

}  // namespace warren::tools
