// Words: the object of a segment that one struct fills.
#pragma once
#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/attachment.h>

namespace warren::detail {

// DataLoss where the segment is too small for it; `what` names the object.
template <class Words>
absl::StatusOr<Words*> words_in(const Attachment& attachment, const char* what) {
  if (attachment.size() < sizeof(Words))
    return absl::DataLossError(absl::StrCat("the ", what, " is corrupt: its size"));
  return reinterpret_cast<Words*>(attachment.object());
}

}  // namespace warren::detail
