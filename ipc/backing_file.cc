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
#include <warren/ipc/detail/file_limit.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>
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

// What removals lock: a file of this user's, made at first use and never removed, so that nobody else's process can
// hold them up. Where that name is somebody else's, or cannot be made, the directory itself. While it changes from one
// to the other two may remove at once; then an unlink() may hit a segment that was given the name a moment ago.
UniqueFd open_names_lock() {
  const std::string path = absl::StrCat(kDirectory, "/.warren.", ::geteuid());
  const int flags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd fd(retried([&] { return ::open(path.c_str(), flags, 0600); }));
  struct stat st {};
  const bool ours = fd && ::fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == ::geteuid() &&
                    st.st_nlink <= 1 && ((st.st_mode & 0777) == 0600 || ::fchmod(fd.get(), 0600) == 0);
  return ours ? std::move(fd) : UniqueFd(::open(kDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool was_removed(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && st.st_nlink == 0;
}

// Whoever removes a name holds this lock and looks again under it: unlinking after a mere look could remove somebody's
// new segment. Waiting for it is bounded, since a stopped process may hold it.
class NamesLock {
 public:
  explicit NamesLock(Deadline patience) : fd_(open_names_lock()) {
    while (!try_lock()) {
      if (!fd_ || (errno != EWOULDBLOCK && errno != EINTR) || patience.expired()) return;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    held_ = true;
    WARREN_CRASH_POINT(names_locked);  // the kernel drops the lock
  }
  ~NamesLock() {
    if (held_) ::flock(fd_.get(), LOCK_UN);
  }
  NamesLock(const NamesLock&) = delete;
  NamesLock& operator=(const NamesLock&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }

 private:
  // A file that somebody removed by hand locks nobody out who comes later.
  bool try_lock() {
    while (fd_ && ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) {
      if (!was_removed(fd_.get())) return true;
      fd_ = open_names_lock();
    }
    return false;
  }

  UniqueFd fd_;
  bool held_ = false;
};

constexpr std::chrono::milliseconds kPatienceAtExit{200};

// No longer than one call may wait, whatever the caller has left.
Deadline bounded(Deadline patience) { return std::min(patience.time(), Deadline::after(kNamesPatience).time()); }

bool still_named(int fd, const std::string& name) {
  struct stat by_fd {
  }, by_name{};
  return ::fstat(fd, &by_fd) == 0 && ::lstat(path_of(name).c_str(), &by_name) == 0 && by_fd.st_ino == by_name.st_ino &&
         by_fd.st_dev == by_name.st_dev;
}

bool remove_name(const std::string& name) { return ::unlink(path_of(name).c_str()) == 0; }

// The first bytes of what may be a segment, read without mapping it.
struct Preamble {
  bool warren = false;
  bool keep_name = false;
  SegmentId id{};
};
Preamble read_preamble(int fd) {
  std::array<std::byte, sizeof(layout::SegmentHeader)> bytes{};
  const ssize_t got = retried([&] { return ::pread(fd, bytes.data(), bytes.size(), 0); });
  if (got != static_cast<ssize_t>(bytes.size())) return {};
  std::uint64_t magic = 0;
  std::uint32_t flags = 0;
  SegmentId id{};
  std::memcpy(&magic, bytes.data() + offsetof(layout::SegmentHeader, magic), sizeof magic);
  std::memcpy(&flags, bytes.data() + offsetof(layout::SegmentHeader, flags), sizeof flags);
  std::memcpy(&id, bytes.data() + offsetof(layout::SegmentHeader, id), sizeof id);
  return {.warren = magic == layout::kMagic, .keep_name = (flags & layout::SegmentHeader::kKeepName) != 0, .id = id};
}

// Of a file just opened: true when nobody held it and its name was to go with the last one. Then `fd` holds it alone.
bool left_behind(int fd) {
  const Preamble preamble = read_preamble(fd);
  return preamble.warren && !preamble.keep_name && ::flock(fd, LOCK_EX | LOCK_NB) == 0;
}

// Under the lock, of what is left_behind().
void reclaim(int fd, const std::string& name) {
  WARREN_CRASH_POINT(stale_name_found);  // stale as before
  if (still_named(fd, name)) remove_name(name);
  WARREN_CRASH_POINT(stale_name_removed);  // removed
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

absl::Status removals_locked(const std::string& name) {
  return absl::UnavailableError(absl::StrCat("the name '", name,
                                             "' cannot be removed: another process, stopped perhaps, ",
                                             "holds the lock of removals; try again"));
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
  const std::string text = absl::StrCat(what, ": ", std::generic_category().message(error));
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

absl::Status set_size(int fd, std::size_t size) {
  if (absl::Status status = check_file_limit("a segment", size); !status.ok()) return status;
  if (::ftruncate(fd, static_cast<off_t>(size)) == 0) return absl::OkStatus();
  return errno_status(errno, absl::StrCat("cannot size shared memory to ", size, " bytes"));
}

}  // namespace

absl::Status check_file_limit(const char* what, std::size_t size) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur)
    return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(what, " of ", size, " bytes is more than ulimit -f allows: ", limit.rlim_cur, " bytes"));
}

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

absl::Status publish(int fd, const std::string& name, Deadline patience) {
  const std::string from = path_of(fd);
  const std::string to = path_of(name);
  const auto link = [&] { return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0; };
  if (link()) {
    WARREN_CRASH_POINT(name_published);  // a name that nobody holds: the next open or create removes it
    return absl::OkStatus();
  }
  if (errno == EEXIST) {
    const NamesLock lock(bounded(patience));
    const absl::StatusOr<UniqueFd> old = open_path(name, /*read_only=*/false);
    const bool stale = old.ok() && left_behind(old->get());
    if (stale && !lock.held()) return removals_locked(name);
    if (stale) reclaim(old->get(), name);
    if ((stale || absl::IsNotFound(old.status())) && link()) return absl::OkStatus();
    if (!stale || errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("the name '", name, "' is taken (", to,
                                                   "): open() it, use open_or_create(), or unlink() it first"));
    }
  }
  return errno_status(errno, absl::StrCat("cannot give a segment the name '", name, "'"));
}

absl::StatusOr<OpenedFile> open_named(const std::string& name, bool read_only, Deadline patience) {
  const NamesLock lock(bounded(patience));
  absl::StatusOr<UniqueFd> fd = open_path(name, read_only);
  if (!fd.ok()) return fd.status();
  OpenedFile file;
  if (absl::Status status = check_file(fd->get(), name, file.size); !status.ok()) return status;
  if (!read_preamble(fd->get()).warren) {  // by pread: touching a hole through a mapping would allocate it
    return absl::FailedPreconditionError(absl::StrCat("'", name, "' is not a Warren segment"));
  }
  if (left_behind(fd->get())) {
    if (lock.held()) reclaim(fd->get(), name);
    return absl::NotFoundError(
        absl::StrCat("the segment '", name, "' was left behind by processes that died; ",
                     lock.held() ? "it has been removed" : "the next open or create removes it"));
  }
  // Without the names' lock it may have been removed since it was opened.
  if (::flock(fd->get(), LOCK_SH | LOCK_NB) != 0 || (!lock.held() && !still_named(fd->get(), name))) {
    return absl::UnavailableError(absl::StrCat("the segment '", name, "' is being removed; try again"));
  }
  file.fd = std::move(*fd);
  return file;
}

// What the link says, and then what O_PATH finds there, is looked at before it is opened: to open a device or a
// terminal may do something, and the peer may put another file there meanwhile.
absl::StatusOr<OpenedPeerFile> open_of_peer(pid_t pid, int number, const SegmentId& id) {
  const std::string path = absl::StrCat("/proc/", pid, "/fd/", number);
  const std::string in_directory = path_of("");
  std::array<char, 512> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size() - 1);
  if (length < 0 && (errno == EACCES || errno == EPERM)) {
    return absl::PermissionDeniedError(
        absl::StrCat("process ", pid,
                     ", which sent a handle, does not let this one look "
                     "at its descriptors: another user's, or not dumpable. Remedy: a name"));
  }
  const std::string_view link(target.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  const absl::Status let_go = absl::UnavailableError(absl::StrCat(
      "process ", pid, ", which sent a handle, has let go of it: a sender keeps one until it has arrived"));
  if (!link.starts_with("/memfd:warren:") && !link.starts_with(in_directory)) return let_go;
  const UniqueFd place(retried([&] { return ::open(path.c_str(), O_PATH | O_CLOEXEC); }));
  if (!place) return errno == ENOENT ? let_go : errno_status(errno, absl::StrCat("cannot open ", path));
  struct stat st {};
  if (::fstat(place.get(), &st) != 0 || !S_ISREG(st.st_mode)) return let_go;
  UniqueFd fd(retried([&] { return ::open(path_of(place.get()).c_str(), O_RDWR | O_CLOEXEC); }));
  if (!fd) return errno_status(errno, absl::StrCat("cannot open ", path));
  if (const Preamble found = read_preamble(fd.get()); !found.warren || found.id != id) return let_go;
  std::string name;
  if (link.starts_with(in_directory)) {
    // As where it is opened by its name. One without a name is a segment whose name was removed.
    name = link.substr(in_directory.size());
    std::size_t size = 0;
    if (absl::Status status = check_file(fd.get(), name, size); !status.ok()) return status;
    // The sender holds its name, so nobody takes it for left behind.
    if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return let_go;
    if (!checked_name(name).ok() || !still_named(fd.get(), name)) name.clear();
  }
  return OpenedPeerFile{.file = {.fd = std::move(fd), .size = static_cast<std::size_t>(st.st_size)},
                        .name = std::move(name)};
}

absl::Status unlink_named(const std::string& name) {
  const NamesLock lock(Deadline::after(kNamesPatience));
  if (!lock.held()) return removals_locked(name);
  absl::StatusOr<UniqueFd> fd = open_path(name, /*read_only=*/true);
  if (!fd.ok()) return fd.status();
  std::size_t size = 0;
  if (absl::Status status = check_file(fd->get(), name, size); !status.ok()) return status;
  if (!read_preamble(fd->get()).warren) {
    return absl::FailedPreconditionError(absl::StrCat("'", name, "' is not a Warren segment; it is left alone"));
  }
  if (!still_named(fd->get(), name) || !remove_name(name)) {
    return absl::NotFoundError(absl::StrCat("no segment is named '", name, "'"));
  }
  return absl::OkStatus();
}

void remove_if_last(int fd, const std::string& name) noexcept {
  const NamesLock lock(Deadline::after(kPatienceAtExit));
  if (!lock.held() || ::flock(fd, LOCK_EX | LOCK_NB) != 0) return;
  WARREN_CRASH_POINT(last_to_leave);  // a name that nobody holds, likewise
  if (still_named(fd, name)) remove_name(name);
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
