// SharedMutex: many readers or one writer, with std::shared_mutex's and std::shared_timed_mutex's signatures.
//
// Readers share it, and each notes itself on a cache line of its own: reading scales. A writer comes first: as soon as
// one has claimed the mutex, new readers wait until it has been in and out, so that writers do not starve; writers that
// follow each other without a pause can starve readers. At most 1,024 threads read at once, others wait meanwhile.
//
// If a reader dies, its place is freed: it can have damaged nothing. If a writer dies, the mutex goes on, and what it
// guards may be half written: owner_died() is true for all who hold it, readers too, until a writer calls consistent().
// A death is found at once where it is known, else by those who sleep for the mutex (within 32 ms for each 80 attached
// threads, or twice that) or by somebody who has tried in vain for half a millisecond.
//
//     { std::shared_lock guard(mutex); if (!mutex.owner_died()) look(); }
//     { std::scoped_lock guard(mutex); if (mutex.owner_died()) { repair(); mutex.consistent(); } change(); }
//
// A stopped holder (SIGSTOP) is not dead. A forked child does not hold what its parent had locked. A reader cannot
// become a writer without unlocking first. Algorithm, ordering and crash tables: docs/algorithms/shared_mutex.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/mutex_core.h>
#include <warren/ipc/time.h>
#include <warren/layout/shared_mutex.h>

#include <string_view>

namespace warren {

namespace detail {
template <class M>
class LetGo;
}

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h). Works with std::scoped_lock, std::unique_lock, std::shared_lock and std::lock.
class SharedMutex : public Handle {
 public:
  static absl::StatusOr<SharedMutex> create(const ObjectOptions& options = {});
  static absl::StatusOr<SharedMutex> create(std::string_view name, const ObjectOptions& options = {});
  static absl::StatusOr<SharedMutex> open(std::string_view name);
  static absl::StatusOr<SharedMutex> open_or_create(std::string_view name, const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Block. This thread has it already, shared or not, or a peer wrote that into the mutex: they throw std::system_error
  // (resource_deadlock_would_occur), as std::shared_mutex may.
  void lock();
  void lock_shared();
  // False: others have it, or this thread already; the try_ forms without a time also while somebody is just trying.
  [[nodiscard]] bool try_lock() noexcept;
  [[nodiscard]] bool try_lock_for(Timeout d) noexcept { return try_lock_until(Deadline::after(d)); }
  [[nodiscard]] bool try_lock_until(Deadline t) noexcept { return take_until(t) == Take::kTaken; }
  [[nodiscard]] bool try_lock_shared() noexcept { return try_take_shared() == Take::kTaken; }
  [[nodiscard]] bool try_lock_shared_for(Timeout d) noexcept { return try_lock_shared_until(Deadline::after(d)); }
  [[nodiscard]] bool try_lock_shared_until(Deadline t) noexcept { return take_shared_until(t) == Take::kTaken; }
  bool unlock() noexcept;         // false: this thread is not the writer; nothing changed
  bool unlock_shared() noexcept;  // false: this thread is no reader; nothing changed

  // By a holder.
  [[nodiscard]] bool owner_died() const noexcept { return core_.inconsistent(); }
  absl::Status owner_death() const { return core_.owner_death(); }  // OK, or Aborted: which thread, when
  bool consistent() noexcept { return core_.make_consistent(); }    // by the writer: repaired. False: nothing to say

 private:
  friend class detail::Factory;
  friend class detail::LetGo<SharedMutex>;
  enum class Take { kTaken, kHeld, kFull, kMine };
  SharedMutex(detail::Attachment::Pointer attachment, layout::SharedMutex& words) noexcept
      : Handle(std::move(attachment)), words_(&words), core_(*attachment_, words.writer) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const ObjectOptions& options);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kSharedMutex, .element = {}}; }
  static absl::StatusOr<SharedMutex> attach(detail::Attachment::Pointer attachment);

  void take_back() noexcept;  // by a thread that has just let go of it
  [[nodiscard]] Take take_until(Deadline deadline) noexcept;
  [[nodiscard]] Take await_readers(Deadline deadline) noexcept;
  [[nodiscard]] bool readers_are_in() noexcept;
  [[nodiscard]] Take try_take_shared() noexcept;
  [[nodiscard]] Take take_shared_until(Deadline deadline) noexcept;
  [[nodiscard]] bool i_read(const detail::Seat& seat) const noexcept;
  [[nodiscard]] std::uint32_t claim_cell(const detail::Seat& seat) noexcept;
  [[nodiscard]] std::uint32_t cells_high() const noexcept;
  void leave_cell(std::uint32_t index) noexcept;

  layout::SharedMutex* words_;
  detail::MutexCore core_;  // of the writers
};

}  // namespace warren
