// How objects in shared memory are made: how long their names live, and what a segment is like.
#pragma once
#include <cstddef>

namespace warren {

// Who ends the life of a name. The creator decides.
enum class Lifetime {
  kWhileAttached,  // the last process that leaves removes it; where kills left one behind, the next create or open of
                   // that name removes it, and open says NotFound
  kUntilUnlinked,  // only unlink() does
};

struct SegmentOptions {
  std::size_t max_size = 0;  // bytes; more than size: growable up to this, by grow(), without remapping
  bool seal = true;          // anonymous segments: nobody can shrink or grow the memfd under a reader
  bool huge_pages = false;   // asks for them; falls back silently
  Lifetime lifetime = Lifetime::kWhileAttached;
};

// Of objects whose size is known: locks, events, semaphores, values.
struct ObjectOptions {
  Lifetime lifetime = Lifetime::kWhileAttached;  // of the name, and of what the object remembers
};

}  // namespace warren
