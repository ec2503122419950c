// The task: counts one file. It runs in the workers, which have one thread; it is not for more than one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace warren::tools {

struct FileCounts {
  std::uint64_t lines = 0;       // newlines, as `wc -l`
  std::uint64_t characters = 0;  // all other bytes

  [[nodiscard]] std::uint64_t bytes() const noexcept { return lines + characters; }
  FileCounts& operator+=(const FileCounts& other) noexcept {
    lines += other.lines;
    characters += other.characters;
    return *this;
  }
};

// Reads the file at `path` below the directory `root` to its end. Links are not followed, pipes not waited for: what is
// not a regular file (any more) is ENOENT. Returns 0, or the errno of what failed; then `counts` means nothing.
[[nodiscard]] int count_file(int root, const std::string& path, FileCounts& counts) noexcept;

[[nodiscard]] std::size_t count_newlines(std::span<const char> text) noexcept;

}  // namespace warren::tools
