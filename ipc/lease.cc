#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/lease.h>

namespace warren::detail {

LeaseHold::LeaseHold(std::shared_ptr<ParcelRing> parcels, const LeaseTicket& ticket, std::uint64_t block) noexcept
    : parcels_(std::move(parcels)),
      cells_(parcels_->ring().cells()),
      takes_(parcels_->takes()),
      ticket_(ticket),
      block_(block),
      epoch_(process_epoch()) {}

void LeaseHold::take(LeaseHold& from) noexcept {
  attachment_ = std::move(from.attachment_);
  parcels_ = std::move(from.parcels_);
  cells_ = from.cells_;
  takes_ = from.takes_;
  ticket_ = std::exchange(from.ticket_, {});
  block_ = from.block_;
  epoch_ = std::exchange(from.epoch_, 0);
}

bool LeaseHold::acknowledge() noexcept {
  if (!held()) return false;
  epoch_ = 0;
  if (!takes_.finish_one([this] { return cells_.remove(ticket_); })) return false;
  WARREN_CRASH_POINT(lease_acknowledged);  // reclaim() frees the block: nothing holds its item any more
  if (parcels_ && block_ != 0) parcels_->free_item(block_, ticket_.position);
  return true;
}

bool LeaseHold::give_back() noexcept {
  if (!held()) return false;
  epoch_ = 0;
  return cells_.give_back(ticket_);
}

}  // namespace warren::detail
