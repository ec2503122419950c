#include <warren/ipc/detail/message.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

namespace warren::detail {

bool MessageBuffer::resize(std::size_t length) noexcept {
  if (length > lent_.size()) {
    try {
      own_.resize(length);
    } catch (const std::exception&) {
      return false;
    }
  }
  length_ = length;
  return true;
}

void MessageBuffer::adopt(std::vector<std::byte>&& whole) noexcept {
  length_ = whole.size();
  if (length_ > lent_.size()) {
    own_ = std::move(whole);
  } else if (length_ != 0) {
    std::memcpy(lent_.data(), whole.data(), length_);
  }
}

std::span<std::byte> MessageWriter::grow(void* self, std::size_t used, std::size_t needed) {
  auto& [inline_bytes, heap, writer] = *static_cast<MessageWriter*>(self);
  const bool first = heap.empty();
  try {
    heap.resize(std::max(needed, used * 2));
  } catch (const std::exception&) {
    return {};
  }
  if (first && used != 0) std::memcpy(heap.data(), inline_bytes.data(), used);
  return heap;
}

}  // namespace warren::detail
