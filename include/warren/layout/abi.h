// What every struct in shared memory agrees on. A change of any layout struct is a change of kAbiVersion.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace warren::layout {

inline constexpr std::uint64_t kMagic = 0x314e'4552'5241'5700;  // the bytes 00 "WARREN1"
inline constexpr std::uint32_t kAbiVersion = 1;

inline constexpr std::size_t kLine = 64;    // what two cores hand each other; fixed here, not taken from the build
inline constexpr std::size_t kPage = 4096;  // granularity of commitment

// What lies in a segment. The numbers are ABI.
enum class ObjectKind : std::uint32_t {
  kRaw = 1,
  kQueue = 2,
  kSpscQueue = 3,
  kPool = 4,
  kMutex = 5,
  kRecursiveMutex = 6,
  kEvent = 7,
  kSemaphore = 8,
  kBoundedSemaphore = 9,
  kCondition = 10,
  kLatch = 11,
  kBarrier = 12,
  kSharedMutex = 13,
  kValue = 14,
  kArray = 15,
  kPipe = 16,
  kPriorityQueue = 17,
  kStack = 18,
  kBroadcast = 19,
  kSpscRecords = 20,
};

[[nodiscard]] constexpr const char* kind_name(ObjectKind kind) noexcept {
  switch (kind) {
    case ObjectKind::kRaw: return "segment";
    case ObjectKind::kQueue: return "queue";
    case ObjectKind::kSpscQueue: return "spsc_queue";
    case ObjectKind::kPool: return "pool";
    case ObjectKind::kMutex: return "mutex";
    case ObjectKind::kRecursiveMutex: return "recursive_mutex";
    case ObjectKind::kEvent: return "event";
    case ObjectKind::kSemaphore: return "semaphore";
    case ObjectKind::kBoundedSemaphore: return "bounded_semaphore";
    case ObjectKind::kCondition: return "condition";
    case ObjectKind::kLatch: return "latch";
    case ObjectKind::kBarrier: return "barrier";
    case ObjectKind::kSharedMutex: return "shared_mutex";
    case ObjectKind::kValue: return "value";
    case ObjectKind::kArray: return "array";
    case ObjectKind::kPipe: return "pipe";
    case ObjectKind::kPriorityQueue: return "priority_queue";
    case ObjectKind::kStack: return "stack";
    case ObjectKind::kBroadcast: return "broadcast";
    case ObjectKind::kSpscRecords: return "spsc_records";
  }
  return "unknown";
}

// How waiters and notifiers of a segment order their words; fixed when it is created.
enum class WaitMode : std::uint32_t {
  kMembarrier = 1,  // waiters call membarrier(GLOBAL_EXPEDITED), notifiers pay nothing
  kFenced = 2,      // both sides use a sequentially consistent read-modify-write
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4);

}  // namespace warren::layout
