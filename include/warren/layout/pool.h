// A pool, as it lies in memory: the table of tasks, the queue of hints, the records of workers, and the blocks that
// hold large arguments and results. docs/algorithms/task_table.md has the protocol.
//   0                     PoolHeader
//   hints_offset          MpmcRing of one word: {generation, slot} of a task that is ready; in chunks where it is large
//   workers_offset        WorkerRecord[kMaxWorkers], committed as far as the pool has had workers
//   slots_offset          TaskSlot[table_capacity], committed kFirstSlots, and then kSlotsStep at a time
//   bands_offset          such a ring for each priority, and for each depth of nesting, committed with its first task
//   places_offset         such a ring for each worker, and one of tasks that wait for a time, committed likewise
//   BlockClass offsets    the owner words of every class, then the blocks of every class
#pragma once
#include <warren/layout/block_heap.h>

namespace warren::layout {

// Why a task is lost.
enum class Loss : std::uint16_t {
  kWorkerDied = 1,      // killed or exited; `signal`, `exit_code` and `worker` say how
  kTerminated = 2,      // the pool was terminated
  kSupervisorGone = 3,  // nobody would notice a death any more
  kBroken = 4,          // workers cannot be started; PoolHeader::diagnosis says why
  kCancelled = 5,       // by its future; `worker` was killed for it, 0: it did not run
  kDeadline = 6,        // `worker` was killed, since the attempt had had its time
};

// The state word of a task: the truth. Every step of its life is one CAS of it.
//   bits 63..40 generation | 39..28 attempt | 27..20 lane generation | 19..4 lane | 3 abandoned | 2..0 phase
struct TaskState {
  enum class Phase : std::uint8_t {
    kFree = 0,
    kAlloc = 1,      // a submitter writes it
    kPending = 2,    // ready; the attempt counts those begun
    kRunning = 3,    // by the worker in `lane`
    kCondemned = 4,  // likewise, but that worker is to be killed: it cannot end the task any more
    kDone = 5,       // the result is there
    kFailed = 6,     // an error is there
    kLost = 7,       // no worker will finish it: `lane` holds the Loss
  };

  std::uint32_t generation = 0;      // 24 bits: grows by one each time the slot is freed
  std::uint32_t attempt = 0;         // 12 bits
  std::uint8_t lane_generation = 0;  // the low bits of the worker's
  std::uint16_t lane = 0;
  bool abandoned = false;  // nobody waits: whoever ends the task frees the slot
  Phase phase = Phase::kFree;

  static constexpr std::uint32_t kGenerationMask = (1u << 24) - 1;
  static constexpr std::uint32_t kAttemptMask = (1u << 12) - 1;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return std::uint64_t{generation & kGenerationMask} << 40 | std::uint64_t{attempt & kAttemptMask} << 28 |
           std::uint64_t{lane_generation} << 20 | std::uint64_t{lane} << 4 | std::uint64_t{abandoned} << 3 |
           static_cast<std::uint64_t>(phase);
  }
  [[nodiscard]] static constexpr TaskState from(std::uint64_t word) noexcept {
    return {.generation = static_cast<std::uint32_t>(word >> 40),
            .attempt = static_cast<std::uint32_t>(word >> 28 & kAttemptMask),
            .lane_generation = static_cast<std::uint8_t>(word >> 20),
            .lane = static_cast<std::uint16_t>(word >> 4),
            .abandoned = (word >> 3 & 1) != 0,
            .phase = static_cast<Phase>(word & 7)};
  }
  [[nodiscard]] constexpr bool ended() const noexcept { return phase >= Phase::kDone; }
  // A worker has it, or had when it died.
  [[nodiscard]] constexpr bool claimed() const noexcept {
    return phase == Phase::kRunning || phase == Phase::kCondemned;
  }
  [[nodiscard]] constexpr Loss loss() const noexcept { return static_cast<Loss>(lane); }  // of one that is lost
};

inline constexpr std::size_t kInlineBytes = 84;

// Of TaskOptions, what few tasks have: beside the slots, and read only where TaskSlot::has_extras says so.
struct TaskExtras {
  std::atomic<std::int32_t> priority;        // -kMostPriority to kMostPriority, larger first
  std::atomic<std::uint32_t> place;          // the worker's index + 1; 0: any
  std::atomic<std::uint64_t> not_before_ns;  // CLOCK_MONOTONIC; 0: at once
  std::uint64_t backoff_ns;
  std::uint64_t deadline_ns;  // of one attempt; 0: none
  std::uint64_t soft_deadline_ns;
  char name[24];  // cut off; no zero behind the longest
};
static_assert(sizeof(TaskExtras) == kLine);

// One task. What is larger than kInlineBytes lies in a block.
struct TaskSlot {
  std::atomic<std::uint64_t> state;
  std::atomic<std::uint32_t> waiters;    // wait word of its future
  std::atomic<std::uint32_t> submitter;  // WorkerLane of the worker whose task did; 0: the application
  std::uint64_t function_module;         // FunctionId
  std::uint64_t function_offset;
  std::uint64_t arguments_block;  // BlockRef; 0: inline
  std::uint64_t arguments_bytes;
  std::atomic<std::uint64_t> result_block;
  std::atomic<std::uint64_t> result_bytes;  // committed so far: a chunk's results grow one by one
  std::uint32_t retries;
  std::uint16_t retry_on;                // RetryOn
  std::atomic<std::uint8_t> has_extras;  // 0 or 1
  std::atomic<std::uint8_t> depth;       // tasks that it was submitted within: 0, of the application; at most 255
  std::uint32_t worker;                  // pid of the last attempt's, where a loss has one; else 0
  std::atomic<std::uint32_t> cancelled;  // 1: its future wants it killed; it is tried no more
  std::int32_t ending;                   // of that worker: its exit code, or minus the signal
  std::atomic<std::uint32_t> progress;   // reported: of 2^32 - 1
  std::byte arguments[kInlineBytes];
  std::byte result[kInlineBytes];

  [[nodiscard]] static double fraction(std::uint32_t progress) noexcept { return progress / 4294967295.0; }
};
static_assert(sizeof(TaskSlot) == 4 * kLine);
static_assert(offsetof(TaskSlot, result_block) == 48 && offsetof(TaskSlot, arguments) == 88);

// A worker's lane as its record holds it: {generation, index + 1}; 0: it has none yet.
struct WorkerLane {
  std::uint32_t index = 0;
  std::uint16_t generation = 0;
  [[nodiscard]] constexpr std::uint32_t word() const noexcept { return std::uint32_t{generation} << 16 | (index + 1); }
  [[nodiscard]] static constexpr WorkerLane from(std::uint32_t word) noexcept {
    return {.index = (word & 0xffff) - 1, .generation = static_cast<std::uint16_t>(word >> 16)};
  }
};

// A worker, as its supervisor and ipc-inspect see it.
struct WorkerRecord {
  enum class State : std::uint32_t {
    kNone = 0,
    kStarting = 1,
    kIdle = 2,
    kBusy = 3,
    kGone = 4,
    kLeaving = 5,  // it takes no more tasks, and ends
    kWaiting = 6,  // its task waits for another one: it lends its place
  };
  static constexpr std::uint32_t kMayHoldHints = 1, kTooManyHints = 2;  // of `pinned`
  static constexpr std::uint64_t kOverdue = ~std::uint64_t{0};          // of `deadline_ns`
  std::atomic<std::uint32_t> pid;
  std::atomic<State> state;
  std::atomic<std::uint64_t> current;  // slot + 1 of the task it runs
  std::atomic<std::uint64_t> tasks_done;
  std::atomic<std::uint64_t> started_ns;  // CLOCK_MONOTONIC
  std::atomic<std::uint32_t> restarts;    // how many came before it in this place
  std::atomic<std::uint32_t> lane;        // WorkerLane
  std::atomic<std::int32_t> last_signal;  // of the one before
  std::atomic<std::int32_t> last_exit_code;
  std::atomic<std::uint32_t> leave;           // 1: the supervisor wants it to go, when it has no task
  std::atomic<std::uint32_t> pinned;          // of the ring of tasks for this place: kMayHoldHints | kTooManyHints
  std::atomic<std::uint64_t> idle_since_ns;   // CLOCK_MONOTONIC; only in a pool whose idle workers leave
  std::atomic<std::uint64_t> deadline_ns;     // of what it runs; 0: none; kOverdue: the supervisor kills it
  std::atomic<std::uint32_t> ring_committed;  // 1: the place's ring has memory
  std::atomic<std::uint32_t> follows;         // 1: it counts in PoolHeader::followed
  std::byte reserved[48];
  std::atomic<std::uint64_t> report[8];  // what its task says that it does: text that ends with 0
};
static_assert(sizeof(WorkerRecord) == 3 * kLine);

inline constexpr std::uint32_t kMaxWorkers = 1024;
inline constexpr std::int32_t kMostPriority = 10;  // and as many below 0, which is the main ring's
inline constexpr std::uint32_t kBands = 2 * kMostPriority + 1;
inline constexpr std::uint32_t kDepths = 32;       // of nesting that have a ring each; what is deeper shares the last
inline constexpr std::uint64_t kPlaceHints = 256;  // of one worker's ring; more are found in the table
inline constexpr std::uint64_t kFirstSlots = 256;
inline constexpr std::uint64_t kSlotsStep = 1024;
inline constexpr std::uint64_t kEndings = 512;
inline constexpr std::uint64_t kMaxTasks = std::uint64_t{1} << 20;

// The owner word of a pool's block: it follows from the owner's task whether the block is still in use.
//   bits 63..62 role | 61..50 attempt | 49..26 generation | 25..0 slot;  0: free
struct BlockOwner {
  enum class Role : std::uint8_t {
    kNone = 0,
    kArguments = 1,
    kResult = 2,
    kReleasing = 3,  // the heap's own: BlockReleaser
  };
  Role role = Role::kNone;
  std::uint32_t attempt = 0;
  std::uint32_t generation = 0;
  std::uint32_t slot = 0;

  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(role) << 62 | std::uint64_t{attempt & TaskState::kAttemptMask} << 50 |
           std::uint64_t{generation & TaskState::kGenerationMask} << 26 | std::uint64_t{slot & 0x3ffffffu};
  }
  [[nodiscard]] static constexpr BlockOwner from(std::uint64_t word) noexcept {
    return {.role = static_cast<Role>(word >> 62),
            .attempt = static_cast<std::uint32_t>(word >> 50 & TaskState::kAttemptMask),
            .generation = static_cast<std::uint32_t>(word >> 26) & TaskState::kGenerationMask,
            .slot = static_cast<std::uint32_t>(word) & 0x3ffffffu};
  }
};

struct PoolHeader {
  enum class Phase : std::uint32_t {
    kOpen = 1,
    kClosing = 2,      // no more submits; what was accepted is finished
    kTerminating = 3,  // workers are killed, tasks are lost
    kBroken = 4,       // no worker can be started
    kStopped = 5,      // every task has ended: workers leave
  };

  std::uint64_t table_capacity;
  std::uint64_t workers_offset;
  std::uint64_t hints_offset;
  std::uint64_t slots_offset;
  std::atomic<std::uint32_t> worker_count;  // records that were ever used
  std::uint32_t application_pid;
  char name[64];
  std::uint64_t bands_offset;
  std::uint64_t places_offset;
  std::uint64_t extras_offset;  // of TaskExtras, one for each slot; memory comes when they are used
  alignas(kLine) std::atomic<Phase> phase;
  std::atomic<std::uint32_t> supervisor_pid;
  std::atomic<std::uint32_t> diagnosed;  // 2: a worker writes the diagnosis, 1: it is complete
  std::atomic<std::uint32_t> worker_deaths;
  std::atomic<std::uint64_t> slots_committed;
  std::atomic<std::uint32_t> bands;            // bit i: the ring of priority i - kMostPriority may hold hints
  std::atomic<std::uint32_t> bands_committed;  // likewise: it has memory
  std::atomic<std::uint32_t> most_workers;     // as resize() said last
  std::atomic<std::uint32_t> retired;          // of those: left, since there was nothing to do
  std::atomic<std::uint64_t> next_look_ns;     // when the supervisor looks for deadlines again
  std::atomic<std::uint32_t> delayed;          // of the ring of tasks that wait for a time: as WorkerRecord::pinned
  std::atomic<std::uint32_t> delayed_committed;
  std::atomic<std::uint32_t> nested;  // bit i: the ring of tasks of depth i + 1 may hold hints
  std::atomic<std::uint32_t> nested_committed;
  alignas(kLine) std::atomic<std::uint32_t> completions;   // wait word of who waits for any of several tasks
  std::atomic<std::uint32_t> followed;                     // processes that read `ended`
  alignas(kLine) std::atomic<std::uint64_t> idle_spinner;  // lane + 1 of the one worker that may spin
  std::atomic<std::uint32_t> rescan;                       // 1: a hint did not fit; an idle worker looks at the table
  std::atomic<std::uint32_t> condemned;  // 1: a task was condemned; the supervisor looks for its worker
  std::atomic<std::uint32_t> lent;       // wait word of workers that there is no place for
  std::atomic<std::uint32_t> vacant;     // lent places that nobody has taken: who makes a task ready rings
  std::atomic<std::uint64_t> nested_submits;
  std::uint64_t max_pending;  // slots of the table that the application uses; those behind are for tasks' tasks
  std::atomic<std::uint32_t> bands_overflowed;  // as `bands`: there are more than its ring had room for
  alignas(kLine) char diagnosis[512];
  BlockClass classes[kBlockClasses];
  // The tasks that ended last, for who follows many: hints, which may be lost. Entry n is {n / kEndings + 1: 12 bits,
  // slot: 20 bits}, and stands at n % kEndings.
  alignas(kLine) std::atomic<std::uint64_t> endings;  // how many there were
  alignas(kLine) std::atomic<std::uint32_t> ended[kEndings];
};
static_assert(offsetof(PoolHeader, phase) == 128 && offsetof(PoolHeader, classes) == 832);
static_assert(sizeof(PoolHeader) <= kPage);

}  // namespace warren::layout
