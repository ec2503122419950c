// What a queue has beside its ring where its items are parcels: values that are encoded, and plain ones too large for a
// slot. docs/algorithms/parcels.md has the protocol.
//   0                                  MpmcRingHeader
//   behind it                          ParcelHeader
//   behind that                        the slots, or directory, owner words and chunks: a parcel is kParcelWords words
//   the next page                      the heap of blocks: what does not fit into a slot
// Both headers lie at the same place in every queue, and in memory that is there from the beginning. Of an unbounded
// one the chunks and the heap are address space, each with memory as far as it has grown.
#pragma once
#include <warren/layout/block_heap.h>
#include <warren/layout/mpmc_ring.h>

namespace warren::layout {

inline constexpr std::size_t kParcelWords = 15;  // with the sequence word a slot is two lines
inline constexpr std::size_t kParcelInline = (kParcelWords - 1) * sizeof(std::uint64_t);

// The first word of a parcel: how many bytes, and whether they follow or lie in the block that the second word names.
//   bit 63 in a block | 62..0 bytes
struct ParcelLabel {
  std::uint64_t bytes = 0;
  bool in_block = false;
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return std::uint64_t{in_block} << 63 | bytes; }
  [[nodiscard]] static constexpr ParcelLabel from(std::uint64_t word) noexcept {
    return {.bytes = word & ~(std::uint64_t{1} << 63), .in_block = (word >> 63) != 0};
  }
};

// The owner word of a queue's block.
//   bits 63..62 role | 61..0 of a process: 31..16 lane generation, 15..0 lane; of an item: its position
struct ParcelOwner {
  enum class Role : std::uint8_t {
    kNone = 0,
    kProcess = 1,    // it fills the block, or reads it; the lane is the one that stands for the process
    kItem = 2,       // committed at that position, or about to be
    kReleasing = 3,  // the heap's own: BlockReleaser
  };
  static constexpr std::uint64_t kPositionMask = (std::uint64_t{1} << kBlockRoleShift) - 1;

  [[nodiscard]] static constexpr std::uint64_t process(std::uint32_t lane, std::uint16_t generation) noexcept {
    return std::uint64_t{1} << kBlockRoleShift | std::uint64_t{generation} << 16 | (lane & 0xffff);
  }
  [[nodiscard]] static constexpr std::uint64_t item(std::uint64_t position) noexcept {
    return std::uint64_t{2} << kBlockRoleShift | (position & kPositionMask);
  }
  [[nodiscard]] static constexpr Role role(std::uint64_t word) noexcept {
    return static_cast<Role>(word >> kBlockRoleShift);
  }
  [[nodiscard]] static constexpr std::uint32_t lane(std::uint64_t word) noexcept { return word & 0xffff; }
  [[nodiscard]] static constexpr std::uint16_t generation(std::uint64_t word) noexcept {
    return static_cast<std::uint16_t>(word >> 16);
  }
  [[nodiscard]] static constexpr std::uint64_t position(std::uint64_t word) noexcept { return word & kPositionMask; }
};

struct ParcelHeader {
  std::uint64_t scale;           // divides the address space of the heap; with it everybody plans the same heap
  std::uint64_t max_item_bytes;  // 0: whatever fits
  std::byte reserved[48];
  alignas(kLine) std::atomic<std::uint64_t> undecodable;
  alignas(kLine) BlockClass classes[kBlockClasses];  // `committed` counts; the offsets are for ipc-inspect
};
static_assert(offsetof(ParcelHeader, undecodable) == 64 && offsetof(ParcelHeader, classes) == 128);
static_assert(sizeof(ParcelHeader) % kLine == 0);

// From the one header's begin to what lies behind the other.
inline constexpr std::size_t kParcelFront = sizeof(MpmcRingHeader) + sizeof(ParcelHeader);

}  // namespace warren::layout
