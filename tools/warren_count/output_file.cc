#include "output_file.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "interrupt.h"

namespace warren::tools {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

absl::Status cannot_write(const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
}

// What is to be written, behind links.
struct Target {
  std::filesystem::path path;
  mode_t mode = 0;  // 0: there is none yet
  bool in_place = false;
};

absl::StatusOr<Target> find_target(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno != ENOENT) return cannot_write(path, errno);
    return Target{.path = path};
  }
  if (S_ISDIR(st.st_mode)) return cannot_write(path, EISDIR);
  if (!S_ISREG(st.st_mode)) return Target{.path = path, .mode = st.st_mode, .in_place = true};
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) return cannot_write(path, error.value());
  return Target{.path = real, .mode = st.st_mode & 0777};
}

std::string folder_of(const Target& target) {
  const std::string folder = target.path.parent_path();
  return folder.empty() ? "." : folder;
}

}  // namespace

absl::Status OutputFile::check(const std::string& path) {
  const absl::StatusOr<Target> target = find_target(path);
  if (!target.ok()) return target.status();
  const bool writable = target->in_place ? ::access(path.c_str(), W_OK) == 0
                                         : ::access((folder_of(*target) + "/.").c_str(), W_OK | X_OK) == 0;
  return writable ? absl::OkStatus() : cannot_write(path, errno);
}

absl::StatusOr<OutputFile> OutputFile::create(const std::string& path) {
  const absl::StatusOr<Target> target = find_target(path);
  if (!target.ok()) return target.status();
  if (target->in_place) {
    FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd) return cannot_write(path, errno);
    return OutputFile(path, {}, std::move(fd));
  }
  for (int attempt = 0;; ++attempt) {
    const std::string temporary = absl::StrCat(folder_of(*target), "/.warren-count.", ::getpid(), ".", attempt);
    FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!fd && errno == EEXIST && attempt < 100) continue;
    if (!fd) return cannot_write(path, errno);
    if (target->mode != 0) (void)::fchmod(fd.get(), target->mode);
    return OutputFile(target->path, temporary, std::move(fd));
  }
}

OutputFile::OutputFile(std::string path, std::string temporary, FileDescriptor fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      buffer_(std::move(other.buffer_)),
      status_(std::move(other.status_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::append(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void OutputFile::flush() {
  std::string_view rest = buffer_;
  while (status_.ok() && !rest.empty()) {
    const ssize_t written = ::write(fd_.get(), rest.data(), rest.size());
    if (interrupted() != 0) {
      status_ = absl::CancelledError("interrupted");
    } else if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      status_ = cannot_write(path_, errno);
    }
  }
  buffer_.clear();
}

absl::Status OutputFile::commit() {
  flush();
  if (!status_.ok()) return status_;
  if (::close(fd_.release()) != 0) return cannot_write(path_, errno);
  if (temporary_.empty()) return absl::OkStatus();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_write(path_, errno);
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace warren::tools
