// Blocks of shared memory of any size: found by any process, owned by a word each, never lost to a death.
// docs/algorithms/block_heap.md.
#pragma once
#include <absl/functional/function_ref.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/layout/block_heap.h>

#include <array>
#include <optional>
#include <span>

namespace warren::detail {

// The address space of a heap.
struct BlockHeapPlan {
  std::uint64_t large_from = std::uint64_t{512} << 10;  // bytes: blocks of this size on are large
  std::uint64_t small_span = std::uint64_t{64} << 30;   // of each class of small blocks,
  std::uint64_t large_span = std::uint64_t{16} << 30;   // and of each class of large ones
  std::uint64_t largest = ~std::uint64_t{0};            // bytes: no class is larger than this needs
  // Small blocks keep their memory. Of each class of large ones so many bytes do; beyond them a block of discard_from
  // or more loses it when it is freed.
  std::uint64_t kept = 0;
  std::uint64_t discard_from = std::uint64_t{1} << 20;
  bool spares_others = false;  // no growth where the machine has little left: memory_for()
};

// What an owner word means is said by the heap's user: roles 1 and 2.
class BlockHeap {
 public:
  using Classes = std::span<layout::BlockClass, layout::kBlockClasses>;
  struct Block {
    layout::BlockRef ref;
    std::span<std::byte> memory;
  };

  // Lays the classes out from `offset` in the object on; returns where they end.
  static std::uint64_t plan(Classes classes, std::uint64_t offset, const BlockHeapPlan& plan);
  // `geometry` is what plan() says, this process's copy or words that no other process writes; `shared` lies in the
  // object.
  BlockHeap(Attachment& attachment, Classes geometry, Classes shared, const BlockHeapPlan& plan) noexcept;

  enum class Growth { kAsNeeded, kNone };
  // nullopt: memory ended, or more than the largest class holds, or none is free that has memory and Growth is kNone.
  // One CAS claims the block and records its owner.
  std::optional<Block> allocate(std::size_t bytes, std::uint64_t owner, Growth growth = Growth::kAsNeeded) noexcept;
  // Empty for a reference that cannot be: it may be a peer's word.
  [[nodiscard]] std::span<std::byte> memory(std::uint64_t ref) const noexcept;
  // Nothing happens unless `owner` has it.
  void free(std::uint64_t ref, std::uint64_t owner) noexcept;
  // From one owner to the next. False: `from` did not have it.
  bool hand_over(std::uint64_t ref, std::uint64_t from, std::uint64_t to) noexcept;
  // Frees every block whose owner no longer uses it. Returns how many.
  std::size_t reclaim(absl::FunctionRef<bool(std::uint64_t owner, std::uint64_t ref)> in_use) noexcept;
  // What the largest class holds.
  [[nodiscard]] std::uint64_t largest() const noexcept;

 private:
  struct Class {
    std::uint64_t owners_offset = 0;
    std::uint64_t blocks_offset = 0;
    std::uint64_t count = 0;
    std::uint64_t kept = 0;  // the first so many get memory with their owner words, and keep it
    std::atomic<std::uint64_t>* committed = nullptr;
    std::atomic<std::uint64_t> cursor{0};  // where this process looks first
  };
  [[nodiscard]] std::atomic<std::uint64_t>& owner_of(const Class& c, std::uint64_t index) const noexcept;
  [[nodiscard]] std::atomic<std::uint64_t>* owner_of(std::uint64_t ref) const noexcept;
  [[nodiscard]] std::uint64_t committed(const Class& c) const noexcept;
  std::optional<std::uint64_t> claim(Class& c, std::uint64_t end, std::uint64_t owner) noexcept;
  bool commit_more(std::uint32_t size_class, std::uint64_t committed) noexcept;
  bool commit(std::uint64_t offset, std::uint64_t bytes) noexcept;
  void release(std::uint32_t size_class, std::uint64_t index, std::uint64_t owner) noexcept;

  Attachment* attachment_;
  std::uint64_t discard_from_;
  bool spares_others_;
  std::array<Class, layout::kBlockClasses> classes_;
};

}  // namespace warren::detail
