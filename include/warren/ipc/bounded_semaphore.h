// BoundedSemaphore: so many permits, each of which belongs to the process that acquired it.
//
// Any thread of that process may release it. When the process ends, by SIGKILL or in any other way, or detaches (its
// last handle goes), its permits come back: to whoever asks next where the death is known, else when those who
// sleep for one notice it (within 32 ms for each 80 attached threads, or twice that) or somebody who only tries has met
// the same holder for half a millisecond. For permits that one process acquires and another releases: Semaphore.
//
//     auto slots = warren::BoundedSemaphore::create(4).value();
//     warren::Permit permit(slots);  // released at the end of the scope
//
// A stopped process (SIGSTOP) keeps its permits. A forked child holds none of its parent's. Handles that come from two
// calls of open() in one process are two holders. Not fair: who comes while a permit is free may pass those who wait.
// Algorithm, ordering and crash tables: docs/algorithms/bounded_semaphore.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/permit.h>
#include <warren/ipc/time.h>
#include <warren/layout/bounded_semaphore.h>

#include <cstdint>
#include <string_view>

namespace warren {

// Errors of the factories are Segment's, and InvalidArgument for 0 or more than 65,536 permits. Thread-safe and
// process-safe. Handles pass to other processes by fork, by name and as values (handle.h).
class BoundedSemaphore : public Handle {
 public:
  static absl::StatusOr<BoundedSemaphore> create(std::uint32_t permits, const ObjectOptions& options = {});
  static absl::StatusOr<BoundedSemaphore> create(std::string_view name, std::uint32_t permits,
                                                 const ObjectOptions& options = {});
  static absl::StatusOr<BoundedSemaphore> open(std::string_view name);
  // One that is there keeps the number of permits that it was made with.
  static absl::StatusOr<BoundedSemaphore> open_or_create(std::string_view name, std::uint32_t permits,
                                                         const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Blocks.
  void acquire() noexcept { (void)try_acquire_until(Deadline::never()); }
  // False: at one moment during the call all permits were taken, as far as is known.
  [[nodiscard]] bool try_acquire() noexcept;
  [[nodiscard]] bool try_acquire_for(Timeout d) noexcept { return try_acquire_until(Deadline::after(d)); }
  [[nodiscard]] bool try_acquire_until(Deadline t) noexcept;
  bool release() noexcept;  // false: this process holds none; nothing changed

  [[nodiscard]] std::uint32_t permits() const noexcept { return permits_; }  // as it was created
  [[nodiscard]] std::uint32_t approx_value() const noexcept;                 // free ones; others come and go meanwhile

 private:
  friend class detail::Factory;
  struct Plan {
    std::uint32_t permits;
    Lifetime lifetime;
  };
  BoundedSemaphore(detail::Attachment::Pointer attachment, std::uint32_t permits) noexcept
      : Handle(std::move(attachment)), permits_(permits) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Plan& plan);
  static detail::SegmentExpectation expectation() {
    return {.kind = layout::ObjectKind::kBoundedSemaphore, .element = {}};
  }
  static absl::StatusOr<BoundedSemaphore> attach(detail::Attachment::Pointer attachment);

  [[nodiscard]] layout::BoundedSemaphore& words() const noexcept;
  [[nodiscard]] std::atomic<std::uint64_t>* cells() const noexcept;
  // Who asks, and where it looks first.
  struct Me {
    detail::Seat& seat;
    detail::LaneRef lane;
    std::uint32_t first;
  };
  [[nodiscard]] Me me() const noexcept;
  [[nodiscard]] std::uint32_t within(std::uint32_t index) const noexcept { return index < permits_ ? index : 0; }
  [[nodiscard]] bool gone(const layout::OwnedCell& cell) const noexcept;
  bool take(const Me& me, std::uint32_t index, std::uint64_t found) noexcept;
  bool take_free(const Me& me) noexcept;
  bool take_free_or_left(const Me& me) noexcept;
  bool take_from_dead(const Me& me) noexcept;

  std::uint32_t permits_;  // this process's copy
};

}  // namespace warren
