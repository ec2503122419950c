#include "tree_walker.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "open_below.h"

namespace warren::tools {
namespace {

// DT_UNKNOWN where nobody can tell; then it is passed over.
unsigned char type_of(int directory, const dirent64& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type;
  struct stat st {};
  if (::fstatat(directory, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
  return static_cast<unsigned char>(IFTODT(st.st_mode));
}

}  // namespace

TreeWalker::TreeWalker(int root, Found found, Failed failed)
    : root_(root), found_(std::move(found)), failed_(std::move(failed)) {
  enter();
}

void TreeWalker::step() {
  while (!level_.empty()) {
    Directory& directory = level_.back();
    path_.resize(directory.path_length);
    if (directory.next == directory.entries.size()) {
      level_.pop_back();
      continue;
    }
    path_ += directory.entries[directory.next++];
    if (path_.back() == '/') return enter();
    found_(path_);
  }
}

void TreeWalker::enter() {
  const std::string name = path_.empty() ? "." : path_.substr(0, path_.size() - 1);
  const FileDescriptor fd = open_below(root_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return failed_(path_, errno);
  Directory directory{.path_length = path_.size(), .entries = {}};
  read(fd.get(), directory.entries);
  level_.push_back(std::move(directory));
}

// A directory's name is compared with the slash that follows it in every path below it: so "a-b" comes before "a/b".
void TreeWalker::read(int fd, std::vector<std::string>& entries) {
  for (;;) {
    const ssize_t got = ::getdents64(fd, buffer_.get(), kBufferBytes);
    if (got < 0) failed_(path_, errno);
    if (got <= 0) break;
    for (ssize_t at = 0; at < got;) {
      const auto& entry = *reinterpret_cast<const dirent64*>(buffer_.get() + at);
      at += entry.d_reclen;
      const std::string_view name = entry.d_name;
      const unsigned char type = type_of(fd, entry);
      if (type == DT_REG) entries.emplace_back(name);
      if (type == DT_DIR && name != "." && name != "..") entries.push_back(std::string(name) + '/');
    }
  }
  std::ranges::sort(entries);
}

}  // namespace warren::tools
