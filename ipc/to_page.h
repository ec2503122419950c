// What lies in a segment, or is committed there, begins on a page.
#pragma once
#include <warren/layout/abi.h>

namespace warren::detail {

constexpr std::uint64_t to_page(std::uint64_t bytes) noexcept {
  return (bytes + layout::kPage - 1) / layout::kPage * layout::kPage;
}

}  // namespace warren::detail
