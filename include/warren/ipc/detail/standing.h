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

// `word` is what names the holder of lane `index` in `generation`: what is taken from the dead by a CAS on it.
Standing standing(const Attachment& attachment, Seat& seat, std::uint32_t index, std::uint16_t generation,
                  std::uint64_t word) noexcept;

}  // namespace warren::detail
