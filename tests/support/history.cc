#include "support/history.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace warren::test {
namespace {

constexpr unsigned kKindShift = 56;
constexpr std::uint64_t kValueMask = (std::uint64_t{1} << kKindShift) - 1;
constexpr std::size_t kFaultsReported = 4;

std::size_t actor_of(ItemId id) { return static_cast<std::size_t>(id >> kActorShift); }
std::uint64_t number_of(ItemId id) { return id & (kMaxItems - 1); }

std::string describe(ItemId id) {
  return "item " + std::to_string(number_of(id)) + " of actor " + std::to_string(actor_of(id));
}

void complain(Account& account, Fault::Kind kind, std::string text) {
  if (account.faults.size() < kFaultsReported) account.faults.push_back({.kind = kind, .text = std::move(text)});
}

}  // namespace

const char* kind_name(Fault::Kind kind) noexcept {
  switch (kind) {
    case Fault::Kind::kLost: return "lost";
    case Fault::Kind::kDoubled: return "doubled";
    case Fault::Kind::kTorn: return "torn";
    case Fault::Kind::kHung: return "hung";
    case Fault::Kind::kDisordered: return "disordered";
    case Fault::Kind::kLeft: return "left behind";
    case Fault::Kind::kOther: return "other";
  }
  return "?";
}

History::History(std::size_t actors, std::size_t events_each) : count_(actors) {
  if (actors > kMaxActors) std::abort();
  bytes_ = actors * (sizeof(Actor) + events_each * sizeof(std::uint64_t));
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  actors_ = static_cast<Actor*>(memory);
  auto* events = reinterpret_cast<std::uint64_t*>(actors_ + actors);
  for (std::size_t i = 0; i < actors; ++i) {
    Actor* const actor = new (actors_ + i) Actor;
    actor->used_.store(0, std::memory_order_relaxed);
    actor->capacity_ = events_each;
    actor->index_ = i;
    actor->next_number_ = 0;
    actor->events_ = events + i * events_each;
  }
}

History::~History() { ::munmap(actors_, bytes_); }

void History::Actor::append(Kind kind, std::uint64_t value) noexcept {
  const std::size_t used = used_.load(std::memory_order_relaxed);
  if (used >= capacity_) std::abort();
  events_[used] = std::uint64_t{static_cast<std::uint8_t>(kind)} << kKindShift | value;
  used_.store(used + 1, std::memory_order_release);
}

// Numbers are spent before they are logged: what a death in between leaves is an item that nobody began.
ItemId History::Actor::push_begins(std::size_t count) noexcept {
  const ItemId first = std::uint64_t{index_} << kActorShift | next_number_;
  append(Kind::kPushBegins, count);
  next_number_ += count;
  return first;
}

struct History::Pushed {
  enum class Outcome : std::uint8_t { kAccepted, kRefused, kOpen };
  std::vector<Outcome> outcomes;  // by number
  std::vector<std::uint8_t> popped;
};

Account History::account() const {
  Account account;
  std::vector<Pushed> pushed(count_);
  // Who pushed what, then who got it.
  for (std::size_t i = 0; i < count_; ++i) {
    const Actor& actor = actors_[i];
    std::vector<Pushed::Outcome>& outcomes = pushed[i].outcomes;
    std::size_t begun = 0;
    for (std::size_t e = 0, end = actor.used_.load(std::memory_order_acquire); e < end; ++e) {
      const auto kind = static_cast<Actor::Kind>(actor.events_[e] >> kKindShift);
      const std::uint64_t value = actor.events_[e] & kValueMask;
      if (kind == Actor::Kind::kPushBegins) {
        begun = outcomes.size();
        outcomes.resize(begun + value, Pushed::Outcome::kOpen);
      } else if (kind == Actor::Kind::kPushEnds) {
        for (std::size_t n = begun; n < outcomes.size(); ++n) {
          outcomes[n] = n - begun < value ? Pushed::Outcome::kAccepted : Pushed::Outcome::kRefused;
        }
      }
    }
    pushed[i].popped.resize(outcomes.size());
    for (const Pushed::Outcome outcome : outcomes) {
      if (outcome == Pushed::Outcome::kAccepted) ++account.pushed;
      if (outcome == Pushed::Outcome::kOpen) ++account.maybe;
    }
  }
  for (std::size_t i = 0; i < count_; ++i) read(actors_[i], pushed, account);

  for (std::size_t i = 0; i < count_; ++i) {
    for (std::size_t n = 0; n < pushed[i].outcomes.size(); ++n) {
      if (pushed[i].popped[n] != 0 || pushed[i].outcomes[n] != Pushed::Outcome::kAccepted) continue;
      ++account.lost;
      if (account.lost > account.taken_along) {
        ++account.unexplained;
        complain(account, Fault::Kind::kLost,
                 describe(std::uint64_t{i} << kActorShift | n) + " was pushed and never came out");
      }
    }
  }
  return account;
}

void History::read(const Actor& actor, std::vector<Pushed>& pushed, Account& account) const {
  std::vector<std::uint64_t> last(count_);  // by producer: number + 1 of the last item this consumer got of it
  std::uint64_t open = 0;
  for (std::size_t e = 0, end = actor.used_.load(std::memory_order_acquire); e < end; ++e) {
    const auto kind = static_cast<Actor::Kind>(actor.events_[e] >> kKindShift);
    const std::uint64_t value = actor.events_[e] & kValueMask;
    if (kind == Actor::Kind::kPopBegins) open = value;
    if (kind == Actor::Kind::kPopEnds) open = 0;
    if (kind == Actor::Kind::kTorn) {
      ++account.torn;
      complain(account, Fault::Kind::kTorn, "an item that nobody pushed like that");
    }
    if (kind != Actor::Kind::kPopped) continue;
    if (open != 0) --open;
    ++account.popped;
    const ItemId id = value;
    const std::size_t from = actor_of(id);
    const std::uint64_t number = number_of(id);
    if (from >= count_ || number >= pushed[from].outcomes.size()) {
      ++account.torn;
      complain(account, Fault::Kind::kTorn, describe(id) + " was never begun");
      continue;
    }
    const Pushed::Outcome outcome = pushed[from].outcomes[number];
    if (outcome == Pushed::Outcome::kOpen) ++account.maybe_popped;
    if (outcome == Pushed::Outcome::kRefused) {
      complain(account, Fault::Kind::kOther, describe(id) + " was refused, and came out");
    }
    if (pushed[from].popped[number]++ != 0) {
      ++account.doubled;
      complain(account, Fault::Kind::kDoubled, describe(id) + " came out twice");
    }
    if (ordered_ && number < last[from])
      complain(account, Fault::Kind::kDisordered, describe(id) + " came out after a later one");
    last[from] = number + 1;
  }
  account.taken_along += open;
}

}  // namespace warren::test
