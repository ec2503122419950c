// QueueBlocks: the blocks of a queue that carries parcels, as they lie in its segment.
#pragma once
#include <warren/ipc/detail/parcels.h>
#include <warren/ipc/queue.h>

#include <algorithm>
#include <functional>

namespace warren::test {

class QueueBlocks : Handle {
 public:
  using Owner = layout::ParcelOwner;

  // The attachment is that of the queue, and must outlive this.
  explicit QueueBlocks(detail::Attachment& attachment) : object_(attachment.object()), segment_(&attachment) {}
  explicit QueueBlocks(const Handle& queue) : QueueBlocks(*(queue.*(&QueueBlocks::attachment_))) {}

  [[nodiscard]] layout::MpmcRingHeader& ring() const { return *reinterpret_cast<layout::MpmcRingHeader*>(object_); }
  [[nodiscard]] layout::ParcelHeader& header() const {
    return *reinterpret_cast<layout::ParcelHeader*>(object_ + sizeof(layout::MpmcRingHeader));
  }
  // The words of the slot at `position` of a bounded queue: its sequence, the label, what follows.
  [[nodiscard]] std::uint64_t* slot(std::uint64_t position) const {
    return reinterpret_cast<std::uint64_t*>(object_ + layout::kParcelFront +
                                            (position & (ring().slot_count - 1)) * ring().slot_bytes);
  }
  void each(const std::function<void(std::atomic<std::uint64_t>& owner, layout::BlockRef ref)>& look) const {
    for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
      const layout::BlockClass& size_class = header().classes[c];
      auto* owners = reinterpret_cast<std::atomic<std::uint64_t>*>(object_ + size_class.owners_offset);
      for (std::uint64_t i = 0; i < std::min(size_class.committed.load(), size_class.count); ++i) {
        if (owners[i].load() != 0) look(owners[i], {.size_class = c, .index = i});
      }
    }
  }
  [[nodiscard]] std::size_t owned() const {
    std::size_t count = 0;
    each([&](auto&, auto) { ++count; });
    return count;
  }
  // As the survivors of a death do: sweeps, and frees what the dead left.
  [[nodiscard]] std::size_t owned_after_recovery() const {
    (void)segment_->sweep();
    const auto parcels = detail::ParcelRing::attach(std::shared_ptr<detail::Attachment>(segment_, [](auto*) {}));
    if (parcels.ok()) (void)(*parcels)->reclaim();
    return owned();
  }

 private:
  std::byte* object_;
  detail::Attachment* segment_;
};

}  // namespace warren::test
