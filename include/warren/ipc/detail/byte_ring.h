// One direction of a pipe: records of bytes, put by one thread at a time and taken by one at a time, whoever they are.
// Locks and waiting are its user's. docs/algorithms/pipe.md has the ordering and crash tables.
//
// One word commits on each side: tail, head. What a side last saw of the other's is kept in private memory, so that its
// line is read only when the ring looks full or empty; positions only grow, so an old copy is safe.
#pragma once
#include <warren/ipc/detail/crash_point.h>
#include <warren/layout/pipe.h>

#include <cstring>
#include <span>

namespace warren::detail {

class ByteRing {
 public:
  static constexpr std::uint64_t kUnit = 8;  // records begin at its multiples, so that no head is ever cut in two

  // `capacity` bytes lie at `bytes`: a power of two that was checked.
  ByteRing(layout::PipeDirection& words, std::byte* bytes, std::uint64_t capacity) noexcept
      : words_(&words), bytes_(bytes), capacity_(capacity) {}

  [[nodiscard]] static constexpr std::uint64_t record_bytes(layout::PieceHead head) noexcept {
    const std::uint64_t total = head.first && !head.last ? sizeof(std::uint64_t) : 0;
    return kUnit + total + (std::uint64_t{head.length} + kUnit - 1) / kUnit * kUnit;
  }
  // True: a message of so many bytes goes in one record.
  [[nodiscard]] bool holds(std::size_t length) const noexcept { return length <= capacity_ - kUnit; }
  // Of a message that does not: so much at a time, that the other side takes one piece while the next is written.
  [[nodiscard]] std::size_t piece_bytes() const noexcept { return capacity_ / 4; }

  // --- the sender

  enum class Room { kEnough, kTooLittle, kCorrupt };
  // Of who may put only; for others it says what is worth a try.
  [[nodiscard]] Room room_for(std::uint64_t record) noexcept;
  // `total` is written with the first of several pieces.
  void put(layout::PieceHead head, std::uint64_t total, std::span<const std::byte> payload) noexcept;

  // --- the receiver

  [[nodiscard]] bool readable() noexcept;  // anybody's: something lies there, or the positions are corrupt

  struct Piece {
    layout::PieceHead head;
    std::uint64_t total = 0;  // of the message, where this is its first piece
    std::uint64_t payload = 0, end = 0;
  };
  enum class Look { kNothing, kPiece, kCorrupt };
  [[nodiscard]] Look look(Piece& piece) noexcept;
  void copy(const Piece& piece, std::byte* to) const noexcept { copy_out(piece.payload, {to, piece.head.length}); }
  void take(const Piece& piece) noexcept;
  [[nodiscard]] std::uint64_t head() const noexcept { return words_->head.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::byte* at(std::uint64_t position) const noexcept { return bytes_ + (position & (capacity_ - 1)); }
  [[nodiscard]] bool possible(std::uint64_t tail, std::uint64_t head) const noexcept {
    return tail - head <= capacity_ && tail % kUnit == 0 && head % kUnit == 0;
  }
  [[nodiscard]] std::uint64_t word_at(std::uint64_t position) const noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, at(position), sizeof word);
    return word;
  }
  void copy_in(std::uint64_t position, std::span<const std::byte> from) noexcept;
  void copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept;

  layout::PipeDirection* words_;
  std::byte* bytes_;
  std::uint64_t capacity_;
  std::atomic<std::uint64_t> seen_head_{0}, seen_tail_{0};  // this process's threads share them
};

inline ByteRing::Room ByteRing::room_for(std::uint64_t record) noexcept {
  const std::uint64_t tail = words_->tail.load(std::memory_order_relaxed);
  const auto enough = [&](std::uint64_t head) { return possible(tail, head) && capacity_ - (tail - head) >= record; };
  if (enough(seen_head_.load(std::memory_order_acquire))) return Room::kEnough;  // [CN5] as CN4; pairs with CN6
  const std::uint64_t head =
      words_->head.load(std::memory_order_acquire);  // [CN4] what was taken is no longer read; pairs with CN3
  if (!possible(tail, head)) return Room::kCorrupt;
  seen_head_.store(head, std::memory_order_release);  // [CN6] for other threads; pairs with CN5
  return enough(head) ? Room::kEnough : Room::kTooLittle;
}

inline void ByteRing::put(layout::PieceHead head, std::uint64_t total, std::span<const std::byte> payload) noexcept {
  const std::uint64_t tail = words_->tail.load(std::memory_order_relaxed);
  const std::uint64_t word = head.word();
  std::memcpy(at(tail), &word, sizeof word);
  std::uint64_t position = tail + kUnit;
  if (head.first && !head.last) {
    std::memcpy(at(position), &total, sizeof total);
    position += kUnit;
  }
  copy_in(position, payload);
  WARREN_CRASH_POINT(pipe_written);  // not committed: the next sender writes over it
  words_->tail.store(tail + record_bytes(head), std::memory_order_release);  // [CN1] COMMIT; pairs with CN2
}

inline bool ByteRing::readable() noexcept {
  const std::uint64_t head = words_->head.load(std::memory_order_relaxed);
  if (static_cast<std::int64_t>(seen_tail_.load(std::memory_order_relaxed) - head) > 0) return true;
  return words_->tail.load(std::memory_order_relaxed) != head;
}

inline ByteRing::Look ByteRing::look(Piece& piece) noexcept {
  const std::uint64_t head = words_->head.load(std::memory_order_relaxed);
  std::uint64_t tail = seen_tail_.load(std::memory_order_acquire);  // [CN7] as CN2; pairs with CN8
  if (static_cast<std::int64_t>(tail - head) <= 0 || tail - head > capacity_) {
    tail = words_->tail.load(std::memory_order_acquire);  // [CN2] the records up to there; pairs with CN1
    if (!possible(tail, head)) return Look::kCorrupt;
    seen_tail_.store(tail, std::memory_order_release);  // [CN8] for other threads; pairs with CN7
  }
  if (tail == head) return Look::kNothing;
  if (tail - head < kUnit || head % kUnit != 0) return Look::kCorrupt;
  piece.head = layout::PieceHead::from(word_at(head));
  const std::uint64_t record = record_bytes(piece.head);
  if (record > tail - head) return Look::kCorrupt;
  const bool more = piece.head.first && !piece.head.last;
  piece.total = more ? word_at(head + kUnit) : piece.head.length;
  if (more && piece.total <= piece.head.length) return Look::kCorrupt;
  piece.payload = head + kUnit + (more ? kUnit : 0);
  piece.end = head + record;
  return Look::kPiece;
}

inline void ByteRing::take(const Piece& piece) noexcept {
  words_->head.store(piece.end, std::memory_order_release);  // [CN3] COMMIT, frees the bytes; pairs with CN4
  WARREN_CRASH_POINT(pipe_taken);  // the piece was this receiver's; senders that wait for room: their slices
}

inline void ByteRing::copy_in(std::uint64_t position, std::span<const std::byte> from) noexcept {
  const std::size_t until_wrap = capacity_ - (position & (capacity_ - 1));
  const std::size_t first = from.size() < until_wrap ? from.size() : until_wrap;
  if (first != 0) std::memcpy(at(position), from.data(), first);
  if (first != from.size()) std::memcpy(bytes_, from.data() + first, from.size() - first);
}

inline void ByteRing::copy_out(std::uint64_t position, std::span<std::byte> to) const noexcept {
  const std::size_t until_wrap = capacity_ - (position & (capacity_ - 1));
  const std::size_t first = to.size() < until_wrap ? to.size() : until_wrap;
  if (first != 0) std::memcpy(to.data(), at(position), first);
  if (first != to.size()) std::memcpy(to.data() + first, bytes_, to.size() - first);
}

}  // namespace warren::detail
