#include <warren/ipc/detail/broadcast_reader.h>

namespace warren::detail {

absl::StatusOr<BroadcastReader> BroadcastReader::join(Attachment::Pointer attachment, const BroadcastRing& ring) {
  BroadcastReader reader(std::move(attachment), ring);
  if (ring.waits_for_readers()) {
    const absl::StatusOr<BroadcastRing::Cell> cell = reader.ring_.join(reader.place_);
    if (!cell.ok()) return cell.status();
    reader.cell_ = *cell;
  }
  return reader;
}

BroadcastReader& BroadcastReader::operator=(BroadcastReader&& from) noexcept {
  if (this == &from) return *this;
  leave();
  attachment_ = std::move(from.attachment_);
  ring_ = from.ring_;
  place_ = from.place_;
  cell_ = std::exchange(from.cell_, std::nullopt);
  epoch_ = from.epoch_;
  return *this;
}

void BroadcastReader::leave() noexcept {
  part_from_parent();
  if (cell_) ring_.leave(*std::exchange(cell_, std::nullopt));
}

}  // namespace warren::detail
