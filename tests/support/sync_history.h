// SyncHistory: who began and ended which operation on a lock, a semaphore, an event, a barrier, a latch or a counter,
// in one order that is real time's, in memory that outlives deaths; and what such a history must not show. A killed
// operation may have taken effect once, or not at all.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace warren::test {

// One operation. Stamps are places in the one order of all beginnings and endings.
struct SyncOp {
  enum class Verb : std::uint8_t {
    kLock = 1,  // argument: how much of the whole it takes, see exclusion(). Result: Got
    kUnlock,
    kSet,
    kClear,
    kWait,    // result: 1 where it was told, or the latch was open
    kArrive,  // argument: the generation. Result: 1 passed, 0 told that it is broken
    kAdd,     // argument: how much
    kRead     // result: what it read
  };
  enum Got : std::int64_t { kNotGot, kPlain, kTold };  // kTold: and owner_died()
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  std::size_t actor = 0;
  Verb verb = Verb::kLock;
  std::int64_t argument = 0, result = 0;
  std::size_t begin = 0;
  std::size_t end = kNever;   // kNever: its process died in it, or it waits still
  std::size_t died = kNever;  // no later than the death of its process; kNever: that lived

  [[nodiscard]] bool returned() const noexcept { return end != kNever; }
};
using SyncOps = std::vector<SyncOp>;  // by begin

class SyncHistory {
 public:
  static constexpr std::size_t kEnough = 60'000;  // events: who sees so many stops

  SyncHistory();
  ~SyncHistory();
  SyncHistory(const SyncHistory&) = delete;
  SyncHistory& operator=(const SyncHistory&) = delete;

  // By the actor, one operation after the other.
  void begins(std::size_t actor, SyncOp::Verb verb, std::int64_t argument = 0) noexcept;
  void ends(std::size_t actor, std::int64_t result = 0) noexcept;
  // By who is about to kill it. Who dies by itself is said to be dead afterwards.
  void is_killed(std::size_t actor) noexcept;
  void was_found_dead(std::size_t actor) noexcept;

  [[nodiscard]] bool full() const noexcept;
  // When nobody runs any more.
  [[nodiscard]] SyncOps ops() const;

 private:
  struct Event {
    std::atomic<std::uint64_t> what;  // actor << 8 | kind; 0: its writer died first
    std::int64_t value;
  };
  struct Log;
  void append(std::size_t actor, std::uint8_t kind, std::int64_t value) noexcept;

  Log* log_;
};

// Each gives what is wrong, the first few; nothing where the history can be.
using Wrongs = std::vector<std::string>;

// At no time more than `whole` is taken: 1 by each for a mutex (whole 1) or a semaphore (whole: permits); for a shared
// mutex `whole` by the writer.
[[nodiscard]] Wrongs exclusion(std::span<const SyncOp> ops, std::int64_t whole);
// Whoever gets a lock after its holder of `whole` died is told; nobody is where no holder can have died. Those who take
// the whole and are told repair it.
[[nodiscard]] Wrongs deaths_told(std::span<const SyncOp> ops, std::int64_t whole);
// What is `left` in the end of `permits`, where the dead take theirs along, or give them back (`owned`).
[[nodiscard]] Wrongs permits_left(std::span<const SyncOp> ops, std::int64_t permits, std::int64_t left, bool owned);
// No wait returned while the event was clear all the time; none that was there before a set began waits still.
[[nodiscard]] Wrongs waits_of_event(std::span<const SyncOp> ops);
// Nobody passed before `parties` had begun to arrive in its generation; nobody passed a generation after it was told
// that it is broken; nobody waits still.
[[nodiscard]] Wrongs arrivals(std::span<const SyncOp> ops, std::size_t parties);
// Nobody passed before `count` was counted down, and nobody waits who need not.
[[nodiscard]] Wrongs counted_down(std::span<const SyncOp> ops, std::int64_t count);
// Every read, and `last`, is what the additions (of negative numbers, too) can have made of 0: each once, those of the
// dead once or never.
[[nodiscard]] Wrongs additions(std::span<const SyncOp> ops, std::int64_t last);

}  // namespace warren::test
