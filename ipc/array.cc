#include <warren/ipc/detail/array_geometry.h>
#include <warren/ipc/detail/words.h>

#include <absl/strings/str_cat.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace warren::detail {

absl::StatusOr<std::size_t> ArrayGeometry::bytes_for(std::size_t size) const {
  constexpr std::size_t kMostBytes = std::size_t{1} << 45;
  if (size > (kMostBytes - elements_offset) / element_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("an array of ", size, " elements of ", element_bytes,
                                                   " bytes does not fit into the address space"));
  }
  return elements_offset + size * element_bytes;
}

absl::StatusOr<std::size_t> ArrayGeometry::check(const layout::ArrayHeader& header, std::size_t available) const {
  const std::uint64_t size = available < sizeof header ? 0 : read_once(header.size);
  const bool fits = available >= elements_offset && read_once(header.element_bytes) == element_bytes &&
                    read_once(header.elements_offset) == elements_offset &&
                    size <= (available - elements_offset) / element_bytes;
  if (!fits) return absl::DataLossError("the header of the array is corrupt: its geometry");
  return size;
}

absl::Status another_size(std::string_view name, std::size_t found, std::size_t wanted) {
  return absl::FailedPreconditionError(absl::StrCat("'", std::string(name), "' is an array of ", found,
                                                    " elements, not of ", wanted,
                                                    ": open it as it is, or create another one under another name"));
}

void stop_out_of_bounds(std::size_t index, std::size_t size) noexcept {
  std::fprintf(stderr, "warren: index %zu of an Array of %zu elements\n", index, size);
  std::abort();
}

}  // namespace warren::detail
