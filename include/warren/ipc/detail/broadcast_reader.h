// One subscriber's place in a broadcast, and the cell that makes writers wait for it, which it gives back at its end.
#pragma once
#include <warren/ipc/detail/broadcast_ring.h>

#include <memory>
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
        epoch_(from.epoch_),
        mirror_(std::move(from.mirror_)) {}
  BroadcastReader& operator=(BroadcastReader&& from) noexcept;
  ~BroadcastReader() { leave(); }

  template <class Read>
  Received try_read(Read&& read) {
    return told(copy(std::forward<Read>(read)));
  }
  template <class Read>
  Received read_until(Deadline deadline, Read&& read);
  [[nodiscard]] std::uint64_t lost() const noexcept { return place_.lost; }
  [[nodiscard]] bool at_end() const noexcept { return ring_.at_end(place_); }
  // For a descriptor that says whether there is something to read, or the end (readiness.h); and a look that says so.
  [[nodiscard]] int fileno() const;
  [[nodiscard]] bool readable() const noexcept {
    return told(ring_.something_at(place_.position) ? Received::kItem : Received::kNothing) != Received::kNothing;
  }

 private:
  // Each subscriber has a mirror of its own, since each is at a place of its own. It outlives a move of the reader.
  struct Mirror {
    std::atomic<std::uint64_t> position;  // where the reader last found nothing: what lies in front of it is to be told
    ReadinessSlot readiness;
  };

  BroadcastReader(Attachment::Pointer attachment, const BroadcastRing& ring) noexcept
      : attachment_(std::move(attachment)), ring_(ring), place_(ring.last()) {}
  void part_from_parent() noexcept {
    if (cell_ && epoch_ != process_epoch()) [[unlikely]] {
      cell_.reset();
      place_.cursor = nullptr;
    }
  }
  void leave() noexcept;
  template <class Read>
  Received copy(Read&& read) {
    part_from_parent();
    return ring_.try_read(place_, std::forward<Read>(read));
  }
  // `received` is what a call ends with.
  Received told(Received received) const noexcept {
    if (received == Received::kNothing && mirror_ != nullptr) [[unlikely]] {
      mirror_->position.store(place_.position, std::memory_order_relaxed);
      mirror_->readiness.found_nothing();
    }
    return received;
  }

  Attachment::Pointer attachment_;  // null: moved from
  BroadcastRing ring_;
  BroadcastPlace place_;
  std::optional<BroadcastRing::Cell> cell_;
  std::uint64_t epoch_ = process_epoch();
  mutable std::unique_ptr<Mirror> mirror_;  // null: its descriptor was not asked for
};

template <class Read>
Received BroadcastReader::read_until(Deadline deadline, Read&& read) {
  Received received = Received::kNothing;
  (void)attachment_->wait_for_change(ring_.not_empty(), attachment_->seat().pop_spinner, deadline, [&] {
    received = copy(read);
    return received == Received::kNothing ? Progress::kBlocked : Progress::kDone;
  });
  return told(received);
}

}  // namespace warren::detail
