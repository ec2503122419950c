// Segment: a mapped piece of shared memory that describes itself. Everything else lies in one.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/handle.h>
#include <warren/ipc/segment_options.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace warren {

// Names: [A-Za-z0-9._-], 1 to 200 characters, not starting with a dot; "/name" is the same as "name". They live in
// /dev/shm, mode 0600: a name is for the processes of one user. Memory is committed when it is promised, so a full
// /dev/shm is an error here and never a SIGBUS later. Errors: InvalidArgument (name, size), AlreadyExists (name taken),
// NotFound (also: everyone who had it died), FailedPrecondition (not a Warren segment, another ABI version, another
// type), PermissionDenied (another owner or mode), DataLoss (corrupt header), ResourceExhausted (memory, descriptors,
// address space; /proc that does not show this process), Unavailable (the name is being removed, or another process of
// this user was stopped while it removed one: after 2 s, open_or_create after 4; docs/failure_model.md).
//
// What an object holds is known by the type's name (mangled, so with its namespaces and template arguments), its size
// and its alignment, not by its fields. Programs that are not built together change the object's name when they change
// the type: "orders.v2".
//
// A named segment cannot be sealed: whoever may open it for writing may also truncate it, and a reader then dies of
// SIGBUS. Share names with peers that you trust, memfds by fork with others.
class Segment : public Handle {
 public:
  // Anonymous, a memfd: reached by fork. The memory reads as zeros.
  static absl::StatusOr<Segment> create(std::size_t size, const SegmentOptions& options = {});
  static absl::StatusOr<Segment> create(std::string_view name, std::size_t size, const SegmentOptions& options = {});
  static absl::StatusOr<Segment> open(std::string_view name);
  static absl::StatusOr<Segment> open_or_create(std::string_view name, std::size_t size,
                                                const SegmentOptions& options = {});
  // Maps without the right to write: bytes() of a non-const handle is empty, that of a const one shows the memory.
  static absl::StatusOr<Segment> open_read_only(std::string_view name);
  // Removes the name. Who is attached keeps the memory.
  static absl::Status unlink(std::string_view name);

  std::span<std::byte> bytes() noexcept;
  std::span<const std::byte> bytes() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  // exact: only growth changes it
  // Never shrinks. Earlier spans stay valid; every attached process sees the new size.
  absl::Status grow(std::size_t new_size);
  [[nodiscard]] std::string_view name() const noexcept;  // empty: anonymous
  [[nodiscard]] bool read_only() const noexcept;

 private:
  friend class detail::Factory;
  using Handle::Handle;
  static detail::SegmentExpectation expectation() noexcept;
  static absl::StatusOr<Segment> attach(std::shared_ptr<detail::Attachment> attachment) noexcept;
};

}  // namespace warren
