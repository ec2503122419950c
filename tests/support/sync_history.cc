#include "support/sync_history.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <new>
#include <optional>
#include <set>

namespace warren::test {
namespace {

using Verb = SyncOp::Verb;

constexpr std::uint8_t kEnds = 0x40, kKilled = 0x41, kFoundDead = 0x42;  // beginnings are their verb
constexpr std::size_t kMostWrongs = 4;
constexpr std::size_t kMost = std::size_t{1} << 18;  // events, with those of who has not seen yet that it is enough

void complain(Wrongs& wrongs, const SyncOp& op, const std::string& text) {
  if (wrongs.size() < kMostWrongs) {
    wrongs.push_back("actor " + std::to_string(op.actor) + " at " + std::to_string(op.begin) + ": " + text);
  }
}

// From the return of a lock to what begins to end it. It holds for certain in between.
struct Hold {
  const SyncOp* lock;
  std::size_t end;
  bool died;  // and its holder with it: no unlock had begun
};

std::vector<Hold> holds_of(std::span<const SyncOp> ops) {
  std::vector<Hold> holds;
  std::map<std::size_t, std::size_t> held;  // by actor: its hold
  for (const SyncOp& op : ops) {
    if (op.verb == Verb::kLock && op.returned() && op.result != SyncOp::kNotGot) {
      held[op.actor] = holds.size();
      holds.push_back({.lock = &op, .end = op.died, .died = op.died != SyncOp::kNever});
    } else if (op.verb == Verb::kUnlock) {
      if (const auto found = held.find(op.actor); found != held.end()) {
        Hold& hold = holds[found->second];
        hold.end = std::min(hold.end, op.begin);
        hold.died = false;
        held.erase(found);
      }
    }
  }
  return holds;
}

// Of the dead: operations whose effect is not known, and which may leave a lock behind.
bool half_done(const SyncOp& op) {
  return !op.returned() && op.died != SyncOp::kNever && (op.verb == Verb::kLock || op.verb == Verb::kUnlock);
}

}  // namespace

struct SyncHistory::Log {
  std::atomic<std::size_t> used;
  Event events[kMost];
};

SyncHistory::SyncHistory() {
  void* memory =
      ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  log_ = static_cast<Log*>(memory);
}

SyncHistory::~SyncHistory() { ::munmap(log_, sizeof(Log)); }

void SyncHistory::append(std::size_t actor, std::uint8_t kind, std::int64_t value) noexcept {
  const std::size_t at = log_->used.fetch_add(1, std::memory_order_seq_cst);
  if (at >= kMost) std::abort();
  log_->events[at].value = value;
  log_->events[at].what.store(std::uint64_t{actor} << 8 | kind, std::memory_order_release);
}

void SyncHistory::begins(std::size_t actor, Verb verb, std::int64_t argument) noexcept {
  append(actor, static_cast<std::uint8_t>(verb), argument);
}
void SyncHistory::ends(std::size_t actor, std::int64_t result) noexcept { append(actor, kEnds, result); }
void SyncHistory::is_killed(std::size_t actor) noexcept { append(actor, kKilled, 0); }
void SyncHistory::was_found_dead(std::size_t actor) noexcept { append(actor, kFoundDead, 0); }
bool SyncHistory::full() const noexcept { return log_->used.load(std::memory_order_relaxed) > kEnough; }

SyncOps SyncHistory::ops() const {
  SyncOps ops;
  std::map<std::size_t, std::size_t> current, last_event, killed;  // by actor
  std::set<std::size_t> dead;
  for (std::size_t at = 0, end = std::min(log_->used.load(), kMost); at < end; ++at) {
    const std::uint64_t what = log_->events[at].what.load(std::memory_order_acquire);
    if (what == 0) continue;
    const std::size_t actor = what >> 8;
    const auto kind = static_cast<std::uint8_t>(what);
    if (kind == kKilled) {
      killed[actor] = at;
      dead.insert(actor);
      continue;
    }
    if (kind == kFoundDead) {
      dead.insert(actor);
      continue;
    }
    last_event[actor] = at;
    if (kind == kEnds) {
      SyncOp& op = ops[current.at(actor)];
      op.end = at;
      op.result = log_->events[at].value;
    } else {
      current[actor] = ops.size();
      ops.push_back({.actor = actor, .verb = static_cast<Verb>(kind), .argument = log_->events[at].value, .begin = at});
    }
  }
  for (SyncOp& op : ops) {
    if (!dead.contains(op.actor)) continue;
    const auto found = killed.find(op.actor);
    op.died = found != killed.end() ? found->second : last_event.at(op.actor);
  }
  return ops;
}

Wrongs exclusion(std::span<const SyncOp> ops, std::int64_t whole) {
  struct Change {
    std::size_t at;
    std::int64_t by;
    const SyncOp* op;
  };
  std::vector<Change> changes;
  for (const Hold& hold : holds_of(ops)) {
    if (hold.end <= hold.lock->end) continue;  // not for certain at any time
    changes.push_back({.at = hold.lock->end, .by = hold.lock->argument, .op = hold.lock});
    if (hold.end != SyncOp::kNever) changes.push_back({.at = hold.end, .by = -hold.lock->argument, .op = hold.lock});
  }
  std::ranges::sort(changes, {}, &Change::at);
  Wrongs wrongs;
  std::int64_t taken = 0;
  for (const Change& change : changes) {
    taken += change.by;
    if (change.by > 0 && taken > whole) {
      complain(wrongs, *change.op, "makes it " + std::to_string(taken) + " of " + std::to_string(whole));
    }
  }
  return wrongs;
}

Wrongs deaths_told(std::span<const SyncOp> ops, std::int64_t whole) {
  std::vector<std::size_t> certain, possible;  // deaths that the next holder is, or may be, told of
  for (const Hold& hold : holds_of(ops)) {
    if (hold.lock->argument == whole && hold.died) certain.push_back(std::max(hold.end, hold.lock->end + 1));
  }
  for (const SyncOp& op : ops) {
    if (half_done(op)) possible.push_back(op.begin);
  }
  std::vector<const SyncOp*> taken;
  for (const SyncOp& op : ops) {
    if (op.verb == Verb::kLock && op.returned() && op.result != SyncOp::kNotGot) taken.push_back(&op);
  }
  std::ranges::sort(taken, {}, &SyncOp::end);
  std::ranges::sort(certain);
  Wrongs wrongs;
  // Where the last one took the whole, and so repaired it: what died before it began its hold is told.
  std::size_t repaired = 0;
  for (const SyncOp* op : taken) {
    const bool told = op->result == SyncOp::kTold;
    const auto since = [&](std::size_t death) { return death >= repaired && death < op->end; };
    const bool must = std::ranges::any_of(certain, since);
    if (must && !told) complain(wrongs, *op, "is not told of a death");
    // What was half done may have lasted through others' operations, as one that waits does.
    const bool may = must || std::ranges::any_of(possible, [&](std::size_t death) { return death < op->end; });
    if (told && !may) complain(wrongs, *op, "is told of a death that was not");
    if (op->argument == whole) repaired = op->end + 1;
  }
  return wrongs;
}

Wrongs permits_left(std::span<const SyncOp> ops, std::int64_t permits, std::int64_t left, bool owned) {
  std::int64_t certain = 0, possible = 0;
  for (const Hold& hold : holds_of(ops)) certain += hold.died ? 1 : 0;
  for (const SyncOp& op : ops) possible += half_done(op) ? 1 : 0;
  const std::int64_t most = permits - (owned ? 0 : certain);
  const std::int64_t least = most - (owned ? 0 : possible);
  if (left >= least && left <= most) return {};
  return {std::to_string(left) + " permits are left, and it must be " + std::to_string(least) + " to " +
          std::to_string(most)};
}

Wrongs waits_of_event(std::span<const SyncOp> ops) {
  std::vector<const SyncOp*> sets, clears;
  for (const SyncOp& op : ops) {
    if (op.verb == Verb::kSet) sets.push_back(&op);
    if (op.verb == Verb::kClear && op.returned()) clears.push_back(&op);
  }
  Wrongs wrongs;
  for (const SyncOp& wait : ops) {
    if (wait.verb != Verb::kWait) continue;
    if (wait.returned() && wait.result != 0) {
      // The set that may have told it: begun before it returned, and not surely cleared before it came. The last clear
      // that was over by then decides.
      std::optional<std::size_t> cleared;
      for (const SyncOp* clear : clears) {
        if (clear->end < wait.begin && (!cleared || clear->begin > *cleared)) cleared = clear->begin;
      }
      const bool possible = std::ranges::any_of(sets, [&](const SyncOp* set) {
        return set->begin < wait.end && (!cleared || !set->returned() || set->end > *cleared);
      });
      if (!possible) complain(wrongs, wait, "returned while it was clear");
    } else if (!wait.returned() && wait.died == SyncOp::kNever) {
      const bool owed =
          std::ranges::any_of(sets, [&](const SyncOp* set) { return set->begin > wait.begin && set->returned(); });
      if (owed) complain(wrongs, wait, "waits still, though it was set since");
    }
  }
  return wrongs;
}

Wrongs arrivals(std::span<const SyncOp> ops, std::size_t parties) {
  std::map<std::int64_t, std::vector<std::size_t>> begun;  // by generation
  std::map<std::size_t, std::int64_t> broken;              // by actor: the generation it was told of
  for (const SyncOp& op : ops) {
    if (op.verb == Verb::kArrive) begun[op.argument].push_back(op.begin);
  }
  Wrongs wrongs;
  for (const SyncOp& op : ops) {
    if (op.verb != Verb::kArrive) continue;
    if (!op.returned()) {
      if (op.died == SyncOp::kNever) complain(wrongs, op, "waits still");
      continue;
    }
    if (op.result == 0) {
      broken.emplace(op.actor, op.argument);
      continue;
    }
    const auto before = std::ranges::count_if(begun[op.argument], [&](std::size_t begin) { return begin < op.end; });
    if (static_cast<std::size_t>(before) < parties) complain(wrongs, op, "passed before all had come");
    if (broken.contains(op.actor)) complain(wrongs, op, "passed what was broken");
  }
  return wrongs;
}

Wrongs counted_down(std::span<const SyncOp> ops, std::int64_t count) {
  Wrongs wrongs;
  std::int64_t done = 0;
  for (const SyncOp& op : ops) {
    if (op.verb == Verb::kAdd && op.returned()) done += op.argument;
  }
  for (const SyncOp& wait : ops) {
    if (wait.verb != Verb::kWait) continue;
    if (wait.returned() && wait.result != 0) {
      std::int64_t begun = 0;
      for (const SyncOp& op : ops) {
        if (op.verb == Verb::kAdd && op.begin < wait.end) begun += op.argument;
      }
      if (begun < count) complain(wrongs, wait, "passed before it was counted down");
    } else if (!wait.returned() && wait.died == SyncOp::kNever && done >= count) {
      complain(wrongs, wait, "waits still, though it was counted down");
    }
  }
  return wrongs;
}

Wrongs additions(std::span<const SyncOp> ops, std::int64_t last) {
  // Sums by stamp, of what is added and of what is taken away: of what was over, and of what had begun.
  using Sums = std::map<std::size_t, std::int64_t>;
  Sums over[2], begun[2];
  for (const SyncOp& op : ops) {
    if (op.verb != Verb::kAdd) continue;
    const int sign = op.argument < 0 ? 1 : 0;
    begun[sign][op.begin] += op.argument;
    if (op.returned()) over[sign][op.end] += op.argument;
  }
  for (Sums* const sums : {&over[0], &over[1], &begun[0], &begun[1]}) {
    std::int64_t sum = 0;
    for (auto& [at, value] : *sums) value = sum += value;
  }
  const auto at = [](const Sums& sums, std::size_t stamp) {
    const auto after = sums.upper_bound(stamp);
    return after == sums.begin() ? 0 : std::prev(after)->second;
  };
  Wrongs wrongs;
  for (const SyncOp& op : ops) {
    if (op.verb != Verb::kRead || !op.returned()) continue;
    const std::int64_t least = at(over[0], op.begin) + at(begun[1], op.end);
    const std::int64_t most = at(begun[0], op.end) + at(over[1], op.begin);
    if (op.result < least || op.result > most) {
      complain(wrongs, op,
               "read " + std::to_string(op.result) + ", and it must be " + std::to_string(least) + " to " +
                   std::to_string(most));
    }
  }
  const std::int64_t least = at(over[0], SyncOp::kNever) + at(begun[1], SyncOp::kNever);
  const std::int64_t most = at(begun[0], SyncOp::kNever) + at(over[1], SyncOp::kNever);
  if (last < least || last > most) {
    wrongs.push_back("it is " + std::to_string(last) + " in the end, and must be " + std::to_string(least) + " to " +
                     std::to_string(most));
  }
  return wrongs;
}

}  // namespace warren::test
