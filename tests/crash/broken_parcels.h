// Queues of parcels with one mistake each. They show that the harness sees what it is there to see.
#pragma once
#include <warren/ipc/queue.h>

#include "crash/parcel_trial.h"

namespace warren::test {

// Push and pop by hand, step by step.
class RawParcels : public Queue<Parcelled> {
  using Owner = layout::ParcelOwner;

 public:
  explicit RawParcels(Queue<Parcelled> queue)
      : Queue<Parcelled>(std::move(queue)),
        parcels_(
            *detail::ParcelRing::attach(std::shared_ptr<detail::Attachment>(&Reach::attachment(*this), [](auto*) {}))) {
  }

 protected:
  std::atomic<std::uint64_t>& owner(std::uint64_t ref) const {
    const auto block = layout::BlockRef::from(ref);
    const auto& size_class = QueueBlocks(Reach::attachment(*this)).header().classes[block.size_class];
    return reinterpret_cast<std::atomic<std::uint64_t>*>(Reach::attachment(*this).object() +
                                                         size_class.owners_offset)[block.index];
  }
  std::uint64_t me() const {
    const auto lane = Reach::attachment(*this).process_lane(Reach::attachment(*this).seat());
    return Owner::process(lane.index, lane.generation);
  }
  layout::Lane& lane() const { return *Reach::attachment(*this).seat().lane; }
  layout::MpmcRingHeader& header() const { return QueueBlocks(Reach::attachment(*this)).ring(); }
  std::uint64_t* slot(std::uint64_t position) const { return QueueBlocks(Reach::attachment(*this)).slot(position); }

  // Announces and claims; the position.
  std::optional<std::uint64_t> claim() {
    std::uint64_t t = header().tail.load();
    if (t - header().head.load() >= capacity()) return std::nullopt;
    lane().announcement.store(t + 1);
    if (header().tail.compare_exchange_strong(t, t + 1)) return t;
    lane().announcement.store(0);
    return std::nullopt;
  }
  void commit(std::uint64_t position, std::uint64_t ref) {
    slot(position)[1] = layout::ParcelLabel{.bytes = sizeof(Parcelled), .in_block = true}.word();
    slot(position)[2] = ref;
    std::atomic_ref(slot(position)[0]).store(layout::committed(position));
  }

  std::shared_ptr<detail::ParcelRing> parcels_;
};

// Takes the item, and says so to nobody before its block is its own.
class TakesUnannounced : public RawParcels {
 public:
  using RawParcels::RawParcels;
  std::optional<Parcelled> try_pop() {
    std::uint64_t h = header().head.load();
    if (slot(h)[0] != layout::committed(h)) return std::nullopt;
    const std::uint64_t ref = slot(h)[2];
    if (!header().head.compare_exchange_strong(h, h + 1)) return std::nullopt;
    std::uint64_t item = layout::ParcelOwner::item(h);
    if (!owner(ref).compare_exchange_strong(item, me())) return std::nullopt;
    Parcelled value;
    const auto at = layout::BlockRef::from(ref);
    std::memcpy(&value,
                Reach::attachment(*this).object() +
                    QueueBlocks(Reach::attachment(*this)).header().classes[at.size_class].blocks_offset +
                    at.index * 512,
                sizeof value);
    owner(ref).store(0);
    return value;
  }
};

// Commits first: who takes the item finds that its block is not the item's.
class HandsOverTooLate : public RawParcels {
 public:
  using RawParcels::RawParcels;
  bool try_push(const Parcelled& item) {
    const auto block = parcels_->allocate(sizeof item);
    if (!block) return false;
    std::memcpy(block->memory.data(), &item, sizeof item);
    const auto position = claim();
    if (!position) return false;
    commit(*position, block->ref);
    std::uint64_t mine = block->owner;
    (void)owner(block->ref).compare_exchange_strong(mine, layout::ParcelOwner::item(*position));
    lane().announcement.store(0);
    return true;
  }
};

// Takes its block in the name of a position that it has not claimed yet, and may never.
class OwnsAsTheItem : public RawParcels {
 public:
  using RawParcels::RawParcels;
  bool try_push(const Parcelled& item) {
    const auto block = parcels_->allocate(sizeof item);
    if (!block) return false;
    owner(block->ref).store(layout::ParcelOwner::item(header().tail.load() + 1000));
    std::memcpy(block->memory.data(), &item, sizeof item);
    const auto position = claim();
    if (!position) return false;
    owner(block->ref).store(layout::ParcelOwner::item(*position));
    commit(*position, block->ref);
    lane().announcement.store(0);
    return true;
  }
};

}  // namespace warren::test
