#include "backing_file.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "available_memory.h"

namespace warren::detail {
namespace {

constexpr const char* kDirectory = "/dev/shm";
constexpr std::size_t kCommitStep = std::size_t{16} << 20;
constexpr std::size_t kAskFirst = std::size_t{64} << 20;

std::string path_of(const std::string& name) { return absl::StrCat(kDirectory, "/", name); }
std::string path_of(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

template <class Call>
auto retried(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

// Whoever removes a name holds this lock and looks again under it: unlinking after a mere look could remove somebody's
// new segment. It is the directory itself, so no lock file is left behind. Waiting for it is bounded, since a stopped
// process may hold it.
class NamesLock {
 public:
  explicit NamesLock(std::chrono::milliseconds patience) : fd_(::open(kDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (fd_ && ::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return;
      if (std::chrono::steady_clock::now() >= give_up) return;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    held_ = static_cast<bool>(fd_);
    WARREN_CRASH_POINT(names_locked);  // the kernel drops the lock
  }
  ~NamesLock() {
    if (held_) ::flock(fd_.get(), LOCK_UN);
  }
  NamesLock(const NamesLock&) = delete;
  NamesLock& operator=(const NamesLock&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] int directory() const noexcept { return fd_.get(); }

 private:
  UniqueFd fd_;
  bool held_ = false;
};

constexpr std::chrono::milliseconds kPatience{2000};
constexpr std::chrono::milliseconds kPatienceAtExit{200};

bool still_named(const NamesLock& lock, int fd, const std::string& name) {
  struct stat by_fd {
  }, by_name{};
  return ::fstat(fd, &by_fd) == 0 && ::fstatat(lock.directory(), name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
         by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev;
}

// The first bytes of what may be a segment, read without mapping it.
struct Preamble {
  bool warren = false;
  bool keep_name = false;
};
Preamble read_preamble(int fd) {
  std::array<std::byte, sizeof(layout::SegmentHeader)> bytes{};
  const ssize_t got = retried([&] { return ::pread(fd, bytes.data(), bytes.size(), 0); });
  if (got != static_cast<ssize_t>(bytes.size())) return {};
  std::uint64_t magic = 0;
  std::uint32_t flags = 0;
  std::memcpy(&magic, bytes.data() + offsetof(layout::SegmentHeader, magic), sizeof magic);
  std::memcpy(&flags, bytes.data() + offsetof(layout::SegmentHeader, flags), sizeof flags);
  return {.warren = magic == layout::kMagic, .keep_name = (flags & layout::SegmentHeader::kKeepName) != 0};
}

// Under the lock, of a file just opened: true when nobody held it, and then its name is gone.
bool reclaim_if_stale(const NamesLock& lock, int fd, const std::string& name) {
  const Preamble preamble = read_preamble(fd);
  if (!preamble.warren || preamble.keep_name) return false;
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return false;
  WARREN_CRASH_POINT(stale_name_found);  // stale as before
  if (still_named(lock, fd, name)) ::unlinkat(lock.directory(), name.c_str(), 0);
  WARREN_CRASH_POINT(stale_name_removed);  // removed
  return true;
}

absl::StatusOr<UniqueFd> open_path(const std::string& name, bool read_only) {
  const std::string path = path_of(name);
  const int flags = (read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  UniqueFd fd(retried([&] { return ::open(path.c_str(), flags); }));
  if (fd) return fd;
  switch (errno) {
    case ENOENT: return absl::NotFoundError(absl::StrCat("no segment is named '", name, "'"));
    case ELOOP:
      return absl::FailedPreconditionError(absl::StrCat("'", name, "' is a symbolic link, which is never followed"));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat("the segment '", name, "' belongs to another user; segments are private to their owner"));
    default: return errno_status(errno, absl::StrCat("cannot open the segment '", name, "'"));
  }
}

absl::Status check_file(int fd, const std::string& name, std::size_t& size) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return errno_status(errno, absl::StrCat("cannot look at the segment '", name, "'"));
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("'", name, "' is not a regular file, so it is not a segment"));
  }
  if (st.st_uid != ::geteuid()) {
    return absl::PermissionDeniedError(absl::StrCat("the segment '", name, "' belongs to user ", st.st_uid,
                                                    ", and this process is user ", ::geteuid()));
  }
  if ((st.st_mode & 0777) != 0600) {
    const auto digit = [&](unsigned shift) { return st.st_mode >> shift & 7u; };
    return absl::PermissionDeniedError(absl::StrCat("the segment '", name, "' has mode 0", digit(6), digit(3), digit(0),
                                                    "; it must be 0600, so that it is open to its owner alone"));
  }
  if (st.st_nlink > 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", name, "' has ", st.st_nlink, " names (hard links), and a segment has one"));
  }
  size = static_cast<std::size_t>(st.st_size);
  return absl::OkStatus();
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status errno_status(int error, const std::string& what) {
  const std::string text = absl::StrCat(what, ": ", std::strerror(error));
  switch (error) {
    case ENOSPC:
    case ENOMEM:
    case EDQUOT:
    case EFBIG: return absl::ResourceExhaustedError(text);
    case EMFILE: return absl::ResourceExhaustedError(absl::StrCat(text, "; raise the limit with ulimit -n"));
    case ENFILE: return absl::ResourceExhaustedError(text);
    default: return absl::ErrnoToStatus(error, what);
  }
}

absl::StatusOr<std::string> checked_name(std::string_view name) {
  const std::string_view given = name;
  if (!name.empty() && name.front() == '/') name.remove_prefix(1);
  const bool fits = !name.empty() && name.size() <= layout::kMaxNameLength && name.front() != '.';
  const bool clean = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
  if (fits && clean) return std::string(name);
  return absl::InvalidArgumentError(absl::StrCat("'", std::string(given.substr(0, 80)), "' cannot be a name: use 1 to ",
                                                 layout::kMaxNameLength, " of A-Z a-z 0-9 . _ - and no dot in front"));
}

namespace {

// Beyond the limit (ulimit -f) the kernel would send SIGXFSZ.
absl::Status set_size(int fd, std::size_t size) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a segment of ", size, " bytes is more than ulimit -f allows: ", limit.rlim_cur, " bytes"));
  }
  if (::ftruncate(fd, static_cast<off_t>(size)) == 0) return absl::OkStatus();
  return errno_status(errno, absl::StrCat("cannot size shared memory to ", size, " bytes"));
}

}  // namespace

absl::StatusOr<UniqueFd> make_memfd(const std::string& label, std::size_t size) {
  UniqueFd fd(::memfd_create(label.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return errno_status(errno, "cannot create a memfd");
  if (absl::Status status = set_size(fd.get(), size); !status.ok()) return status;
  return fd;
}

absl::Status seal(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_status(errno, "cannot seal a memfd");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> make_unnamed(std::size_t size) {
  UniqueFd fd(::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) return errno_status(errno, absl::StrCat("cannot create a file in ", kDirectory));
  if (::fchmod(fd.get(), 0600) != 0) return errno_status(errno, absl::StrCat("cannot protect a file in ", kDirectory));
  if (absl::Status status = set_size(fd.get(), size); !status.ok()) return status;
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return errno_status(errno, "cannot hold a new segment");
  return fd;
}

absl::Status publish(int fd, const std::string& name) {
  const std::string from = path_of(fd);
  const std::string to = path_of(name);
  const auto link = [&] { return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0; };
  if (link()) {
    WARREN_CRASH_POINT(name_published);  // a name that nobody holds: the next open or create removes it
    return absl::OkStatus();
  }
  if (errno == EEXIST) {
    const NamesLock lock(kPatience);
    const absl::StatusOr<UniqueFd> old = open_path(name, /*read_only=*/false);
    const bool reclaimed = lock.held() && old.ok() && reclaim_if_stale(lock, old->get(), name);
    if ((reclaimed || absl::IsNotFound(old.status())) && link()) return absl::OkStatus();
    if (!reclaimed || errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("the name '", name, "' is taken (", to,
                                                   "): open() it, use open_or_create(), or unlink() it first"));
    }
  }
  return errno_status(errno, absl::StrCat("cannot give a segment the name '", name, "'"));
}

absl::StatusOr<OpenedFile> open_named(const std::string& name, bool read_only) {
  const NamesLock lock(kPatience);
  absl::StatusOr<UniqueFd> fd = open_path(name, read_only);
  if (!fd.ok()) return fd.status();
  OpenedFile file;
  if (absl::Status status = check_file(fd->get(), name, file.size); !status.ok()) return status;
  if (!read_preamble(fd->get()).warren) {  // by pread: touching a hole through a mapping would allocate it
    return absl::FailedPreconditionError(absl::StrCat("'", name, "' is not a Warren segment"));
  }
  if (lock.held() && reclaim_if_stale(lock, fd->get(), name)) {
    return absl::NotFoundError(
        absl::StrCat("the segment '", name, "' was left behind by processes that died; it has been removed"));
  }
  // Without the names' lock it may have been removed since it was opened.
  if (::flock(fd->get(), LOCK_SH | LOCK_NB) != 0 || (!lock.held() && !still_named(lock, fd->get(), name))) {
    return absl::UnavailableError(absl::StrCat("the segment '", name, "' is being removed; try again"));
  }
  file.fd = std::move(*fd);
  return file;
}

absl::Status unlink_named(const std::string& name) {
  const NamesLock lock(kPatience);
  if (!lock.held()) {
    return absl::UnavailableError(absl::StrCat("another process keeps ", kDirectory, " locked; try again"));
  }
  absl::StatusOr<UniqueFd> fd = open_path(name, /*read_only=*/true);
  if (!fd.ok()) return fd.status();
  std::size_t size = 0;
  if (absl::Status status = check_file(fd->get(), name, size); !status.ok()) return status;
  if (!read_preamble(fd->get()).warren) {
    return absl::FailedPreconditionError(absl::StrCat("'", name, "' is not a Warren segment; it is left alone"));
  }
  if (!still_named(lock, fd->get(), name) || ::unlinkat(lock.directory(), name.c_str(), 0) != 0) {
    return absl::NotFoundError(absl::StrCat("no segment is named '", name, "'"));
  }
  return absl::OkStatus();
}

void remove_if_last(int fd, const std::string& name) noexcept {
  const NamesLock lock(kPatienceAtExit);
  if (!lock.held() || ::flock(fd, LOCK_EX | LOCK_NB) != 0) return;
  WARREN_CRASH_POINT(last_to_leave);  // a name that nobody holds, likewise
  if (still_named(lock, fd, name)) ::unlinkat(lock.directory(), name.c_str(), 0);
}

UniqueFd hold_again(int fd) noexcept {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  const int flags = ::fcntl(fd, F_GETFL);
  UniqueFd again(::open(path.data(), (flags & O_ACCMODE) | O_CLOEXEC));
  if (again && ::flock(again.get(), LOCK_SH | LOCK_NB) != 0) return {};
  return again;
}

absl::Status commit_range(int fd, std::size_t offset, std::size_t length) {
  // Where tmpfs may grow to all there is, the kernel kills somebody instead of refusing.
  if (length >= kAskFirst && length > available_memory()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", length, " bytes of shared memory: ", available_memory(), " are available"));
  }
  for (std::size_t done = 0; done < length;) {
    const std::size_t step = std::min(length - done, kCommitStep);
    if (::fallocate(fd, 0, static_cast<off_t>(offset + done), static_cast<off_t>(step)) == 0) {
      done += step;
    } else if (errno != EINTR) {
      const int error = errno;
      struct statvfs fs {};
      const bool named = ::fstatvfs(fd, &fs) == 0 && fs.f_blocks != 0;
      return errno_status(
          error, absl::StrCat("no memory for ", length, " bytes of shared memory",
                              named ? absl::StrCat(" (", kDirectory, " has ", fs.f_bavail * fs.f_bsize, " bytes left)")
                                    : std::string()));
    }
  }
  return absl::OkStatus();
}

void discard_range(int fd, std::size_t offset, std::size_t length) noexcept {
  (void)::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length));
}

}  // namespace warren::detail
