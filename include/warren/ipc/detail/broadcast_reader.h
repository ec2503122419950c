// One subscriber's place in a broadcast, and the cell that makes writers wait for it, which it gives back at its end.
#pragma once
#include <warren/ipc/detail/broadcast_ring.h>

#include <optional>
#include <utility>

namespace warren::detail {

// For one thread at a time. A copy of it in a forked child goes on by itself: nobody waits for it there, and it leaves
// its parent's cell alone.
class BroadcastReader {
 public:
  static absl::StatusOr<BroadcastReader> join(Attachment::Pointer attachment, const BroadcastRing& ring);
  BroadcastReader(BroadcastReader&& from) noexcept
      : attachment_(std::move(from.attachment_)),
        ring_(from.ring_),
        place_(from.place_),
        cell_(std::exchange(from.cell_, std::nullopt)),
        epoch_(from.epoch_) {}
  BroadcastReader& operator=(BroadcastReader&& from) noexcept;
  ~BroadcastReader() { leave(); }

  template <class Read>
  Received try_read(Read&& read) {
    part_from_parent();
    return ring_.try_read(place_, std::forward<Read>(read));
  }
  template <class Read>
  Received read_until(Deadline deadline, Read&& read);
  [[nodiscard]] std::uint64_t lost() const noexcept { return place_.lost; }
  [[nodiscard]] bool at_end() const noexcept { return ring_.at_end(place_); }

 private:
  BroadcastReader(Attachment::Pointer attachment, const BroadcastRing& ring) noexcept
      : attachment_(std::move(attachment)), ring_(ring), place_(ring.last()) {}
  void part_from_parent() noexcept {
    if (cell_ && epoch_ != process_epoch()) [[unlikely]] {
      cell_.reset();
      place_.cursor = nullptr;
    }
  }
  void leave() noexcept;

  Attachment::Pointer attachment_;  // null: moved from
  BroadcastRing ring_;
  BroadcastPlace place_;
  std::optional<BroadcastRing::Cell> cell_;
  std::uint64_t epoch_ = process_epoch();
};

template <class Read>
Received BroadcastReader::read_until(Deadline deadline, Read&& read) {
  Received received = Received::kNothing;
  (void)attachment_->wait_for_change(ring_.not_empty(), attachment_->seat().pop_spinner, deadline, [&] {
    received = try_read(read);
    return received == Received::kNothing ? Progress::kBlocked : Progress::kDone;
  });
  return received;
}

}  // namespace warren::detail
