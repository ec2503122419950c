// What a message is while it travels: its type in one word, and the memory that it is written from and read into.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/ipc/detail/element.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace warren::detail {

// Tells types apart, so that a std::string is not read out of an int. Never 0, which is bytes. Two types of a program
// share a number once in four billion; what is read is checked all the same.
template <class T>
[[nodiscard]] std::uint32_t message_type() {
  static const std::uint32_t type = [] {
    const ElementType element = element_type<T>();
    const std::uint64_t mixed = (element.hash ^ element.size) * 0x9e37'79b9'7f4a'7c15;
    const auto folded = static_cast<std::uint32_t>(mixed >> 32);
    return folded == 0 ? 1 : folded;
  }();
  return type;
}

// As a task's arguments: a character literal or a view is sent as a std::string.
template <class T>
struct SentAs {
  static constexpr bool kText = !Carriable<std::decay_t<T>> && std::is_convertible_v<const T&, std::string_view>;
  using type = std::conditional_t<kText, std::string, T>;
};

// Memory that somebody lends, and a vector beyond that.
class MessageBuffer {
 public:
  explicit MessageBuffer(std::span<std::byte> lent = {}) noexcept : lent_(lent) {}
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;

  // Room for so many bytes. False: no memory.
  [[nodiscard]] bool resize(std::size_t length) noexcept;
  // Takes what was put together elsewhere.
  void adopt(std::vector<std::byte>&& whole) noexcept;
  [[nodiscard]] std::span<std::byte> bytes() noexcept {
    return length_ <= lent_.size() ? lent_.first(length_) : std::span(own_);
  }
  [[nodiscard]] std::vector<std::byte> release() && noexcept { return std::move(own_); }  // where nothing was lent

 private:
  std::span<std::byte> lent_;
  std::size_t length_ = 0;
  std::vector<std::byte> own_;
};

// A Writer that begins in memory of its own place, and goes on in the heap.
class MessageWriter {
 public:
  MessageWriter() noexcept : writer_(inline_, &MessageWriter::grow, this) {}
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;
  Writer& writer() noexcept { return writer_; }

 private:
  static std::span<std::byte> grow(void* self, std::size_t used, std::size_t needed);

  std::array<std::byte, 512> inline_;
  std::vector<std::byte> heap_;
  Writer writer_;
};

}  // namespace warren::detail
