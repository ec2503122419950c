// An array, as it lies in memory: ArrayHeader, then at elements_offset its elements, one behind the other.
#pragma once
#include <warren/layout/mutex.h>

namespace warren::layout {

// Everything but the mutex is written before the array is published, and never again.
struct ArrayHeader {
  Mutex mutex;
  std::uint64_t size;             // elements
  std::uint64_t element_bytes;    // sizeof(T)
  std::uint64_t elements_offset;  // from here; a multiple of T's alignment and of a line
  std::byte reserved[40];
};
static_assert(offsetof(ArrayHeader, size) == 64 && sizeof(ArrayHeader) == 128);

}  // namespace warren::layout
