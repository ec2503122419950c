#include "raw_file.h"

#include <unistd.h>

#include <cerrno>
#include <limits>

namespace warren::tools {

std::size_t RawFile::read(std::uint64_t offset, std::span<std::byte> bytes) const noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - done) break;
    const ssize_t got = ::pread(fd_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace warren::tools
