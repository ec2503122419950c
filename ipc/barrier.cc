#include <warren/ipc/barrier.h>

#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/crash_point.h>

#include "object_words.h"

namespace warren {
namespace {

using State = layout::BarrierState;

absl::Status broken_by(State state) {
  constexpr const char* kRemedy = "; when all have heard of it: reset()";
  switch (state.broken) {
    case State::Broken::kByDeath:
      return absl::AbortedError(absl::StrCat("the barrier is broken: process ", state.value, " ended", kRemedy));
    case State::Broken::kByTimeout:
      return absl::AbortedError(
          absl::StrCat("the barrier is broken: process ", state.value, " waited no longer", kRemedy));
    default:
      return absl::AbortedError(
          absl::StrCat("the barrier is broken: process ", state.value, " called abort()", kRemedy));
  }
}

std::uint32_t this_pid() noexcept { return static_cast<std::uint32_t>(detail::this_process().pid); }

}  // namespace

// --- making one ------------------------------------------------------------------------------------------------------

absl::StatusOr<Barrier> Barrier::create(std::uint32_t parties, const ObjectOptions& options) {
  return detail::Factory::create<Barrier>(Plan{parties, options.lifetime});
}
absl::StatusOr<Barrier> Barrier::create(std::string_view name, std::uint32_t parties, const ObjectOptions& options) {
  return detail::Factory::create<Barrier>(name, Plan{parties, options.lifetime});
}
absl::StatusOr<Barrier> Barrier::open(std::string_view name) { return as_party(detail::Factory::open<Barrier>(name)); }
absl::StatusOr<Barrier> Barrier::open_or_create(std::string_view name, std::uint32_t parties,
                                                const ObjectOptions& options) {
  absl::StatusOr<Barrier> barrier =
      as_party(detail::Factory::open_or_create<Barrier>(name, Plan{parties, options.lifetime}));
  if (barrier.ok() && barrier->parties() != parties) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", std::string(name), "' is a barrier of ", barrier->parties(), " parties, not of ", parties));
  }
  return barrier;
}

absl::StatusOr<detail::SegmentPlan> Barrier::plan(const Plan& plan) {
  if (plan.parties == 0 || plan.parties > layout::kMaxParties) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Barrier of ", plan.parties, " parties: it has 1 to ", layout::kMaxParties));
  }
  return detail::SegmentPlan{.kind = layout::ObjectKind::kBarrier,
                             .size = sizeof(layout::Barrier),
                             .wait_words = {offsetof(layout::Barrier, waiters)},
                             .initialise = [parties = plan.parties](std::span<std::byte> object) {
                               reinterpret_cast<layout::Barrier*>(object.data())->parties = parties;
                             }};
}

absl::StatusOr<Barrier> Barrier::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Barrier*> words = detail::words_in<layout::Barrier>(*attachment, "barrier");
  if (!words.ok()) return words.status();
  const std::uint32_t parties = std::atomic_ref((*words)->parties).load(std::memory_order_relaxed);
  if (parties == 0 || parties > layout::kMaxParties)
    return absl::DataLossError("the barrier is corrupt: the number of its parties");
  return Barrier(std::move(attachment), **words, parties);
}

// Who opens it by name does so in order to arrive: if it is killed before, the others must not wait for it.
absl::StatusOr<Barrier> Barrier::as_party(absl::StatusOr<Barrier> barrier) {
  if (!barrier.ok()) return barrier;
  const detail::LaneRef lane = barrier->attachment_->process_lane(barrier->attachment_->seat());
  if (lane.known) {
    barrier->attachment_->lane(lane.index)
        .announcement.store(layout::barrier_party(lane.generation), std::memory_order_relaxed);
  }
  return barrier;
}

// --- arriving --------------------------------------------------------------------------------------------------------

void Barrier::announce_this_thread() noexcept {
  const detail::Seat& seat = attachment_->seat();
  if (seat.lane == nullptr || seat.lane->announcement.load(std::memory_order_relaxed) != 0) return;
  seat.lane->announcement.store(layout::barrier_party(seat.generation), std::memory_order_relaxed);
}

Barrier::Fate Barrier::fate(std::uint32_t generation, State now) noexcept {
  const std::uint32_t ago = now.generation - generation;
  if (ago == 0) return now.broken == State::Broken::kNo ? Fate::kWaiting : Fate::kBroken;
  if (ago > State::kRemembered) return Fate::kForgotten;
  return (now.voided >> (ago - 1) & 1) == 0 ? Fate::kPassed : Fate::kReset;
}

absl::StatusOr<std::uint32_t> Barrier::arrive_and_wait_until(Deadline t) {
  announce_this_thread();
  WARREN_CRASH_POINT(barrier_announced);  // a party that has not arrived: whoever waits finds it dead
  std::uint64_t word = words_->state.load(std::memory_order_relaxed);
  State state = State::from(word);
  bool last = false;
  do {
    state = State::from(word);
    if (state.broken != State::Broken::kNo) return broken_by(state);
    if (state.value >= parties_) return absl::DataLossError("the barrier is corrupt: more arrived than it has parties");
    last = state.value + 1 == parties_;
    State next = state;
    if (last) {
      next = state.after(/*completed=*/true);
    } else {
      ++next.value;
    }
    if (words_->state.compare_exchange_weak(word, next.word(), std::memory_order_acq_rel))
      break;  // [BR1] what each did before it came, to whoever comes later; pairs with BR1, BR2
  } while (true);
  if (last) {
    wake_all();
    return state.value;
  }
  const auto test = [&] {
    const State now = State::from(words_->state.load(std::memory_order_acquire));  // [BR2] pairs with BR1
    return fate(state.generation, now) == Fate::kWaiting ? detail::Progress::kBlocked : detail::Progress::kDone;
  };
  detail::Spinner& spinner = attachment_->seat().pop_spinner;
  if (!attachment_->wait_for_change(words_->waiters, spinner, t, test, [this] { look_for_dead_parties(); })) {
    look_for_dead_parties();  // a death is the better reason, and is not left to break a later generation
    break_it(state.generation, State::Broken::kByTimeout, this_pid());
  }
  return settled(state.generation, state.value);
}

absl::StatusOr<std::uint32_t> Barrier::settled(std::uint32_t generation, std::uint32_t order) const {
  const State now = State::from(words_->state.load(std::memory_order_acquire));  // [BR3] as BR2; pairs with BR1
  switch (fate(generation, now)) {
    case Fate::kPassed: return order;
    case Fate::kReset: return absl::AbortedError("the barrier was reset while this thread waited");
    case Fate::kForgotten:
      return absl::AbortedError(
          "the barrier went on without this thread, which stood still; whether its generation completed is forgotten");
    default: return broken_by(now);
  }
}

// --- breaking and mending --------------------------------------------------------------------------------------------

// By one CAS: a generation that completed meanwhile stays completed. `only` is left alone once it is over; abort()
// breaks whichever there is.
void Barrier::break_it(std::optional<std::uint32_t> only, State::Broken why, std::uint32_t who) noexcept {
  std::uint64_t word = words_->state.load(std::memory_order_relaxed);
  do {
    const State state = State::from(word);
    if (state.broken != State::Broken::kNo || (only && state.generation != *only)) return;
  } while (!break_from(word, why, who));
  wake_all();
}

bool Barrier::break_from(std::uint64_t& word, State::Broken why, std::uint32_t who) noexcept {
  State state = State::from(word);
  state.broken = why;
  state.value = who;
  return words_->state.compare_exchange_weak(word, state.word(), std::memory_order_relaxed);
}

// The barrier is broken before the lane of the dead is free: nobody else would find that party any more. Any number may
// do so for one death, and each may stand still in the midst of it: the mark is taken away once the barrier is broken,
// and who saw it breaks no other state than the one that stood before he saw it.
void Barrier::look_for_dead_parties() noexcept {
  (void)attachment_->sweep([this](layout::Lane& lane, std::uint16_t generation, std::uint32_t pid) {
    std::uint64_t party = layout::barrier_party(generation);
    for (;;) {
      std::uint64_t word = words_->state.load(std::memory_order_acquire);      // [BR4] the mark after it; with BR6
      if (lane.announcement.load(std::memory_order_acquire) != party) return;  // [BR5] pairs with BR7
      if (State::from(word).broken != State::Broken::kNo) break;
      WARREN_CRASH_POINT(missing_party_found);  // others find it too
      if (!break_from(word, State::Broken::kByDeath, pid)) continue;
      wake_all();
      break;
    }
    WARREN_CRASH_POINT(missing_party_told);  // the next one finds the mark, and a broken barrier
    (void)lane.announcement.compare_exchange_strong(party, 0, std::memory_order_release);  // [BR7] pairs with BR5
  });
}

void Barrier::abort() noexcept { break_it(std::nullopt, State::Broken::kByAbort, this_pid()); }

// Who died before is dealt with: it breaks nothing afterwards.
void Barrier::reset() noexcept {
  look_for_dead_parties();
  std::uint64_t word = words_->state.load(std::memory_order_relaxed);
  for (;;) {
    const State state = State::from(word);
    if (state.broken == State::Broken::kNo && state.value == 0) return;  // as new
    if (words_->state.compare_exchange_weak(word, state.after(/*completed=*/false).word(), std::memory_order_release,
                                            std::memory_order_relaxed))
      break;  // [BR6] the marks of the dead are gone; pairs with BR4
  }
  wake_all();
}

void Barrier::wake_all() noexcept {
  WARREN_CRASH_POINT(barrier_settled);  // nobody is woken: slices bound the wait
  detail::notify(words_->waiters, attachment_->wait_mode(), detail::kWakeAll);
}

bool Barrier::broken() const noexcept {
  return State::from(words_->state.load(std::memory_order_relaxed)).broken != State::Broken::kNo;
}

std::uint32_t Barrier::approx_waiting() const noexcept {
  const State now = State::from(words_->state.load(std::memory_order_relaxed));
  return now.broken == State::Broken::kNo ? now.value : 0;
}

}  // namespace warren
