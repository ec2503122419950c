// Columns of text.
#pragma once
#include <string>
#include <vector>

namespace warren::tools {

using Row = std::vector<std::string>;

// One line for each row, the columns as wide as they must be. All rows have as many cells as the first.
[[nodiscard]] std::vector<std::string> aligned(const std::vector<Row>& rows);

}  // namespace warren::tools
