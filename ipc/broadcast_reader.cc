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
  mirror_ = std::move(from.mirror_);  // the old one ends while what it looks at is there
  attachment_ = std::move(from.attachment_);
  ring_ = from.ring_;
  place_ = from.place_;
  cell_ = std::exchange(from.cell_, std::nullopt);
  epoch_ = from.epoch_;
  return *this;
}

int BroadcastReader::fileno() const {
  if (mirror_ == nullptr) mirror_.reset(new Mirror{.position = place_.position, .readiness = {}});
  return mirror_->readiness.readable_when(*attachment_, ring_.not_empty(), [this] {
    return [ring = ring_, &position = mirror_->position] {
      return ring.something_at(position.load(std::memory_order_relaxed)) ? Progress::kDone : Progress::kBlocked;
    };
  });
}

void BroadcastReader::leave() noexcept {
  part_from_parent();
  if (cell_) ring_.leave(*std::exchange(cell_, std::nullopt));
}

}  // namespace warren::detail
