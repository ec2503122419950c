// What of an array does not depend on the type of its elements.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/layout/array.h>

#include <algorithm>
#include <string_view>

namespace warren::detail {

struct ArrayGeometry {
  std::size_t element_bytes;
  std::size_t elements_offset;

  template <class T>
  [[nodiscard]] static constexpr ArrayGeometry of() noexcept {
    constexpr std::size_t kAlign = std::max(alignof(T), layout::kLine);
    return {.element_bytes = sizeof(T),
            .elements_offset = (sizeof(layout::ArrayHeader) + kAlign - 1) / kAlign * kAlign};
  }

  // InvalidArgument for more than could be addressed.
  [[nodiscard]] absl::StatusOr<std::size_t> bytes_for(std::size_t size) const;
  // The number of elements; DataLoss where the header cannot be that of such an array in `available` bytes.
  [[nodiscard]] absl::StatusOr<std::size_t> check(const layout::ArrayHeader& header, std::size_t available) const;
};

absl::Status another_size(std::string_view name, std::size_t found, std::size_t wanted);
[[noreturn]] void stop_out_of_bounds(std::size_t index, std::size_t size) noexcept;

}  // namespace warren::detail
