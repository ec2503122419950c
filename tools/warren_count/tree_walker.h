// TreeWalker: finds the regular files below a directory, step by step.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace warren::tools {

// Files come in the order of their whole paths, byte by byte, so nobody needs to sort them. Links are not followed,
// what is neither file nor directory is passed over. Holds one descriptor at a time, in trees of any depth.
class TreeWalker {
 public:
  using Found = std::function<void(std::string path)>;                          // below the root
  using Failed = std::function<void(const std::string& directory, int error)>;  // "" is the root itself

  // `root` stays the caller's, and open.
  TreeWalker(int root, Found found, Failed failed);

  // Reads at most one directory. Does nothing once done.
  void step();
  [[nodiscard]] bool done() const noexcept { return level_.empty(); }

 private:
  struct Directory {
    std::size_t path_length;           // of path_, up to and with its slash
    std::vector<std::string> entries;  // sorted; directories end with a slash
    std::size_t next = 0;
  };

  void enter();  // the directory at path_
  void read(int fd, std::vector<std::string>& entries);

  static constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

  std::unique_ptr<std::byte[]> buffer_ = std::make_unique<std::byte[]>(kBufferBytes);
  int root_;
  Found found_;
  Failed failed_;
  std::string path_;
  std::vector<Directory> level_;  // from the root down to where it stands
};

}  // namespace warren::tools
