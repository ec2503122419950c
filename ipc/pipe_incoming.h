// Incoming: what a process holds of the direction that an end of a pipe receives from.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/byte_ring.h>
#include <warren/ipc/detail/doorbell.h>
#include <warren/ipc/detail/message.h>
#include <warren/ipc/detail/mutex_core.h>

#include <memory>
#include <optional>
#include <vector>

#include "pipe_line.h"
#include "pipe_turn.h"

namespace warren::detail {

// What a recv takes. Another message stays.
struct Wanted {
  std::optional<std::uint32_t> type = {};  // none: any
  std::size_t most = SIZE_MAX;             // bytes

  [[nodiscard]] absl::Status check(std::uint32_t found, std::uint64_t length) const;
};

// Thread-safe and process-safe. `bell` is this end's.
class Incoming {
 public:
  Incoming(Attachment& attachment, layout::PipeDirection& words, std::byte* bytes, std::uint64_t capacity,
           LifeLine& line, int bell) noexcept
      : attachment_(attachment),
        words_(words),
        ring_(words, bytes, capacity),
        line_(line),
        lock_(attachment, words.receiving),
        door_(words.door, attachment.wait_mode(), bell) {}
  ~Incoming() { delete parked_.load(std::memory_order_relaxed); }
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  absl::Status recv(const Wanted& wanted, MessageBuffer& out, Deadline deadline);
  // True: a recv would not wait: there is something, or the end of the stream.
  bool poll(Deadline deadline);
  // Somebody's loop of events waits for the bell: from now on it is kept right while nobody is in a call.
  void watch() noexcept;
  // The processes that hold this end become fewer, and this one says so.
  void depart() noexcept;

 private:
  // A message of several pieces, as far as it has come.
  struct Assembly {
    std::uint32_t type = 0;
    std::uint64_t total = 0;
    std::uint64_t head = 0;  // of the ring, behind its last piece
    std::vector<std::byte> bytes;
  };
  enum class Came { kSomething, kEnd, kTimeout, kRefused };

  std::optional<absl::Status> take(const Wanted& wanted, MessageBuffer& out, Deadline deadline);
  absl::Status take_whole(const ByteRing::Piece& piece, MessageBuffer& out);
  std::optional<absl::Status> assemble(std::unique_ptr<Assembly> part, MessageBuffer& out, Deadline deadline);
  absl::Status append(const ByteRing::Piece& piece, Assembly& part);
  void consume(const ByteRing::Piece& piece) noexcept;
  void pass_orphans() noexcept;
  void park(std::unique_ptr<Assembly> part) noexcept;
  void dropped() noexcept { words_.dropped.fetch_add(1, std::memory_order_relaxed); }

  Came await(Deadline deadline, bool my_turn, absl::Status& refused);
  bool arm_and_look() noexcept;
  void settle() noexcept;
  void inherit(const Turn& turn) noexcept;
  [[nodiscard]] bool watched() const noexcept { return words_.watched.load(std::memory_order_relaxed) != 0; }

  Attachment& attachment_;
  layout::PipeDirection& words_;
  ByteRing ring_;
  LifeLine& line_;
  MutexCore lock_;
  Doorbell door_;
  Spinner spinner_;
  // Where a time limit ended in the midst of a message. Whole whenever a fork copies it.
  std::atomic<Assembly*> parked_{nullptr};
};

}  // namespace warren::detail
