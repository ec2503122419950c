#include "block_heap.h"

#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>

namespace warren::detail {
namespace {

using layout::BlockOwner;
using layout::BlockRef;

constexpr std::uint64_t kSmallClassSpan = std::uint64_t{64} << 30;  // address space of a class of small blocks,
constexpr std::uint64_t kLargeClassSpan = std::uint64_t{16} << 30;  // and of one of large
constexpr std::uint64_t kMostBlocks = 2 * layout::kMaxTasks;
constexpr std::uint64_t kCommitStep = std::uint64_t{256} << 10;  // small blocks get memory this much at a time,
constexpr std::uint64_t kOwnersStep = layout::kPage / sizeof(std::uint64_t);
constexpr std::uint64_t kDiscardFrom = std::uint64_t{1} << 20;  // and large ones lose it when they are freed

constexpr std::uint64_t size_of(std::uint32_t size_class) {
  return std::uint64_t{1} << (layout::kSmallestBlockShift + size_class);
}
constexpr bool small(std::uint32_t size_class) { return size_of(size_class) <= kCommitStep; }
constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

std::uint64_t BlockHeap::plan(std::span<layout::BlockClass> classes, std::uint64_t offset, std::uint64_t scale) {
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    const std::uint64_t span = (small(c) ? kSmallClassSpan : kLargeClassSpan) / scale;
    classes[c].count = std::min(span / size_of(c), kMostBlocks);
    classes[c].owners_offset = offset;
    offset += round_up(classes[c].count * sizeof(std::uint64_t), layout::kPage);
  }
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    offset = round_up(offset, std::min(size_of(c), std::uint64_t{2} << 20));
    classes[c].blocks_offset = offset;
    offset += classes[c].count * size_of(c);
  }
  return offset;
}

BlockHeap::BlockHeap(Attachment& attachment, layout::PoolHeader& header) noexcept : attachment_(&attachment) {
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    classes_[c].owners_offset = header.classes[c].owners_offset;
    classes_[c].blocks_offset = header.classes[c].blocks_offset;
    classes_[c].count = header.classes[c].count;
    classes_[c].committed = &header.classes[c].committed;
  }
}

std::atomic<std::uint64_t>& BlockHeap::owner_of(const Class& c, std::uint64_t index) const noexcept {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(attachment_->object() + c.owners_offset)[index];
}

std::uint64_t BlockHeap::committed(const Class& c) const noexcept {
  return std::min(c.committed->load(std::memory_order_acquire), c.count);  // [B2] pairs with B1
}

std::optional<BlockHeap::Block> BlockHeap::allocate(std::size_t bytes, BlockOwner owner) noexcept {
  const std::uint64_t needed = std::bit_ceil(std::max<std::uint64_t>(bytes, size_of(0)));
  for (auto c = static_cast<std::uint32_t>(std::countr_zero(needed)) - layout::kSmallestBlockShift;
       c < layout::kBlockClasses; ++c) {
    const std::optional<std::uint64_t> index = claim(classes_[c], owner);
    if (!index) {
      if (commit_more(c, committed(classes_[c]))) --c;  // and the same class again
      continue;
    }
    WARREN_CRASH_POINT(block_claimed);  // its owner's task says whether it is used: reclaim() asks
    const std::uint64_t offset = classes_[c].blocks_offset + *index * size_of(c);
    if (!small(c) && !attachment_->commit(offset, bytes).ok()) {
      release(c, *index, owner.word());
      return std::nullopt;
    }
    return Block{.ref = {.size_class = c, .index = *index},
                 .memory = {attachment_->object() + offset, small(c) ? size_of(c) : bytes}};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> BlockHeap::claim(Class& c, BlockOwner owner) noexcept {
  const std::uint64_t end = committed(c);
  const std::uint64_t start = c.cursor.load(std::memory_order_relaxed);
  for (std::uint64_t i = 0; i < end; ++i) {
    const std::uint64_t index = (start + i) % end;
    std::uint64_t free = 0;
    std::atomic<std::uint64_t>& word = owner_of(c, index);
    if (word.load(std::memory_order_relaxed) != 0) continue;
    if (!word.compare_exchange_strong(free, owner.word(), std::memory_order_acq_rel)) continue;  // [B3] pairs with B4
    c.cursor.store(index + 1, std::memory_order_relaxed);
    return index;
  }
  return std::nullopt;
}

bool BlockHeap::commit_more(std::uint32_t size_class, std::uint64_t committed) noexcept {
  Class& c = classes_[size_class];
  if (committed >= c.count) return false;
  const std::uint64_t step = small(size_class) ? kCommitStep / size_of(size_class) : kOwnersStep;
  const std::uint64_t more = std::min(committed + step, c.count);
  if (!attachment_
           ->commit(c.owners_offset + committed * sizeof(std::uint64_t), (more - committed) * sizeof(std::uint64_t))
           .ok()) {
    return false;
  }
  if (small(size_class) &&
      !attachment_->commit(c.blocks_offset + committed * size_of(size_class), (more - committed) * size_of(size_class))
           .ok()) {
    return false;
  }
  std::uint64_t old = committed;
  while (old < more && !c.committed->compare_exchange_weak(
                           old, more, std::memory_order_release)) {  // [B1] memory before the count; pairs with B2
  }
  return true;
}

std::span<std::byte> BlockHeap::memory(std::uint64_t word) const noexcept {
  const BlockRef ref = BlockRef::from(word);
  if (word == 0 || ref.size_class >= layout::kBlockClasses) return {};
  const Class& c = classes_[ref.size_class];
  if (ref.index >= committed(c)) return {};
  return {attachment_->object() + c.blocks_offset + ref.index * size_of(ref.size_class), size_of(ref.size_class)};
}

void BlockHeap::free(std::uint64_t word, BlockOwner owner) noexcept {
  const BlockRef ref = BlockRef::from(word);
  if (word == 0 || ref.size_class >= layout::kBlockClasses) return;
  Class& c = classes_[ref.size_class];
  if (ref.index >= committed(c) || owner_of(c, ref.index).load(std::memory_order_relaxed) != owner.word()) return;
  release(ref.size_class, ref.index, owner.word());
  c.cursor.store(ref.index, std::memory_order_relaxed);
}

// Two may come to release the same block (its task's end, and a sweep that thinks the task over): one CAS decides who
// does. A block that loses its memory is claimed for that first, or the second could empty what a new owner wrote.
void BlockHeap::release(std::uint32_t size_class, std::uint64_t index, std::uint64_t owner) noexcept {
  Class& c = classes_[size_class];
  std::atomic<std::uint64_t>& word = owner_of(c, index);
  if (size_of(size_class) >= kDiscardFrom) {
    const Seat& seat = attachment_->seat();
    const BlockOwner releaser{
        .role = BlockOwner::Role::kReleasing, .generation = seat.generation, .slot = seat.lane_index};
    if (!word.compare_exchange_strong(owner, releaser.word(), std::memory_order_acq_rel)) return;  // [B6] pairs with B3
    WARREN_CRASH_POINT(block_releasing);  // by a dead lane: reclaim() goes on
    attachment_->discard(c.blocks_offset + index * size_of(size_class), size_of(size_class));
    owner = releaser.word();
  }
  (void)word.compare_exchange_strong(owner, 0,
                                     std::memory_order_acq_rel);  // [B4] used before it is free; pairs with B3
}

std::size_t BlockHeap::reclaim(absl::FunctionRef<bool(BlockOwner, std::uint64_t)> in_use) noexcept {
  std::size_t freed = 0;
  for (std::uint32_t size_class = 0; size_class < layout::kBlockClasses; ++size_class) {
    Class& c = classes_[size_class];
    for (std::uint64_t index = 0, end = committed(c); index < end; ++index) {
      const std::uint64_t word = owner_of(c, index).load(std::memory_order_acquire);  // [B5] pairs with B3
      const BlockOwner owner = BlockOwner::from(word);
      const bool used = owner.role == BlockOwner::Role::kReleasing
                            ? attachment_->holds_lane(owner.slot, static_cast<std::uint16_t>(owner.generation))
                            : word == 0 || in_use(owner, BlockRef{.size_class = size_class, .index = index}.word());
      if (used) continue;
      release(size_class, index, word);
      ++freed;
    }
  }
  return freed;
}

}  // namespace warren::detail
