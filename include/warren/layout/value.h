// A value, as it lies in memory. docs/algorithms/value.md has the protocol.
//   up to 8 bytes: ValueHeader, whose word is the value itself, zeros behind it
//   more:          ValueHeader, then two copies of copy_bytes each; word counts publications, and the copy of its last
//                  bit is the value
#pragma once
#include <warren/layout/mutex.h>

namespace warren::layout {

struct ValueHeader {
  Mutex mutex;   // the users', for what spans several objects
  Mutex writer;  // who publishes holds it
  alignas(kLine) std::atomic<std::uint64_t> word;
  std::uint64_t copy_bytes;  // of one copy, whole lines; 0: the word is the value
  std::byte reserved[48];
};
static_assert(offsetof(ValueHeader, writer) == 64 && offsetof(ValueHeader, word) == 128);
static_assert(sizeof(ValueHeader) == 192);

}  // namespace warren::layout
