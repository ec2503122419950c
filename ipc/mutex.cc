#include <warren/ipc/mutex.h>

#include <warren/ipc/detail/lock_error.h>

#include <limits>

#include "object_words.h"

namespace warren {
namespace {

using Take = detail::MutexCore::Take;

// Waits for others, and never for this thread itself.
Take take(detail::MutexCore& core) {
  if (const Take taken = core.try_take(); taken != Take::kHeld) return taken;
  if (core.held_by_me_elsewhere()) {
    detail::throw_would_deadlock(
        "this thread has locked this mutex already, through a handle that was opened for itself; open it once, and "
        "copy the handle");
  }
  return core.take_until(Deadline::never());
}

detail::SegmentPlan plan_of(layout::ObjectKind kind) {
  return {.kind = kind, .size = sizeof(layout::Mutex), .wait_words = {offsetof(layout::Mutex, waiters)}};
}

}  // namespace

// --- Mutex -----------------------------------------------------------------------------------------------------------

absl::StatusOr<Mutex> Mutex::create(const ObjectOptions& options) { return detail::Factory::create<Mutex>(options); }
absl::StatusOr<Mutex> Mutex::create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::create<Mutex>(name, options);
}
absl::StatusOr<Mutex> Mutex::open(std::string_view name) { return detail::Factory::open<Mutex>(name); }
absl::StatusOr<Mutex> Mutex::open_or_create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::open_or_create<Mutex>(name, options);
}

absl::StatusOr<detail::SegmentPlan> Mutex::plan(const ObjectOptions&) { return plan_of(layout::ObjectKind::kMutex); }

absl::StatusOr<Mutex> Mutex::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Mutex*> words = detail::words_in<layout::Mutex>(*attachment, "mutex");
  if (!words.ok()) return words.status();
  return Mutex(std::move(attachment), **words);
}

void Mutex::lock() {
  if (take(core_) == Take::kTaken) return;
  detail::throw_would_deadlock(
      "this thread has locked this Mutex already, or a process that shares it wrote so; a RecursiveMutex may be locked "
      "again");
}

// --- RecursiveMutex --------------------------------------------------------------------------------------------------

absl::StatusOr<RecursiveMutex> RecursiveMutex::create(const ObjectOptions& options) {
  return detail::Factory::create<RecursiveMutex>(options);
}
absl::StatusOr<RecursiveMutex> RecursiveMutex::create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::create<RecursiveMutex>(name, options);
}
absl::StatusOr<RecursiveMutex> RecursiveMutex::open(std::string_view name) {
  return detail::Factory::open<RecursiveMutex>(name);
}
absl::StatusOr<RecursiveMutex> RecursiveMutex::open_or_create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::open_or_create<RecursiveMutex>(name, options);
}

absl::StatusOr<detail::SegmentPlan> RecursiveMutex::plan(const ObjectOptions&) {
  return plan_of(layout::ObjectKind::kRecursiveMutex);
}

absl::StatusOr<RecursiveMutex> RecursiveMutex::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Mutex*> words = detail::words_in<layout::Mutex>(*attachment, "mutex");
  if (!words.ok()) return words.status();
  return RecursiveMutex(std::move(attachment), **words);
}

// The depth lies in shared memory, so it may be anything: a count at its end stays there, and the mutex locked, since
// nobody knows any more how many unlocks it takes.
constexpr std::uint32_t kUncounted = std::numeric_limits<std::uint32_t>::max();

bool RecursiveMutex::entered(Take take) noexcept {
  std::uint32_t& depth = core_.depth();
  switch (take) {
    case Take::kHeld: return false;
    case Take::kTaken: depth = 1; return true;
    case Take::kMine:
      if (depth != kUncounted) ++depth;
      return true;
  }
  return false;
}

void RecursiveMutex::lock() { (void)entered(take(core_)); }

bool RecursiveMutex::let_go(std::uint32_t& depth) noexcept {
  if (!core_.held_by_me()) return false;
  depth = core_.depth();
  return core_.unlock();
}

void RecursiveMutex::take_back(std::uint32_t depth) noexcept {
  core_.take_back();
  core_.depth() = depth;
}

bool RecursiveMutex::unlock() noexcept {
  if (!core_.held_by_me()) return false;
  std::uint32_t& depth = core_.depth();
  if (depth == kUncounted || --depth != 0) return true;
  return core_.unlock();
}

}  // namespace warren
