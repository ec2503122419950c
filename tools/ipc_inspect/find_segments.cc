#include "find_segments.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <warren/layout/abi.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace warren::tools {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

constexpr std::string_view kNames = "/dev/shm/";
constexpr std::string_view kMemfd = "/memfd:warren:";

std::optional<int> to_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::vector<std::string> entries_of(DIR* directory) {
  std::vector<std::string> names;
  for (;;) {
    const dirent* entry = ::readdir(directory);  // NOLINT(concurrency-mt-unsafe): the stream is this thread's own
    if (entry == nullptr) return names;
    names.emplace_back(entry->d_name);
  }
}

std::string link_target(int directory, const std::string& name) {
  std::array<char, 512> target{};
  const ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

class Search {
 public:
  absl::Status look_at_names() {
    const Directory directory(::opendir(std::string(kNames).c_str()));
    if (directory == nullptr)
      return errno == ENOENT ? absl::OkStatus() : absl::ErrnoToStatus(errno, "cannot read /dev/shm");
    for (const std::string& name : entries_of(directory.get())) {
      if (name.starts_with('.')) continue;  // no segment's name; that of the file which removals lock
      if (FoundSegment* segment = look_at(::dirfd(directory.get()), name, O_NOFOLLOW)) segment->name = name;
    }
    std::ranges::sort(found_.segments, {}, &FoundSegment::name);
    return absl::OkStatus();
  }

  absl::Status look_at_processes() {
    const Directory directory(::opendir("/proc"));
    if (directory == nullptr) return absl::ErrnoToStatus(errno, "cannot read /proc");
    for (const std::string& name : entries_of(directory.get())) {
      if (const std::optional<int> pid = to_number(name); pid && *pid != ::getpid()) look_at_process(*pid);
    }
    return absl::OkStatus();
  }

  FoundSegments take() { return std::move(found_); }

 private:
  void look_at_process(pid_t pid) {
    const Directory directory(::opendir(absl::StrCat("/proc/", pid, "/fd").c_str()));
    if (directory == nullptr) {
      if (errno == EACCES || errno == EPERM) ++found_.hidden_processes;
      return;
    }
    for (const std::string& name : entries_of(directory.get())) {
      const std::optional<int> descriptor = to_number(name);
      if (descriptor) look_at_descriptor(::dirfd(directory.get()), name, pid, *descriptor);
    }
  }

  void look_at_descriptor(int directory, const std::string& name, pid_t pid, int descriptor) {
    const std::string target = link_target(directory, name);
    if (!target.starts_with(kMemfd) && !target.starts_with(kNames)) return;
    FoundSegment* segment = look_at(directory, name, 0);
    if (segment == nullptr) return;
    if (segment->holders.empty() || segment->holders.back() != pid) segment->holders.push_back(pid);
    if (segment->descriptor < 0) segment->descriptor = descriptor;
  }

  // Null: it is no segment, or not ours to see.
  FoundSegment* look_at(int directory, const std::string& name, int flags) {
    struct stat st {};
    if (::fstatat(directory, name.c_str(), &st, flags != 0 ? AT_SYMLINK_NOFOLLOW : 0) != 0 || !S_ISREG(st.st_mode)) {
      return nullptr;
    }
    if (FoundSegment* known = find(st)) return known;
    FileDescriptor fd(::openat(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | flags));
    if (!fd) {
      if (errno == EACCES || errno == EPERM) ++found_.hidden_files;
      return nullptr;
    }
    if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return nullptr;
    RawFile file(std::move(fd), st);
    std::uint64_t magic = 0;
    if (file.read(0, std::as_writable_bytes(std::span(&magic, 1))) != sizeof magic || magic != layout::kMagic)
      return nullptr;
    return &found_.segments.emplace_back(FoundSegment{.file = std::move(file), .name = {}, .holders = {}});
  }

  FoundSegment* find(const struct stat& st) {
    const auto same = std::ranges::find_if(found_.segments, [&](const FoundSegment& segment) {
      return segment.file.stat().st_ino == st.st_ino && segment.file.stat().st_dev == st.st_dev;
    });
    return same != found_.segments.end() ? &*same : nullptr;
  }

  FoundSegments found_;
};

}  // namespace

absl::StatusOr<FoundSegments> find_segments() {
  Search search;
  if (absl::Status status = search.look_at_names(); !status.ok()) return status;
  if (absl::Status status = search.look_at_processes(); !status.ok()) return status;
  return search.take();
}

}  // namespace warren::tools
