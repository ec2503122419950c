// The ring of one producer and one consumer, of records of any length: SpscRing with slots of 8 bytes, and what makes
// records of them. docs/algorithms/spsc_records.md.
//
// A record, the head before it and the units that are skipped to keep it in one piece are published by one store, and
// freed by one.
#pragma once
#include <warren/ipc/detail/lender.h>
#include <warren/ipc/detail/spsc_ring.h>
#include <warren/layout/spsc_records.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>

namespace warren::detail {

class RecordRing final : public Lender {
 public:
  // InvalidArgument for what cannot be.
  static absl::StatusOr<SegmentPlan> plan(std::size_t ring_bytes);
  static absl::StatusOr<std::shared_ptr<RecordRing>> attach(Attachment::Pointer attachment);

  [[nodiscard]] SpscRing& ring() noexcept { return ring_; }
  [[nodiscard]] const SpscRing& ring() const noexcept { return ring_; }
  [[nodiscard]] Attachment& attachment() const noexcept override { return *attachment_; }
  // Of a record: with what has to be skipped for it, it goes into an empty ring wherever that stands.
  [[nodiscard]] std::size_t most_bytes() const noexcept {
    return ring_.capacity() / 2 * layout::kRecordUnit - layout::kRecordUnit;
  }
  [[nodiscard]] bool lent(Side which) const noexcept {
    return ring_.side(which).lent.load(std::memory_order_acquire) != 0;  // [SR1] it may end elsewhere; pairs with SR2
  }

  // --- the producer's. Places follow one another: `ahead` units are written before this one, and not committed.

  struct Place {
    std::size_t skipped = 0, end = 0;  // units: before the head; from the owner's index to behind the record
    std::span<std::byte> memory;
  };
  [[nodiscard]] std::optional<Place> place_for(std::size_t bytes, std::size_t ahead = 0) noexcept;
  void write_heads(const Place& place, std::size_t ahead = 0) noexcept;
  // Anybody's: a guess, unless it is the owner who asks.
  [[nodiscard]] bool room_for(std::size_t bytes) noexcept;

  // --- the consumer's.

  struct Record {
    std::size_t end = 0;  // units from the owner's index
    std::span<std::byte> memory;
  };
  enum class Look { kRecord, kNothing, kCorrupt };
  // What a peer wrote is copied once and checked against what is published: a record lies there as a whole, or
  // kCorrupt. That closes the ring, for ever; what had been published is dropped, since nobody can tell where the next
  // record begins.
  [[nodiscard]] Look look(Record& record) noexcept {
    const bool some = ring_.readable(1) != 0;
    if (!some && !ring_.side(Side::kConsumer).astray) return Look::kNothing;
    if (some && !ring_.corrupt() && find(record)) [[likely]]
      return Look::kRecord;
    give_up();
    return Look::kCorrupt;
  }
  void take(const Record& record) noexcept { ring_.consume(record.end); }

  // --- in place, by the owner of the side: one at a time.

  LentMemory lend(Side which, std::size_t end, std::span<std::byte> memory) noexcept;
  // Of a loan of the caller's that stands. False: it does not, or the ring is closed.
  bool commit(const LentMemory& loan) noexcept;
  // By anybody in this process. Of a record: taken, if it is the owner who gives it back; else it is read again.
  void give_back(const LentMemory& lent) noexcept override;

 private:
  RecordRing(Attachment::Pointer attachment, std::uint64_t capacity);
  [[nodiscard]] static constexpr std::size_t units_for(std::size_t bytes) noexcept {
    return 1 + (bytes + layout::kRecordUnit - 1) / layout::kRecordUnit;
  }
  [[nodiscard]] static layout::RecordHead head_at(const std::byte* place) noexcept {
    return layout::RecordHead::from(read_once(*reinterpret_cast<const std::uint64_t*>(place)));
  }
  static void write_head(std::byte* place, std::uint32_t length) noexcept {
    const std::uint64_t word = layout::RecordHead{.length = length}.word();
    std::memcpy(place, &word, sizeof word);
  }
  [[nodiscard]] bool find(Record& record) noexcept;
  void give_up() noexcept;
  // LentMemory::owner: the units from the owner's index to the end of it, and in bit 0 whose it is.
  [[nodiscard]] static Side side_of(const LentMemory& lent) noexcept {
    return (lent.owner & 1) != 0 ? Side::kConsumer : Side::kProducer;
  }
  [[nodiscard]] static std::size_t units_of(const LentMemory& lent) noexcept { return lent.owner >> 1; }

  Attachment::Pointer attachment_;
  SpscRing ring_;
};

inline std::optional<RecordRing::Place> RecordRing::place_for(std::size_t bytes, std::size_t ahead) noexcept {
  const std::size_t units = units_for(bytes);
  const std::size_t until_wrap = ring_.until_wrap(Side::kProducer, ahead);
  const std::size_t skipped = units <= until_wrap ? 0 : until_wrap;
  const std::size_t end = ahead + skipped + units;
  if (ring_.writable(end) < end) return std::nullopt;
  std::byte* const head = ring_.write_place(ahead + skipped);
  return Place{.skipped = skipped, .end = end, .memory = {head + layout::kRecordUnit, bytes}};
}

inline void RecordRing::write_heads(const Place& place, std::size_t ahead) noexcept {
  if (place.skipped != 0) write_head(ring_.write_place(ahead), layout::RecordHead::kSkips);
  write_head(ring_.write_place(ahead + place.skipped), static_cast<std::uint32_t>(place.memory.size()));
}

inline bool RecordRing::find(Record& record) noexcept {
  std::size_t skipped = 0;
  layout::RecordHead head = head_at(ring_.read_place());
  std::size_t until_wrap = ring_.until_wrap(Side::kConsumer);
  if (head.whole && head.length == layout::RecordHead::kSkips) {
    skipped = until_wrap;
    if (skipped == ring_.capacity() || ring_.readable(skipped + 1) <= skipped) return false;
    head = head_at(ring_.read_place(skipped));
    until_wrap = ring_.capacity();
  }
  if (!head.whole || head.length > most_bytes()) return false;
  const std::size_t units = units_for(head.length);
  record.end = skipped + units;
  if (units > until_wrap || ring_.readable(record.end) < record.end) return false;
  record.memory = {ring_.read_place(skipped) + layout::kRecordUnit, head.length};
  return true;
}

}  // namespace warren::detail
