#include "fuzz/packed_segment.h"

#include <unistd.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "fuzz/input.h"

namespace warren::fuzz {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;

// Within the file: it does not grow by what is written.
void write_within(int file, std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t file_bytes) {
  if (offset >= file_bytes) return;
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), file_bytes - offset));
  if (::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("cannot write the file");
  }
}

void append(std::vector<std::byte>& to, int file, std::uint64_t offset, std::size_t count) {
  const std::size_t before = to.size();
  to.resize(before + count);
  const ssize_t got = ::pread(file, to.data() + before, count, static_cast<off_t>(offset));
  to.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
}

}  // namespace

Shape unpack(std::span<const std::byte> packed, int file) {
  Input input(packed);
  auto shape = input.take<Shape>();
  shape.file_bytes = std::min(shape.file_bytes, kMaxFileBytes);
  if (::ftruncate(file, static_cast<off_t>(shape.file_bytes)) != 0) throw std::runtime_error("cannot size the file");
  write_within(file, input.take_bytes(sizeof(layout::SegmentHeader)), 0, shape.file_bytes);
  write_within(file, input.take_bytes(shape.lane_bytes % layout::kPage), layout::kLanesOffset, shape.file_bytes);
  write_within(file, input.rest(), layout::kObjectOffset, shape.file_bytes);
  return shape;
}

std::vector<std::byte> pack(int file, std::size_t lanes, std::size_t object_bytes, bool held) {
  const Shape shape{.file_bytes = static_cast<std::uint64_t>(::lseek(file, 0, SEEK_END)),
                    .lane_bytes = static_cast<std::uint32_t>(lanes * sizeof(layout::Lane)),
                    .held = held ? 1u : 0u};
  std::vector<std::byte> packed(sizeof shape);
  std::memcpy(packed.data(), &shape, sizeof shape);
  append(packed, file, 0, sizeof(layout::SegmentHeader));
  append(packed, file, layout::kLanesOffset, shape.lane_bytes);
  append(packed, file, layout::kObjectOffset, object_bytes);
  return packed;
}

}  // namespace warren::fuzz
