#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/standing.h>

#include <absl/strings/str_cat.h>

#include <optional>

namespace warren {
namespace {

using layout::OwnedCell;

// Where a look at all cells costs more than a sleep, nobody spins.
constexpr std::uint32_t kMostToSpinOver = 64;
// Looks until two in a row see the same. Each one more means that a permit changed hands during the last; a peer that
// writes there without end must not hold up anybody for ever.
constexpr int kLooks = 1000;

constexpr std::size_t size_for(std::uint32_t permits) {
  return sizeof(layout::BoundedSemaphore) + std::size_t{permits} * sizeof(std::uint64_t);
}

// Calls `visit` with each index below `count`, from `first` on and round, until it says true.
template <class Visit>
bool any_from(std::uint32_t first, std::uint32_t count, Visit&& visit) {
  for (std::uint32_t i = first; i < count; ++i) {
    if (visit(i)) return true;
  }
  for (std::uint32_t i = 0; i < first; ++i) {
    if (visit(i)) return true;
  }
  return false;
}

// Looks at all cells until `visit` says true, or until two looks found that nothing was taken between them: then what
// the last one saw was so at one moment. Notes only grow, so that their sum stays only where each of them does.
template <class Visit>
bool any_until_unchanged(const std::atomic<std::uint64_t>* cells, std::uint32_t first, std::uint32_t count,
                         Visit&& visit) {
  std::optional<std::uint64_t> before;
  for (int look = 0; look < kLooks; ++look) {
    std::uint64_t takings = 0;
    const bool found = any_from(first, count, [&](std::uint32_t i) {
      const std::uint64_t word = cells[i].load(std::memory_order_acquire);  // [C3] one look after the other
      takings += OwnedCell::from(word).note;
      return visit(i, word);
    });
    if (found) return true;
    if (before == takings) return false;
    before = takings;
  }
  return false;
}

}  // namespace

// --- making one ------------------------------------------------------------------------------------------------------

absl::StatusOr<BoundedSemaphore> BoundedSemaphore::create(std::uint32_t permits, const ObjectOptions& options) {
  return detail::Factory::create<BoundedSemaphore>(Plan{permits, options.lifetime});
}
absl::StatusOr<BoundedSemaphore> BoundedSemaphore::create(std::string_view name, std::uint32_t permits,
                                                          const ObjectOptions& options) {
  return detail::Factory::create<BoundedSemaphore>(name, Plan{permits, options.lifetime});
}
absl::StatusOr<BoundedSemaphore> BoundedSemaphore::open(std::string_view name) {
  return detail::Factory::open<BoundedSemaphore>(name);
}
absl::StatusOr<BoundedSemaphore> BoundedSemaphore::open_or_create(std::string_view name, std::uint32_t permits,
                                                                  const ObjectOptions& options) {
  absl::StatusOr<BoundedSemaphore> semaphore =
      detail::Factory::open_or_create<BoundedSemaphore>(name, Plan{permits, options.lifetime});
  if (semaphore.ok() && semaphore->permits() != permits) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", std::string(name), "' has ", semaphore->permits(), " permits, not ", permits));
  }
  return semaphore;
}

absl::StatusOr<detail::SegmentPlan> BoundedSemaphore::plan(const Plan& plan) {
  if (plan.permits == 0 || plan.permits > layout::kMaxBoundedPermits) {
    return absl::InvalidArgumentError(absl::StrCat("a BoundedSemaphore of ", plan.permits, " permits: it has 1 to ",
                                                   layout::kMaxBoundedPermits, "; Semaphore has more"));
  }
  return detail::SegmentPlan{.kind = layout::ObjectKind::kBoundedSemaphore,
                             .size = size_for(plan.permits),
                             .wait_words = {offsetof(layout::BoundedSemaphore, waiters)},
                             .initialise = [permits = plan.permits](std::span<std::byte> object) {
                               reinterpret_cast<layout::BoundedSemaphore*>(object.data())->permits = permits;
                             }};
}

absl::StatusOr<BoundedSemaphore> BoundedSemaphore::attach(detail::Attachment::Pointer attachment) {
  if (attachment->size() < sizeof(layout::BoundedSemaphore))
    return absl::DataLossError("the semaphore is corrupt: its size");
  std::uint32_t& word = reinterpret_cast<layout::BoundedSemaphore*>(attachment->object())->permits;
  const std::uint32_t permits = std::atomic_ref(word).load(std::memory_order_relaxed);
  if (permits == 0 || permits > layout::kMaxBoundedPermits || attachment->size() < size_for(permits))
    return absl::DataLossError("the semaphore is corrupt: the number of its permits");
  return BoundedSemaphore(std::move(attachment), permits);
}

layout::BoundedSemaphore& BoundedSemaphore::words() const noexcept {
  return *reinterpret_cast<layout::BoundedSemaphore*>(attachment_->object());
}
std::atomic<std::uint64_t>* BoundedSemaphore::cells() const noexcept {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(attachment_->object() + sizeof(layout::BoundedSemaphore));
}

BoundedSemaphore::Me BoundedSemaphore::me() const noexcept {
  detail::Seat& seat = attachment_->seat();
  return {.seat = seat,
          .lane = attachment_->process_lane(seat),
          .first = within(seat.cell.load(std::memory_order_relaxed))};
}

// --- acquiring -------------------------------------------------------------------------------------------------------

// From nobody, or from a dead process: of two who found it dead one gets it.
bool BoundedSemaphore::take(const Me& me, std::uint32_t index, std::uint64_t found) noexcept {
  const OwnedCell mine{
      .lane = me.lane.index, .generation = me.lane.generation, .note = OwnedCell::from(found).note + 1, .owned = true};
  if (!cells()[index].compare_exchange_strong(found, mine.word(), std::memory_order_acquire))
    return false;  // [C1] what was done under the permit; pairs with C2
  me.seat.cell.store(index, std::memory_order_relaxed);
  return true;
}

bool BoundedSemaphore::take_free(const Me& me) noexcept {
  return any_from(me.first, permits_, [&](std::uint32_t i) {
    const std::uint64_t found = cells()[i].load(std::memory_order_relaxed);
    return !OwnedCell::from(found).owned && take(me, i, found);
  });
}

bool BoundedSemaphore::gone(const OwnedCell& cell) const noexcept {
  return attachment_->lane_given_back(cell.lane, cell.generation);
}

bool BoundedSemaphore::take_free_or_left(const Me& me) noexcept {
  return any_until_unchanged(cells(), me.first, permits_, [&](std::uint32_t i, std::uint64_t found) {
    const OwnedCell cell = OwnedCell::from(found);
    return (!cell.owned || gone(cell)) && take(me, i, found);
  });
}

// One holder after the other is under suspicion: the next one, once this one's word has changed or it was found alive.
bool BoundedSemaphore::take_from_dead(const Me& me) noexcept {
  std::uint32_t index = within(me.seat.suspect.load(std::memory_order_relaxed));
  const auto look = [&](std::uint64_t& found) {
    found = cells()[index].load(std::memory_order_relaxed);
    const OwnedCell cell = OwnedCell::from(found);
    return cell.owned ? detail::standing(*attachment_, me.seat, cell.lane, cell.generation, found)
                      : detail::Standing::kNew;
  };
  std::uint64_t found = 0;
  detail::Standing standing = look(found);
  if (standing == detail::Standing::kNew || standing == detail::Standing::kAlive) {
    index = within(index + 1);
    me.seat.suspect.store(index, std::memory_order_relaxed);
    standing = look(found);
  }
  if (standing != detail::Standing::kGone) return false;
  (void)attachment_->sweep();  // so that all it held is known to be free, to all
  return take(me, index, found);
}

bool BoundedSemaphore::try_acquire() noexcept {
  const Me me = this->me();
  if (!me.lane.known) return false;  // nobody who cannot be found dead may hold one
  return take_free(me) || take_free_or_left(me) || take_from_dead(me);
}

bool BoundedSemaphore::try_acquire_until(Deadline t) noexcept {
  const auto test = [&] { return try_acquire() ? detail::Progress::kDone : detail::Progress::kBlocked; };
  detail::Spinner& spinner = attachment_->seat().pop_spinner;
  if (permits_ <= kMostToSpinOver) return attachment_->wait_for_change(words().waiters, spinner, t, test);
  return attachment_->sleep_for_change(words().waiters, t, test);
}

// --- releasing -------------------------------------------------------------------------------------------------------

bool BoundedSemaphore::release() noexcept {
  const Me me = this->me();
  if (!me.lane.known) return false;
  const bool released = any_until_unchanged(cells(), me.first, permits_, [&](std::uint32_t i, std::uint64_t found) {
    const OwnedCell cell = OwnedCell::from(found);
    if (!cell.owned_by(me.lane.index, me.lane.generation)) return false;
    const OwnedCell free{.note = cell.note};
    return cells()[i].compare_exchange_strong(found, free.word(), std::memory_order_release);  // [C2] pairs with C1
  });
  if (!released) return false;
  WARREN_CRASH_POINT(permit_released);  // nobody is woken: slices bound the wait
  detail::notify(words().waiters, attachment_->wait_mode(), 1);
  return true;
}

std::uint32_t BoundedSemaphore::approx_value() const noexcept {
  std::uint32_t free = 0;
  for (std::uint32_t i = 0; i < permits_; ++i) {
    const OwnedCell cell = OwnedCell::from(cells()[i].load(std::memory_order_relaxed));
    if (!cell.owned || gone(cell)) ++free;
  }
  return free;
}

}  // namespace warren
