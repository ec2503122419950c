// The file behind a segment: a memfd, or an unnamed file in /dev/shm that gets its name when it is complete.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>
#include <warren/ipc/detail/handle_value.h>
#include <warren/ipc/time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace warren::detail {

inline constexpr std::chrono::milliseconds kNamesPatience{2000};

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// "/jobs" and "jobs" are "jobs"; InvalidArgument for what cannot be a name.
absl::StatusOr<std::string> checked_name(std::string_view name);

absl::StatusOr<UniqueFd> make_memfd(const std::string& label, std::size_t size);
absl::Status seal(int fd);
// A file without a name, which a death before publish() leaves nothing of. Held by this process.
absl::StatusOr<UniqueFd> make_unnamed(std::size_t size);
// Gives it its name, exclusively: AlreadyExists. A name that only the dead hold is reclaimed first.
// Unavailable where removing is locked: `patience` bounds the wait for that lock, and so does kNamesPatience.
absl::Status publish(int fd, const std::string& name, Deadline patience);

// Opens what bears the name, holds it, and checks that it is a regular file of this user with mode 0600. NotFound also
// when only the dead held it: then it is removed, if nobody else is removing for longer than the patience.
struct OpenedFile {
  UniqueFd fd;
  std::size_t size = 0;
};
absl::StatusOr<OpenedFile> open_named(const std::string& name, bool read_only, Deadline patience);
// Opens and holds what descriptor `number` of process `pid` is, if that is a memfd or a file in /dev/shm that holds the
// segment `id`: else Unavailable, it is another file's by now. `name` is set where the file has one.
struct OpenedPeerFile {
  OpenedFile file;
  std::string name;
};
absl::StatusOr<OpenedPeerFile> open_of_peer(pid_t pid, int number, const SegmentId& id);
absl::Status unlink_named(const std::string& name);
// Removes the name if nobody but `fd` holds it and it still is this file. `fd` need not hold it any longer.
void remove_if_last(int fd, const std::string& name) noexcept;
// Another open file description of the same file, holding it too; invalid where that fails.
UniqueFd hold_again(int fd) noexcept;

// Backs [offset, offset + length) with memory, in steps of at most 16 MiB. ResourceExhausted when there is none.
absl::Status commit_range(int fd, std::size_t offset, std::size_t length);
void discard_range(int fd, std::size_t offset, std::size_t length) noexcept;

// Like absl::ErrnoToStatus with the codes that Warren documents.
absl::Status errno_status(int error, const std::string& what);

}  // namespace warren::detail
