// Outgoing: what a process holds of the direction that an end of a pipe sends into.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/byte_ring.h>
#include <warren/ipc/detail/doorbell.h>
#include <warren/ipc/detail/mutex_core.h>

#include <span>

#include "pipe_line.h"

namespace warren::detail {

// Thread-safe and process-safe. `bell` is the receivers'.
class Outgoing {
 public:
  Outgoing(Attachment& attachment, layout::PipeDirection& words, std::byte* bytes, std::uint64_t capacity,
           LifeLine& line, int bell) noexcept
      : attachment_(attachment),
        words_(words),
        ring_(words, bytes, capacity),
        line_(line),
        lock_(attachment, words.sending),
        door_(words.door, attachment.wait_mode(), bell) {}

  // Blocks while there is no room. Unavailable: nobody holds the receiving end.
  absl::Status send(std::uint32_t type, std::span<const std::byte> message);

 private:
  bool await_room(std::uint64_t record);
  absl::Status stream(std::span<const std::byte> rest);
  void put(layout::PieceHead head, std::uint64_t total, std::span<const std::byte> payload) noexcept;

  Attachment& attachment_;
  layout::PipeDirection& words_;
  ByteRing ring_;
  LifeLine& line_;
  MutexCore lock_;
  Doorbell door_;
  Spinner spinner_;
};

}  // namespace warren::detail
