// Latch: opens once, for good, when it has been counted down to nothing. std::latch's names, between processes.
//
// Who counts is not recorded, and one process may count for several. So a process that dies before it counted down is
// not missed: nobody can know that it would have. Where that may happen, wait with a limit; or use a Barrier, which a
// party's death breaks. Ordering and crash tables: docs/algorithms/barrier.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/time.h>
#include <warren/layout/latch.h>

#include <cstdint>
#include <string_view>

namespace warren {

// Errors of the factories are Segment's. Thread-safe and process-safe. Handles pass to other processes by fork, by
// name and as values (handle.h). A latch that is made with 0 is open.
class Latch : public Handle {
 public:
  static absl::StatusOr<Latch> create(std::uint32_t count, const ObjectOptions& options = {});
  static absl::StatusOr<Latch> create(std::string_view name, std::uint32_t count, const ObjectOptions& options = {});
  static absl::StatusOr<Latch> open(std::string_view name);
  // One that is there keeps its count.
  static absl::StatusOr<Latch> open_or_create(std::string_view name, std::uint32_t count,
                                              const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Does not block. False: fewer than n are left; nothing changed. What was done before is seen by whoever waited.
  bool count_down(std::uint32_t n = 1) noexcept;
  [[nodiscard]] bool try_wait() const noexcept;  // open?

  // Block.
  void wait() const noexcept { (void)wait_until(Deadline::never()); }
  bool wait_for(Timeout d) const noexcept { return wait_until(Deadline::after(d)); }  // false: the time is up
  bool wait_until(Deadline t) const noexcept;
  // Counts down, and waits. False: fewer than n are left; nothing changed, and it did not wait. With a time limit:
  // count_down(), then wait_for().
  bool arrive_and_wait(std::uint32_t n = 1) noexcept;

 private:
  friend class detail::Factory;
  struct Plan {
    std::uint32_t count;
    Lifetime lifetime;
  };
  Latch(detail::Attachment::Pointer attachment, layout::Latch& words) noexcept
      : Handle(std::move(attachment)), words_(&words) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Plan& plan);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kLatch, .element = {}}; }
  static absl::StatusOr<Latch> attach(detail::Attachment::Pointer attachment);

  layout::Latch* words_;
};

}  // namespace warren
