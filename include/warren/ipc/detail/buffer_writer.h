// BufferWriter: a Writer into memory of its own, for private copies.
#pragma once
#include <warren/ipc/codec.h>

#include <cstddef>
#include <span>
#include <vector>

namespace warren::detail {

class BufferWriter : public Writer {
 public:
  BufferWriter() noexcept : Writer({}, &BufferWriter::grow, this) {}

 private:
  static std::span<std::byte> grow(void* self, std::size_t used, std::size_t needed);

  std::vector<std::byte> buffer_;
};

}  // namespace warren::detail
