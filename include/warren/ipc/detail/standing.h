// Whether who stands in the way is gone. A load tells of one that was found dead before. To ask the kernel costs
// microseconds, so it is asked only where the same word has stood in the way for a while.
#pragma once
#include <warren/ipc/detail/attachment.h>

namespace warren::detail {

enum class Standing {
  kGone,     // it can hold nothing any more: it ended, or its process detached
  kNew,      // another word than at this thread's last look: from now on it is the one that stands
  kWaiting,  // not for long enough to ask
  kAlive,    // asked just now
};

// How long `word` has stood in the way of this thread's seat, which the caller has for itself.
enum class Stood {
  kNew,      // since this look: another word stood there at the last
  kShort,    // not for long enough to ask
  kTooLong,  // ask; from now on it is given as long again
};
Stood stood(Seat& seat, std::uint64_t word) noexcept;

// `word` is what names the holder of lane `index` in `generation`: what is taken from the dead by a CAS on it.
Standing standing(const Attachment& attachment, Seat& seat, std::uint32_t index, std::uint16_t generation,
                  std::uint64_t word) noexcept;

}  // namespace warren::detail
