#include <warren/ipc/detail/block_heap.h>
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>

#include "available_memory.h"

namespace warren::detail {
namespace {

using layout::BlockRef;
using layout::BlockReleaser;

constexpr std::uint64_t kMostBlocks = std::uint64_t{2} << 20;
constexpr std::uint64_t kCommitStep = std::uint64_t{256} << 10;  // small blocks get memory this much at a time,
constexpr std::uint64_t kOwnersStep = layout::kPage / sizeof(std::uint64_t);

constexpr std::uint64_t size_of(std::uint32_t size_class) {
  return std::uint64_t{1} << (layout::kSmallestBlockShift + size_class);
}
constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

std::uint64_t BlockHeap::plan(Classes classes, std::uint64_t offset, const BlockHeapPlan& plan) {
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    const bool needed = c == 0 || size_of(c - 1) < plan.largest;
    const std::uint64_t span = size_of(c) < plan.large_from ? plan.small_span : plan.large_span;
    classes[c].count = needed ? std::min(span / size_of(c), kMostBlocks) : 0;
    classes[c].owners_offset = offset;
    offset += round_up(classes[c].count * sizeof(std::uint64_t), layout::kPage);
  }
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    if (classes[c].count != 0) offset = round_up(offset, std::min(size_of(c), std::uint64_t{2} << 20));
    classes[c].blocks_offset = offset;
    offset += classes[c].count * size_of(c);
  }
  return offset;
}

BlockHeap::BlockHeap(Attachment& attachment, Classes geometry, Classes shared, const BlockHeapPlan& plan) noexcept
    : attachment_(&attachment), discard_from_(plan.discard_from), spares_others_(plan.spares_others) {
  for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
    classes_[c].owners_offset = geometry[c].owners_offset;
    classes_[c].blocks_offset = geometry[c].blocks_offset;
    classes_[c].count = geometry[c].count;
    classes_[c].kept =
        size_of(c) < plan.large_from ? geometry[c].count : std::min(geometry[c].count, plan.kept / size_of(c));
    classes_[c].committed = &shared[c].committed;
  }
}

std::atomic<std::uint64_t>& BlockHeap::owner_of(const Class& c, std::uint64_t index) const noexcept {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(attachment_->object() + c.owners_offset)[index];
}

std::atomic<std::uint64_t>* BlockHeap::owner_of(std::uint64_t ref) const noexcept {
  const BlockRef block = BlockRef::from(ref);
  if (ref == 0 || block.size_class >= layout::kBlockClasses) return nullptr;
  const Class& c = classes_[block.size_class];
  return block.index < committed(c) ? &owner_of(c, block.index) : nullptr;
}

std::uint64_t BlockHeap::committed(const Class& c) const noexcept {
  return std::min(c.committed->load(std::memory_order_acquire), c.count);  // [B2] pairs with B1
}

std::optional<BlockHeap::Block> BlockHeap::allocate(std::size_t bytes, std::uint64_t owner, Growth growth) noexcept {
  if (bytes > largest()) return std::nullopt;
  const std::uint64_t needed = std::bit_ceil(std::max<std::uint64_t>(bytes, size_of(0)));
  for (auto c = static_cast<std::uint32_t>(std::countr_zero(needed)) - layout::kSmallestBlockShift;
       c < layout::kBlockClasses; ++c) {
    const std::uint64_t have = committed(classes_[c]);
    const std::optional<std::uint64_t> index =
        claim(classes_[c], growth == Growth::kNone ? std::min(have, classes_[c].kept) : have, owner);
    if (!index) {
      if (growth == Growth::kNone) return std::nullopt;
      if (commit_more(c, have)) --c;  // and the same class again
      continue;
    }
    WARREN_CRASH_POINT(block_claimed);  // it follows from its owner whether it is used: reclaim() asks
    const std::uint64_t offset = classes_[c].blocks_offset + *index * size_of(c);
    const bool kept = *index < classes_[c].kept;
    if (!kept && !commit(offset, bytes)) {
      release(c, *index, owner);
      return std::nullopt;
    }
    return Block{.ref = {.size_class = c, .index = *index},
                 .memory = {attachment_->object() + offset, kept ? size_of(c) : bytes}};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> BlockHeap::claim(Class& c, std::uint64_t end, std::uint64_t owner) noexcept {
  const std::uint64_t start = c.cursor.load(std::memory_order_relaxed);
  for (std::uint64_t i = 0; i < end; ++i) {
    const std::uint64_t index = (start + i) % end;
    std::uint64_t free = 0;
    std::atomic<std::uint64_t>& word = owner_of(c, index);
    if (word.load(std::memory_order_relaxed) != 0) continue;
    if (!word.compare_exchange_strong(free, owner, std::memory_order_acq_rel)) continue;  // [B3] pairs with B4
    c.cursor.store(index + 1, std::memory_order_relaxed);
    return index;
  }
  return std::nullopt;
}

bool BlockHeap::commit_more(std::uint32_t size_class, std::uint64_t committed) noexcept {
  Class& c = classes_[size_class];
  if (committed >= c.count) return false;
  const bool with_memory = committed < c.kept;
  const std::uint64_t step = with_memory ? std::max<std::uint64_t>(kCommitStep / size_of(size_class), 1) : kOwnersStep;
  const std::uint64_t more = std::min(committed + step, with_memory ? c.kept : c.count);
  if (!commit(c.owners_offset + committed * sizeof(std::uint64_t), (more - committed) * sizeof(std::uint64_t)))
    return false;
  if (with_memory &&
      !commit(c.blocks_offset + committed * size_of(size_class), (more - committed) * size_of(size_class))) {
    return false;
  }
  std::uint64_t old = committed;
  while (old < more && !c.committed->compare_exchange_weak(
                           old, more, std::memory_order_release)) {  // [B1] memory before the count; pairs with B2
  }
  return true;
}

bool BlockHeap::commit(std::uint64_t offset, std::uint64_t bytes) noexcept {
  return (!spares_others_ || memory_for(bytes)) && attachment_->commit(offset, bytes).ok();
}

std::span<std::byte> BlockHeap::memory(std::uint64_t ref) const noexcept {
  const BlockRef block = BlockRef::from(ref);
  if (ref == 0 || block.size_class >= layout::kBlockClasses) return {};
  const Class& c = classes_[block.size_class];
  if (block.index >= committed(c)) return {};
  return {attachment_->object() + c.blocks_offset + block.index * size_of(block.size_class), size_of(block.size_class)};
}

std::uint64_t BlockHeap::largest() const noexcept {
  std::uint32_t c = layout::kBlockClasses;
  while (c > 0 && classes_[c - 1].count == 0) --c;
  return c == 0 ? 0 : size_of(c - 1);
}

void BlockHeap::free(std::uint64_t ref, std::uint64_t owner) noexcept {
  const std::atomic<std::uint64_t>* const found = owner_of(ref);
  if (found == nullptr || found->load(std::memory_order_relaxed) != owner) return;
  const BlockRef block = BlockRef::from(ref);
  release(block.size_class, block.index, owner);
  classes_[block.size_class].cursor.store(block.index, std::memory_order_relaxed);
}

bool BlockHeap::hand_over(std::uint64_t ref, std::uint64_t from, std::uint64_t to) noexcept {
  std::atomic<std::uint64_t>* const owner = owner_of(ref);
  return owner != nullptr &&
         owner->compare_exchange_strong(from, to, std::memory_order_acq_rel);  // [B7] pairs with B5, B7
}

// Two may come to release the same block (its task's end, and a sweep that thinks the task over): one CAS decides who
// does. A block that loses its memory is claimed for that first, or the second could empty what a new owner wrote.
void BlockHeap::release(std::uint32_t size_class, std::uint64_t index, std::uint64_t owner) noexcept {
  Class& c = classes_[size_class];
  std::atomic<std::uint64_t>& word = owner_of(c, index);
  if (size_of(size_class) >= discard_from_ && index >= c.kept) {
    const Seat& seat = attachment_->seat();
    if (seat.lane != nullptr) {  // else nobody could tell that it died in here: the block keeps its memory
      const BlockReleaser releaser{.lane = seat.lane_index, .generation = seat.generation};
      if (!word.compare_exchange_strong(owner, releaser.word(), std::memory_order_acq_rel))
        return;                             // [B6] pairs with B3
      WARREN_CRASH_POINT(block_releasing);  // by a dead lane: reclaim() goes on
      attachment_->discard(c.blocks_offset + index * size_of(size_class), size_of(size_class));
      owner = releaser.word();
    }
  }
  (void)word.compare_exchange_strong(owner, 0,
                                     std::memory_order_acq_rel);  // [B4] used before it is free; pairs with B3
}

std::size_t BlockHeap::reclaim(absl::FunctionRef<bool(std::uint64_t, std::uint64_t)> in_use) noexcept {
  std::size_t freed = 0;
  for (std::uint32_t size_class = 0; size_class < layout::kBlockClasses; ++size_class) {
    Class& c = classes_[size_class];
    for (std::uint64_t index = 0, end = committed(c); index < end; ++index) {
      const std::uint64_t owner = owner_of(c, index).load(std::memory_order_acquire);  // [B5] pairs with B3, B7
      if (owner == 0) continue;
      const BlockReleaser releaser = BlockReleaser::from(owner);
      const bool used = owner >> layout::kBlockRoleShift == layout::kBlockReleasing
                            ? attachment_->holds_lane(releaser.lane, releaser.generation)
                            : in_use(owner, BlockRef{.size_class = size_class, .index = index}.word());
      if (used) continue;
      release(size_class, index, owner);
      ++freed;
    }
  }
  return freed;
}

}  // namespace warren::detail
