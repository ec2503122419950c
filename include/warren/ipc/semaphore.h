// Semaphore: a number of permits that processes take and give back.
//
// Anyone may release, also a process that never acquired: a permit belongs to nobody. So a process that dies takes the
// permits that it had acquired along, and the semaphore has fewer from then on. Where they must come back, use
// BoundedSemaphore. A death inside acquire() or release() leaves the permits as they were before or after it. Whoever
// dies between releasing and waking others, or after it was woken and before it took a permit, costs those who wait
// what it takes to notice that (within 32 ms for each 80 attached threads, or twice that).
//
//     auto slots = warren::Semaphore::open_or_create("slots", 4).value();
//     warren::Permit permit(slots);
//
// What was written before release() is seen by whoever acquires that permit. Not fair: who comes while a permit is free
// may pass those who wait. Algorithm, ordering and crash tables: docs/algorithms/semaphore.md.
#pragma once
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/permit.h>
#include <warren/ipc/time.h>
#include <warren/layout/semaphore.h>

#include <algorithm>
#include <limits>
#include <string_view>

namespace warren {

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h).
class Semaphore : public Handle {
 public:
  [[nodiscard]] static constexpr std::uint32_t max() noexcept { return std::numeric_limits<std::uint32_t>::max(); }

  static absl::StatusOr<Semaphore> create(std::uint32_t permits, const ObjectOptions& options = {});
  static absl::StatusOr<Semaphore> create(std::string_view name, std::uint32_t permits,
                                          const ObjectOptions& options = {});
  static absl::StatusOr<Semaphore> open(std::string_view name);
  // Whoever comes first decides how many permits there are.
  static absl::StatusOr<Semaphore> open_or_create(std::string_view name, std::uint32_t permits,
                                                  const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Takes a permit. acquire() blocks while there is none; a signal does not end it.
  void acquire() noexcept { (void)try_acquire_until(Deadline::never()); }
  [[nodiscard]] bool try_acquire() noexcept;  // false: there was none
  [[nodiscard]] bool try_acquire_for(Timeout d) noexcept { return try_acquire_until(Deadline::after(d)); }
  [[nodiscard]] bool try_acquire_until(Deadline t) noexcept;
  // Gives n permits. False: more than max() would be free; nothing changed. Never blocks; may be called by a signal
  // handler.
  bool release(std::uint32_t n = 1) noexcept;
  // So many were free a moment ago.
  [[nodiscard]] std::uint32_t approx_value() const noexcept { return words_->permits.load(std::memory_order_relaxed); }

 private:
  friend class detail::Factory;
  struct Initial {
    std::uint32_t permits;
    Lifetime lifetime;
  };
  Semaphore(detail::Attachment::Pointer attachment, layout::Semaphore& words) noexcept
      : Handle(std::move(attachment)), words_(&words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Initial& initial);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kSemaphore, .element = {}}; }
  static absl::StatusOr<Semaphore> attach(detail::Attachment::Pointer attachment);

  layout::Semaphore* words_;
};

inline bool Semaphore::try_acquire() noexcept {
  std::uint32_t found = words_->permits.load(std::memory_order_relaxed);
  while (found != 0) {
    if (words_->permits.compare_exchange_weak(found, found - 1,
                                              std::memory_order_acquire,  // [N1] what came before; pairs with N2
                                              std::memory_order_relaxed)) {
      WARREN_CRASH_POINT(semaphore_acquired);  // the permit is gone
      return true;
    }
  }
  return false;
}

inline bool Semaphore::release(std::uint32_t n) noexcept {
  if (n == 0) return true;
  std::uint32_t found = words_->permits.load(std::memory_order_relaxed);
  do {
    if (n > max() - found) return false;
  } while (!words_->permits.compare_exchange_weak(found, found + n,
                                                  std::memory_order_release,  // [N2] what came before; pairs with N1
                                                  std::memory_order_relaxed));
  WARREN_CRASH_POINT(semaphore_released);  // nobody is woken: slices bound the wait
  constexpr std::uint32_t kMost = detail::kWakeAll;
  detail::notify(words_->waiters, attachment_->wait_mode(), static_cast<int>(std::min(n, kMost)));
  return true;
}

}  // namespace warren
