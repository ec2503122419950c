#include <warren/ipc/detail/attachment.h>

#include <absl/strings/str_cat.h>
#include <cxxabi.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/segment.h>

#include <algorithm>
#include <boost/interprocess/mapped_region.hpp>
#include <cstring>
#include <memory>

#include "attachment_list.h"
#include "backing_file.h"
#include "to_page.h"

namespace warren::detail {
namespace {

namespace bip = boost::interprocess;

// What Boost maps.
struct Mappable {
  int fd;
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
};

void copy_text(const std::string& from, char* to, std::size_t size) {
  std::memset(to, 0, size);
  std::memcpy(to, from.data(), std::min(from.size(), size - 1));
}

void write_header(layout::SegmentHeader& header, const std::string& name, const SegmentPlan& plan, std::size_t max_size,
                  bool keep_name) {
  const ProcessIdentity& self = this_process();
  header.abi_version = layout::kAbiVersion;
  header.kind = plan.kind;
  if (::getrandom(header.id, sizeof header.id, 0) != sizeof header.id) header.id[0] = realtime_ns();
  header.size.store(plan.size, std::memory_order_relaxed);
  header.max_size = max_size;
  header.wait_mode = join_membarrier() ? layout::WaitMode::kMembarrier : layout::WaitMode::kFenced;
  header.flags = keep_name ? layout::SegmentHeader::kKeepName : 0;
  header.created_ns = realtime_ns();
  header.creator_pid = static_cast<std::uint32_t>(self.pid);
  header.creator_uid = ::geteuid();
  header.creator_start_time = self.start_time;
  header.pid_namespace = self.pid_namespace;
  header.time_namespace = self.time_namespace;
  header.element_size = plan.element.size;
  header.element_align = plan.element.align;
  header.element_hash = plan.element.hash;
  std::ranges::copy(plan.wait_words, header.wait_words);
  copy_text(plan.element.readable(), header.element_name, sizeof header.element_name);
  copy_text(name, header.name, sizeof header.name);
  header.magic = layout::kMagic;
}

absl::Status wrong_type(const std::string& name, const layout::SegmentHeader& found,
                        const SegmentExpectation& expected) {
  const auto describe = [](layout::ObjectKind kind, const std::string& element, std::uint64_t size) {
    const char* const what = layout::kind_name(kind);
    const std::string noun = absl::StrCat(std::strchr("aeiou", *what) != nullptr ? "an " : "a ", what);
    if (element.empty()) return noun;
    const std::string bytes = size != 0 ? absl::StrCat(" (", size, " bytes)") : std::string();  // 0: it is encoded
    return absl::StrCat(noun, " of ", element, bytes);
  };
  const std::string element(found.element_name, ::strnlen(found.element_name, sizeof found.element_name));
  return absl::FailedPreconditionError(
      absl::StrCat("'", name, "' is ", describe(found.kind, element, found.element_size), ", not ",
                   describe(expected.kind, expected.element.readable(), expected.element.size)));
}

}  // namespace

struct Attachment::Mapping {
  bip::mapped_region region;
};

std::string ElementType::readable() const {
  if (mangled == nullptr) return {};
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  std::string text = status == 0 ? std::string(name.get()) : std::string(mangled);
  constexpr std::string_view kLong = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
  for (std::size_t at = 0; (at = text.find(kLong, at)) != std::string::npos;)
    text.replace(at, kLong.size(), "std::string");
  return text;
}

Attachment::Attachment() : serial_(next_serial()) { AttachmentList::instance().add(*this); }

Attachment::~Attachment() {
  readiness_.end();
  leave();
  AttachmentList::instance().remove(*this);
  leave_name();
  if (fd_ >= 0) ::close(fd_);
}

void Attachment::leave_name() noexcept {
  if (name_.empty() || keep_name_ || name_epoch_ != process_epoch()) return;
  remove_if_last(fd_, name_);
  name_epoch_ = 0;  // the attempt has given up the hold
}

void Attachment::leave_all_names() noexcept { AttachmentList::instance().leave_names(); }

void Attachment::leave_all_lanes_if_alone(std::uint64_t own_threads) noexcept {
  const StatResult self = read_process_stat(::getpid());
  if (self.stat && self.stat->threads <= own_threads + mirrors()) AttachmentList::instance().leave_lanes();
}

std::vector<int> Attachment::all_descriptors() { return AttachmentList::instance().descriptors(); }
std::uint64_t Attachment::mirrors() noexcept { return AttachmentList::instance().mirrors(); }

void Attachment::be_found_by(const SegmentId& id) {
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  id_ = id;
}

void Attachment::bear_name(const std::string& name) {
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  name_ = name;
  name_epoch_ = process_epoch();
}

std::shared_ptr<void> Attachment::state(std::shared_ptr<void> (*first)()) {
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  if (!state_) state_ = first();
  return state_;
}

absl::Status Attachment::map(int fd, std::size_t file_size, bool read_only) {
  fd_ = fd;
  read_only_ = read_only;
  try {
    mapping_ = std::make_unique<Mapping>(
        Mapping{bip::mapped_region(Mappable{fd}, read_only ? bip::read_only : bip::read_write, 0, file_size)});
  } catch (const bip::interprocess_exception& e) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot map ", file_size, " bytes of shared memory: ", e.what(),
                                                     "; is the address space limited (ulimit -v)?"));
  }
  object_ = static_cast<std::byte*>(mapping_->region.get_address()) + layout::kObjectOffset;
  return absl::OkStatus();
}

layout::SegmentHeader& Attachment::header() const noexcept {
  return *reinterpret_cast<layout::SegmentHeader*>(object_ - layout::kObjectOffset);
}

absl::StatusOr<Attachment::Pointer> Attachment::create(std::string_view name, const SegmentPlan& plan,
                                                       const SegmentOptions& options) {
  if (name.empty()) return make({}, plan, options, Deadline::never());
  absl::StatusOr<std::string> checked = checked_name(name);
  return checked.ok() ? make(*checked, plan, options, Deadline::never()) : checked.status();
}

absl::StatusOr<Attachment::Pointer> Attachment::make(const std::string& name, const SegmentPlan& plan,
                                                     const SegmentOptions& options, Deadline patience) {
  constexpr std::size_t kMaxSize = std::size_t{1} << 46;
  if (plan.size == 0) return absl::InvalidArgumentError("a segment of 0 bytes: ask for at least one");
  const std::size_t max_size = std::max({plan.size, plan.max_size, options.max_size});
  if (max_size > kMaxSize) {
    return absl::InvalidArgumentError(absl::StrCat(max_size, " bytes do not fit into the address space"));
  }
  const std::size_t file_size = layout::kObjectOffset + to_page(max_size);
  absl::StatusOr<UniqueFd> fd = name.empty()
                                    ? make_memfd(absl::StrCat("warren:", layout::kind_name(plan.kind)), file_size)
                                    : make_unnamed(file_size);
  if (!fd.ok()) return fd.status();
  const int descriptor = fd->get();
  if (absl::Status status = commit_range(descriptor, 0, layout::kLanesOffset + layout::kPage); !status.ok())
    return status;
  if (absl::Status status = commit_range(descriptor, layout::kObjectOffset, plan.size); !status.ok()) return status;
  if (name.empty() && options.seal) {
    if (absl::Status status = seal(descriptor); !status.ok()) return status;
  }

  const Pointer attachment(new Attachment);
  if (absl::Status status = attachment->map(fd->release(), file_size, false); !status.ok()) return status;
  if (options.huge_pages) ::madvise(attachment->object_, to_page(max_size), MADV_HUGEPAGE);
  layout::SegmentHeader& header = attachment->header();
  header.lanes_committed.store(layout::kLanesPerPage, std::memory_order_relaxed);
  if (plan.initialise) plan.initialise({attachment->object_, plan.size});
  const bool keep_name = options.lifetime == Lifetime::kUntilUnlinked;
  write_header(header, name, plan, max_size, keep_name);
  WARREN_CRASH_POINT(segment_written);  // nobody has heard of it: the kernel frees the file
  const absl::StatusOr<SegmentId> id = attachment->adopt({plan.kind, plan.element}, file_size);
  if (!id.ok()) return id.status();
  if (absl::Status status = attachment->join(); !status.ok()) return status;
  if (!name.empty()) {
    if (absl::Status status = publish(descriptor, name, patience); !status.ok()) return status;
    attachment->bear_name(name);
    attachment->keep_name_ = keep_name;
  }
  attachment->be_found_by(*id);
  return attachment;
}

absl::StatusOr<Attachment::Pointer> Attachment::open(std::string_view name, const SegmentExpectation& expected,
                                                     bool read_only) {
  absl::StatusOr<std::string> checked = checked_name(name);
  if (!checked.ok()) return checked.status();
  return open_checked(*checked, expected, read_only, Deadline::never());
}

absl::StatusOr<Attachment::Pointer> Attachment::open_checked(const std::string& name,
                                                             const SegmentExpectation& expected, bool read_only,
                                                             Deadline patience) {
  absl::StatusOr<OpenedFile> file = open_named(name, read_only, patience);
  if (!file.ok()) return file.status();
  if (file->size <= layout::kObjectOffset) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", name, "' is not a Warren segment, or is truncated: it has ", file->size, " bytes"));
  }
  return attach(*std::move(file), name, expected, read_only);
}

// `name` is empty where the file has none.
absl::StatusOr<Attachment::Pointer> Attachment::attach(OpenedFile file, const std::string& name,
                                                       const SegmentExpectation& expected, bool read_only) {
  const Pointer attachment(new Attachment);
  if (absl::Status status = attachment->map(file.fd.release(), file.size, read_only); !status.ok()) return status;
  if (!name.empty()) attachment->bear_name(name);
  attachment->keep_name_ = true;  // until the header is known to be one: nothing that is not ours is removed
  const absl::StatusOr<SegmentId> id = attachment->adopt(expected, file.size);
  if (!id.ok()) return id.status();
  if (!read_only) {
    if (absl::Status status = attachment->join(); !status.ok()) return status;
  }
  attachment->be_found_by(*id);
  return attachment;
}

absl::StatusOr<Attachment::Pointer> Attachment::open_or_create(std::string_view name, const SegmentPlan& plan,
                                                               const SegmentOptions& options) {
  constexpr int kAttempts = 64;
  absl::StatusOr<std::string> checked = checked_name(name);
  if (!checked.ok()) return checked.status();
  const Deadline patience =
      Deadline::after(2 * kNamesPatience);  // of all attempts: somebody may stand in each one's way
  absl::Status status;
  for (int attempt = 0; attempt < kAttempts && (attempt == 0 || !patience.expired()); ++attempt) {
    absl::StatusOr<Pointer> opened = open_checked(*checked, {plan.kind, plan.element}, /*read_only=*/false, patience);
    if (opened.ok() || !(absl::IsNotFound(opened.status()) || absl::IsUnavailable(opened.status()))) return opened;
    absl::StatusOr<Pointer> created = make(*checked, plan, options, patience);
    if (created.ok() || !(absl::IsAlreadyExists(created.status()) || absl::IsUnavailable(created.status())))
      return created;
    status = created.status();
  }
  return absl::UnavailableError(
      absl::StrCat("'", *checked, "' could neither be opened nor made: ", std::string(status.message())));
}

absl::Status Attachment::unlink(std::string_view name) {
  absl::StatusOr<std::string> checked = checked_name(name);
  return checked.ok() ? unlink_named(*checked) : checked.status();
}

// Copies the header, checks the copy, and keeps what it says, but for the id, which it returns. From here on a peer may
// write what it likes there.
absl::StatusOr<SegmentId> Attachment::adopt(const SegmentExpectation& expected, std::size_t file_size) {
  alignas(layout::SegmentHeader) std::array<std::byte, sizeof(layout::SegmentHeader)> bytes{};
  std::memcpy(bytes.data(), &header(), bytes.size());
  const auto& copy = *reinterpret_cast<const layout::SegmentHeader*>(bytes.data());
  const auto corrupt = [&](const char* what) {
    return absl::DataLossError(absl::StrCat("the header of '", name_, "' is corrupt: ", what));
  };
  if (copy.magic != layout::kMagic) {
    return absl::FailedPreconditionError(absl::StrCat("'", name_, "' is not a Warren segment"));
  }
  if (copy.abi_version != layout::kAbiVersion) {
    return absl::FailedPreconditionError(absl::StrCat("'", name_, "' has layout version ", copy.abi_version,
                                                      ", and this program has ", layout::kAbiVersion,
                                                      ": build both with the same Warren"));
  }
  if (const std::uint32_t unknown = copy.flags & ~layout::SegmentHeader::kKnownFlags; unknown != 0) {
    return absl::FailedPreconditionError(absl::StrCat("'", name_, "' has flags that this program does not know (0x",
                                                      absl::Hex(unknown), "): build both with the same Warren"));
  }
  if (copy.kind != expected.kind) return wrong_type(name_, copy, expected);
  if (copy.element_size != expected.element.size || copy.element_align != expected.element.align ||
      copy.element_hash != expected.element.hash) {
    return wrong_type(name_, copy, expected);
  }
  const std::uint64_t size = copy.size.load(std::memory_order_relaxed);
  if (copy.max_size == 0 || copy.max_size > file_size - layout::kObjectOffset)
    return corrupt("it is larger than its file");
  if (size == 0 || size > copy.max_size) return corrupt("its size");
  if (copy.wait_mode != layout::WaitMode::kMembarrier && copy.wait_mode != layout::WaitMode::kFenced) {
    return corrupt("its wait mode");
  }
  for (const std::uint32_t offset : copy.wait_words) {
    if (offset == 0) continue;  // none
    if (offset % sizeof(std::uint32_t) != 0 || offset + sizeof(std::uint32_t) > size) return corrupt("its wait words");
  }
  max_size_ = copy.max_size;
  kind_ = copy.kind;
  element_hash_ = copy.element_hash;
  wait_mode_ = copy.wait_mode;
  creator_pid_namespace_ = copy.pid_namespace;
  creator_time_namespace_ = copy.time_namespace;
  std::ranges::copy(copy.wait_words, wait_words_.begin());
  keep_name_ = (copy.flags & layout::SegmentHeader::kKeepName) != 0;
  return SegmentId{copy.id[0], copy.id[1]};
}

absl::Status Attachment::join() {
  if (wait_mode_ == layout::WaitMode::kMembarrier && !join_membarrier()) {
    return absl::FailedPreconditionError(
        "this segment's processes order their waits by membarrier, which the kernel refuses to this one");
  }
  if (!this_process().known()) {
    return absl::ResourceExhaustedError(
        "cannot find this process in /proc, so others could not tell whether it lives: are descriptors left, and is "
        "/proc mounted, for its own pid namespace (unshare --mount-proc)?");
  }
  const std::scoped_lock lock(AttachmentList::instance().mutex());
  seat_this_process();
  return absl::OkStatus();
}

std::size_t Attachment::size() const noexcept {
  return std::min<std::size_t>(header().size.load(std::memory_order_acquire), max_size_);  // [G2] pairs with G1
}

absl::Status Attachment::grow(std::size_t size) {
  if (read_only_) return absl::FailedPreconditionError("the segment is mapped read-only");
  if (size > max_size_) {
    return absl::OutOfRangeError(absl::StrCat("cannot grow to ", size, " bytes: ", max_size_,
                                              " are reserved; say more with SegmentOptions::max_size"));
  }
  std::uint64_t old = this->size();
  if (size <= old) return absl::OkStatus();
  if (absl::Status status = commit(old, size - old); !status.ok()) return status;
  WARREN_CRASH_POINT(grow_committed);  // memory without a size that says so: the next grow() commits it again
  std::atomic<std::uint64_t>& word = header().size;
  old = word.load(std::memory_order_relaxed);
  while (old < size && !word.compare_exchange_weak(old, size, std::memory_order_release)) {  // [G1] pairs with G2
  }
  return absl::OkStatus();
}

absl::Status Attachment::commit(std::size_t offset, std::size_t length) {
  return commit_range(fd_, layout::kObjectOffset + offset, length);
}

void Attachment::discard(std::size_t offset, std::size_t length) noexcept {
  discard_range(fd_, layout::kObjectOffset + offset, length);
}

}  // namespace warren::detail
