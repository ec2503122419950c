// Mutex, RecursiveMutex: std's signatures, between processes, and the death of an owner is told.
//
// A mutex belongs to the thread that locked it. If that thread ends while it holds the mutex, by SIGKILL or in any
// other way, the next locker gets it: at once where the death is known, else when those who sleep for it notice that
// (within 32 ms for each 80 attached threads, or twice that) or somebody has tried in vain for half a millisecond. What
// the mutex guards may then be half written: owner_died() is true for every holder until one of them calls
// consistent().
//
//     std::scoped_lock guard(mutex);
//     if (mutex.owner_died()) { repair(); mutex.consistent(); }
//
// A stopped owner (SIGSTOP) is not dead. A forked child does not hold what its parent had locked. Not fair: who comes
// while it is free may pass those who wait. Algorithm, ordering and crash tables: docs/algorithms/mutex.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/mutex_core.h>
#include <warren/ipc/time.h>

#include <string_view>

namespace warren {

namespace detail {
struct EmbeddedMutex;
template <class M>
class LetGo;
}  // namespace detail

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h). Works with std::scoped_lock, std::unique_lock and std::lock.
class Mutex : public Handle {
 public:
  static absl::StatusOr<Mutex> create(const ObjectOptions& options = {});
  static absl::StatusOr<Mutex> create(std::string_view name, const ObjectOptions& options = {});
  static absl::StatusOr<Mutex> open(std::string_view name);
  static absl::StatusOr<Mutex> open_or_create(std::string_view name, const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Blocks; in a process that got no lane (65,535 are taken, or memory ended) until one is free. Locked by this thread
  // already, also through a handle that was opened for itself, or a peer wrote that into the mutex: throws
  // std::system_error (resource_deadlock_would_occur), as std::mutex may.
  void lock();
  // False: another one has it, or this thread already.
  [[nodiscard]] bool try_lock() noexcept { return core_.try_take() == Take::kTaken; }
  [[nodiscard]] bool try_lock_for(Timeout d) noexcept { return try_lock_until(Deadline::after(d)); }
  [[nodiscard]] bool try_lock_until(Deadline t) noexcept { return core_.take_until(t) == Take::kTaken; }
  bool unlock() noexcept { return core_.unlock(); }  // false: not the owner; nothing changed

  // By the holder.
  [[nodiscard]] bool owner_died() const noexcept { return core_.inconsistent(); }
  absl::Status owner_death() const { return core_.owner_death(); }  // OK, or Aborted: which thread, when
  bool consistent() noexcept { return core_.make_consistent(); }    // repaired. False: there was nothing to say

 private:
  friend class detail::Factory;
  friend struct detail::EmbeddedMutex;
  friend class detail::LetGo<Mutex>;
  using Take = detail::MutexCore::Take;
  Mutex(detail::Attachment::Pointer attachment, layout::Mutex& words) noexcept
      : Handle(std::move(attachment)), core_(*attachment_, words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const ObjectOptions& options);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kMutex, .element = {}}; }
  static absl::StatusOr<Mutex> attach(detail::Attachment::Pointer attachment);
  void take_back() noexcept { core_.take_back(); }

  detail::MutexCore core_;
};

// A Mutex that lies inside another object, in whose wait words its own must be.
struct detail::EmbeddedMutex {
  static Mutex at(detail::Attachment::Pointer attachment, layout::Mutex& words) noexcept {
    return {std::move(attachment), words};
  }
};

// As Mutex, and its owner may lock it again, by the handle that it locked it with or a copy: it is free after as many
// unlocks. Locked 2^32 - 1 times over it stays so until its owner ends.
class RecursiveMutex : public Handle {
 public:
  static absl::StatusOr<RecursiveMutex> create(const ObjectOptions& options = {});
  static absl::StatusOr<RecursiveMutex> create(std::string_view name, const ObjectOptions& options = {});
  static absl::StatusOr<RecursiveMutex> open(std::string_view name);
  static absl::StatusOr<RecursiveMutex> open_or_create(std::string_view name, const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  void lock();  // throws as Mutex's, where another handle of this thread has it
  [[nodiscard]] bool try_lock() noexcept { return entered(core_.try_take()); }
  [[nodiscard]] bool try_lock_for(Timeout d) noexcept { return try_lock_until(Deadline::after(d)); }
  [[nodiscard]] bool try_lock_until(Deadline t) noexcept { return entered(core_.take_until(t)); }
  bool unlock() noexcept;

  [[nodiscard]] bool owner_died() const noexcept { return core_.inconsistent(); }
  absl::Status owner_death() const { return core_.owner_death(); }
  bool consistent() noexcept { return core_.make_consistent(); }

 private:
  friend class detail::Factory;
  RecursiveMutex(detail::Attachment::Pointer attachment, layout::Mutex& words) noexcept
      : Handle(std::move(attachment)), core_(*attachment_, words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const ObjectOptions& options);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kRecursiveMutex, .element = {}};
  }
  static absl::StatusOr<RecursiveMutex> attach(detail::Attachment::Pointer attachment);
  bool entered(detail::MutexCore::Take take) noexcept;
  friend class detail::LetGo<RecursiveMutex>;
  bool let_go(std::uint32_t& depth) noexcept;  // unlocks it wholly; false: not the owner
  void take_back(std::uint32_t depth) noexcept;

  detail::MutexCore core_;
};

}  // namespace warren
