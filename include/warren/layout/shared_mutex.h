// A reader-writer mutex, as it lies in memory. docs/algorithms/shared_mutex.md has the protocol.
#pragma once
#include <warren/layout/mutex.h>
#include <warren/layout/owned_cell.h>

namespace warren::layout {

inline constexpr std::uint32_t kReaderCells = 1024;

// Each on a line of its own, so that readers do not hand one to each other.
struct alignas(kLine) ReaderCell {
  std::atomic<std::uint64_t> owner;  // OwnedCell of a thread's lane, its note 24 bits of the thread; 0: nobody's
  std::byte reserved[56];
};
static_assert(sizeof(ReaderCell) == kLine);

struct SharedMutex {
  Mutex writer;                                       // who holds it, or waits for the readers to leave
  alignas(kLine) std::atomic<std::uint32_t> readers;  // wait word: readers, for the writer to leave
  std::atomic<std::uint32_t> drained;                 // wait word: the writer, for the readers to leave
  std::atomic<std::uint32_t> cells_high;              // cells ever used: what a writer has to look at
  std::byte reserved[52];
  ReaderCell cells[kReaderCells];
};
static_assert(offsetof(SharedMutex, readers) == 64 && offsetof(SharedMutex, cells_high) == 72);
static_assert(offsetof(SharedMutex, cells) == 128 && sizeof(SharedMutex) == 128 + kReaderCells * kLine);

}  // namespace warren::layout
