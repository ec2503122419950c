// Names come from directories and from shared memory, so they may hold anything; terminals obey some of it.
#pragma once
#include <string>
#include <string_view>

namespace warren::tools {

// Valid UTF-8 stays, backslashes double; control characters and bytes that are no UTF-8 become \n, \t or \x1b.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace warren::tools
