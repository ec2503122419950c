// A segment's file, packed: a real one is 4 MiB of lanes that are hardly used, and bytes to be fuzzed should be few.
//   Shape, the segment's header, Shape::lane_bytes of the lanes, and the object up to the end
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace warren::fuzz {

struct Shape {
  std::uint64_t file_bytes = 0;
  std::uint32_t lane_bytes = 0;
  std::uint32_t held = 0;  // odd: somebody else has the file locked, as an attached process has
};

// A file with what `packed` says, without a name and empty at first. Its size is held within a terabyte, all of it but
// what is written holes. Gives how it was packed.
Shape unpack(std::span<const std::byte> packed, int file);

// What is in the file: the header, `lanes` lanes, and `object_bytes` of the object.
std::vector<std::byte> pack(int file, std::size_t lanes, std::size_t object_bytes, bool held);

}  // namespace warren::fuzz
