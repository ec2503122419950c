// A heap of blocks, as it lies in memory: BlockClass[kBlockClasses] in its object's header; the owner words of every
// class; the blocks of every class. docs/algorithms/block_heap.md has the protocol.
#pragma once
#include <warren/layout/abi.h>

namespace warren::layout {

// Blocks come in classes, each twice as large as the one before. An owner word per block says whose it is, and from
// that it follows whether the block is still in use, so nothing that a death leaves behind is lost for ever.
inline constexpr std::uint32_t kBlockClasses = 26;
inline constexpr std::uint32_t kSmallestBlockShift = 9;  // 512 bytes; the largest class holds 16 GiB

// Names a block: {class + 1, index}; 0: none.
struct BlockRef {
  std::uint32_t size_class = 0;
  std::uint64_t index = 0;
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return std::uint64_t{size_class + 1} << 48 | index; }
  [[nodiscard]] static constexpr BlockRef from(std::uint64_t word) noexcept {
    return {.size_class = static_cast<std::uint32_t>(word >> 48) - 1, .index = word & 0xffff'ffff'ffff};
  }
};

struct BlockClass {
  std::uint64_t owners_offset;  // of the owner words, in the object
  std::uint64_t blocks_offset;
  std::uint64_t count;
  std::atomic<std::uint64_t> committed;  // owner words, and blocks that keep their memory, that have memory
};

// An owner word: 0 free; else bits 63..62 are a role, and the rest is said by it. Roles 1 and 2 are the heap's user's.
inline constexpr unsigned kBlockRoleShift = 62;
inline constexpr std::uint64_t kBlockReleasing = 3;  // role: BlockReleaser

// The memory of the block is being given back by the thread in `lane`.
//   bits 63..62 kBlockReleasing | 49..26 lane generation | 25..0 lane
struct BlockReleaser {
  std::uint32_t lane = 0;
  std::uint16_t generation = 0;
  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return kBlockReleasing << kBlockRoleShift | std::uint64_t{generation} << 26 | lane;
  }
  [[nodiscard]] static constexpr BlockReleaser from(std::uint64_t word) noexcept {
    return {.lane = static_cast<std::uint32_t>(word) & 0x3ffffffu,
            .generation = static_cast<std::uint16_t>(word >> 26)};
  }
};

}  // namespace warren::layout
