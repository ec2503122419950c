// A pipe's words behind its connections, and where a blocked receiver is.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/pipe.h>
#include <warren/layout/pipe.h>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "support/watch.h"

namespace warren::test {

struct PipeView : Handle {
  static detail::Attachment& attachment(const Connection& connection) {
    return *(connection.*(&PipeView::attachment_));
  }
  static layout::PipeHeader& header(const Connection& connection) {
    return *reinterpret_cast<layout::PipeHeader*>(attachment(connection).object());
  }
  // To the first end: 0; to the second: 1.
  static layout::PipeDirection& to(const Connection& connection, int end) { return header(connection).direction[end]; }
  static std::span<std::byte> ring(const Connection& connection, int end) {
    const std::size_t capacity = header(connection).capacity;
    return {attachment(connection).object() + sizeof(layout::PipeHeader) + static_cast<std::size_t>(end) * capacity,
            capacity};
  }
};

// Returns when process, or thread, `id` sleeps in ppoll(2): that is where a blocked recv ends up, after it has spun.
[[nodiscard]] inline bool sleeps_in_poll(pid_t id) {
  return eventually([&] { return process_state(id) == 'S' && current_system_call(id) == SYS_ppoll; },
                    std::chrono::seconds(30));
}

inline std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// Bytes that tell their message and place.
inline std::vector<std::byte> pattern(std::size_t size, std::size_t seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + seed * 31);
  return bytes;
}

}  // namespace warren::test
