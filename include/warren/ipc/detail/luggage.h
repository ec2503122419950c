#pragma once
#include <vector>

namespace warren::detail {

// Descriptors that are to stay open in a process that is started by exec, by their numbers here. passage.h.
using Luggage = std::vector<int>;

}  // namespace warren::detail
