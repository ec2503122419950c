#include <absl/strings/str_cat.h>
#include <warren/ipc/detail/record_ring.h>

#include <algorithm>
#include <bit>

namespace warren::detail {

using layout::kRecordUnit;
using layout::SpscRingHeader;

absl::StatusOr<SegmentPlan> RecordRing::plan(std::size_t ring_bytes) {
  constexpr std::size_t kMost = std::size_t{8} << 30;  // of which the longest record is half
  if (ring_bytes == 0)
    return absl::InvalidArgumentError("a ring of 0 bytes: say how much it holds, for example 1 << 20");
  if (ring_bytes > kMost) {
    return absl::InvalidArgumentError(absl::StrCat("a ring of ", ring_bytes, " bytes: it has at most ", kMost));
  }
  const std::size_t units = std::bit_ceil(std::max(ring_bytes, layout::kPage)) / kRecordUnit;
  return SegmentPlan{.kind = layout::ObjectKind::kSpscRecords,
                     .size = SpscRing::bytes_for(units, kRecordUnit),
                     .wait_words = {offsetof(SpscRingHeader, not_empty), offsetof(SpscRingHeader, not_full)},
                     .initialise = [units](std::span<std::byte> object) {
                       SpscRing::initialise(*reinterpret_cast<SpscRingHeader*>(object.data()), units, kRecordUnit);
                     }};
}

absl::StatusOr<std::shared_ptr<RecordRing>> RecordRing::attach(Attachment::Pointer attachment) {
  const auto& header = *reinterpret_cast<const SpscRingHeader*>(attachment->object());
  const absl::StatusOr<std::uint64_t> capacity = SpscRing::check(header, attachment->size(), kRecordUnit);
  if (!capacity.ok()) return capacity.status();
  if (*capacity < layout::kPage / kRecordUnit) {
    return absl::DataLossError("the header of the ring is corrupt: it is too small for records");
  }
  return std::shared_ptr<RecordRing>(new RecordRing(std::move(attachment), *capacity));
}

RecordRing::RecordRing(Attachment::Pointer attachment, std::uint64_t capacity)
    : attachment_(std::move(attachment)),
      ring_(*attachment_, *reinterpret_cast<SpscRingHeader*>(attachment_->object()), capacity, kRecordUnit) {}

void RecordRing::give_up() noexcept {
  if (!ring_.corrupt()) ring_.close(layout::kRingCorrupt);
  WARREN_CRASH_POINT(records_given_up);  // who takes the side over finds them still there, and CORRUPT
  ring_.consume(ring_.readable(ring_.capacity()));
}

bool RecordRing::room_for(std::size_t bytes) noexcept {
  if (ring_.side(Side::kProducer).mine()) return place_for(bytes).has_value();
  return ring_.capacity() - ring_.approx_size() >= units_for(bytes);
}

LentMemory RecordRing::lend(Side which, std::size_t end, std::span<std::byte> memory) noexcept {
  SpscSide& side = ring_.side(which);
  side.lent.store(++side.lends, std::memory_order_relaxed);
  return {.ref = side.lends, .owner = std::uint64_t{end} << 1 | (which == Side::kConsumer ? 1u : 0u), .memory = memory};
}

bool RecordRing::commit(const LentMemory& loan) noexcept {
  SpscSide& side = ring_.side(Side::kProducer);
  if (side_of(loan) != Side::kProducer || !side.mine() || side.lent.load(std::memory_order_relaxed) != loan.ref) {
    return false;
  }
  const std::size_t end = units_of(loan);
  write_heads({.skipped = end - units_for(loan.memory.size()), .end = end, .memory = loan.memory});
  if (!ring_.commit(end)) return false;
  side.lent.store(0, std::memory_order_relaxed);
  return true;
}

// The number says whether it is this one that stands: the side may have passed to another thread, which lends anew.
void RecordRing::give_back(const LentMemory& lent) noexcept {
  SpscSide& side = ring_.side(side_of(lent));
  const bool mine = side.mine();
  std::uint64_t ref = lent.ref;
  const bool stood = side.lent.compare_exchange_strong(
      ref, 0, std::memory_order_release, std::memory_order_relaxed);  // [SR2] done with the memory; pairs with SR1
  if (!stood || !mine || side_of(lent) == Side::kProducer) return;
  take({.end = units_of(lent), .memory = lent.memory});
  notify(ring_.not_full(), attachment_->wait_mode(), kWakeAll);
}

}  // namespace warren::detail
