// Barrier: a number of parties wait for each other, again and again.
//
// Each call arrives, and returns when as many have arrived as there are parties; then the next generation begins. Any
// thread of any process may be one of them, and not always the same ones.
//
// If a party dies, the others would wait for it in vain, so its death breaks the barrier: who waits, and whoever comes
// until reset(), gets Aborted, which names the process. A party is
//   - a thread that has arrived here at least once, until it ends in order, and
//   - a process that has opened the barrier by name, until it detaches (its last handle goes).
// Who only made the barrier, or inherited it by fork, is none until it arrives: it may be killed before, and nobody can
// know that it would have come. Nor can anybody know whether one that ended in order should have come once more. So
// where that may happen, wait with a limit. To end in order is to return from main or from the thread, or to destroy
// the handles before exit() or _exit(); a process that ends past its handles looks like one that was killed.
//
// A death is found by those who wait (within 32 ms for each 80 attached threads, or twice that). Whether the
// generation that the dead one had arrived in still completes depends on what comes first: the last arrival, or that.
// A stopped party (SIGSTOP) is not dead. Algorithm, ordering and crash tables: docs/algorithms/barrier.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/time.h>
#include <warren/layout/barrier.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace warren {

// Errors of the factories are Segment's, and InvalidArgument for 0 or more than 65,535 parties. Thread-safe and
// process-safe. Handles pass to other processes by fork, by name and as values (handle.h).
class Barrier : public Handle {
 public:
  static absl::StatusOr<Barrier> create(std::uint32_t parties, const ObjectOptions& options = {});
  static absl::StatusOr<Barrier> create(std::string_view name, std::uint32_t parties,
                                        const ObjectOptions& options = {});
  static absl::StatusOr<Barrier> open(std::string_view name);
  // One that is there keeps the number of parties that it was made with. Makes this process a party, as open() does.
  static absl::StatusOr<Barrier> open_or_create(std::string_view name, std::uint32_t parties,
                                                const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Block. The order of arrival in this generation, 0 to parties - 1: one of them may do what is to be done once. What
  // each did before it arrived is seen by all after. Aborted: this generation did not complete, and why. Who waits no
  // longer than it said breaks the barrier for all, unless the last one arrived just then: that is one step, so either
  // all of a generation are through or none is.
  absl::StatusOr<std::uint32_t> arrive_and_wait() { return arrive_and_wait_until(Deadline::never()); }
  absl::StatusOr<std::uint32_t> arrive_and_wait_for(Timeout d) { return arrive_and_wait_until(Deadline::after(d)); }
  absl::StatusOr<std::uint32_t> arrive_and_wait_until(Deadline t);

  void abort() noexcept;  // breaks it
  void reset() noexcept;  // as new. Who waits gets Aborted
  [[nodiscard]] bool broken() const noexcept;

  [[nodiscard]] std::uint32_t parties() const noexcept { return parties_; }  // as it was created
  [[nodiscard]] std::uint32_t approx_waiting() const noexcept;               // others come and go meanwhile

 private:
  friend class detail::Factory;
  using State = layout::BarrierState;
  struct Plan {
    std::uint32_t parties;
    Lifetime lifetime;
  };
  Barrier(detail::Attachment::Pointer attachment, layout::Barrier& words, std::uint32_t parties) noexcept
      : Handle(std::move(attachment)), words_(&words), parties_(parties) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Plan& plan);
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kBarrier, .element = {}}; }
  static absl::StatusOr<Barrier> attach(detail::Attachment::Pointer attachment);
  static absl::StatusOr<Barrier> as_party(absl::StatusOr<Barrier> barrier);

  // How a generation stands.
  enum class Fate { kWaiting, kPassed, kBroken, kReset, kForgotten };
  static Fate fate(std::uint32_t generation, State now) noexcept;
  absl::StatusOr<std::uint32_t> settled(std::uint32_t generation, std::uint32_t order) const;
  void announce_this_thread() noexcept;
  void look_for_dead_parties() noexcept;
  void break_it(std::optional<std::uint32_t> only, State::Broken why, std::uint32_t who) noexcept;
  bool break_from(std::uint64_t& word, State::Broken why, std::uint32_t who) noexcept;
  void wake_all() noexcept;

  layout::Barrier* words_;
  std::uint32_t parties_;  // this process's copy
};

}  // namespace warren
