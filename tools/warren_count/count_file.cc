#include "count_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "open_below.h"

namespace warren::tools {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;  // stays in a core's second-level cache
constexpr off_t kSparseFrom = off_t{1} << 20;               // files smaller than this are simply read
constexpr off_t kToTheEnd = std::numeric_limits<off_t>::max();

// Counts up to `most` bytes from where the file stands. 0, or errno.
int count_bytes(int fd, off_t most, FileCounts& counts) noexcept {
  static std::array<char, kReadBytes> buffer;
  while (most > 0) {
    const ssize_t got = ::read(fd, buffer.data(), std::min(buffer.size(), static_cast<std::size_t>(most)));
    if (got == 0) return 0;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    const auto size = static_cast<std::size_t>(got);
    const std::size_t newlines = count_newlines({buffer.data(), size});
    counts += {.lines = newlines, .characters = size - newlines};
    most -= got;
  }
  return 0;
}

// Holes hold no newline, and some are larger than anybody wants to read.
int count_sparse(int fd, FileCounts& counts) noexcept {
  for (off_t at = 0;;) {
    off_t data = ::lseek(fd, at, SEEK_DATA);
    const bool no_more = data < 0 && errno == ENXIO;
    if (no_more) data = std::max(at, ::lseek(fd, 0, SEEK_END));
    if (data < 0) return ::lseek(fd, at, SEEK_SET) < 0 ? errno : count_bytes(fd, kToTheEnd, counts);
    counts.characters += static_cast<std::uint64_t>(data - at);
    if (no_more) return 0;
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || ::lseek(fd, data, SEEK_SET) < 0) return errno;
    if (const int error = count_bytes(fd, hole - data, counts); error != 0) return error;
    at = hole;
  }
}

}  // namespace

int count_file(int root, const std::string& path, FileCounts& counts) noexcept {
  counts = {};
  // O_NONBLOCK: the file may have become a pipe since it was found.
  const FileDescriptor fd = open_below(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!fd) return errno == ELOOP || errno == ENXIO ? ENOENT : errno;
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno;
  if (!S_ISREG(st.st_mode)) return ENOENT;
  const bool sparse = st.st_size >= kSparseFrom && st.st_blocks < st.st_size / 512;
  return sparse ? count_sparse(fd.get(), counts) : count_bytes(fd.get(), kToTheEnd, counts);
}

// Sixty-four counters of one byte each, which compilers keep in vector registers.
std::size_t count_newlines(std::span<const char> text) noexcept {
  constexpr std::size_t kLanes = 64;
  std::size_t newlines = 0;
  while (text.size() >= kLanes) {
    std::array<std::uint8_t, kLanes> lanes{};
    const std::size_t rows = std::min<std::size_t>(text.size() / kLanes, std::numeric_limits<std::uint8_t>::max());
    const char* row = text.data();
    for (std::size_t r = 0; r < rows; ++r, row += kLanes) {
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = static_cast<std::uint8_t>(lanes[i] + (row[i] == '\n'));
    }
    for (const std::uint8_t lane : lanes) newlines += lane;
    text = text.subspan(rows * kLanes);
  }
  return newlines + static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace warren::tools
