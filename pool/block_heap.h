// The blocks that hold large arguments and results: found by any process, owned by a task, never lost to a death.
// docs/algorithms/block_heap.md.
#pragma once
#include <absl/functional/function_ref.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/layout/pool.h>

#include <array>
#include <optional>
#include <span>

namespace warren::detail {

class BlockHeap {
 public:
  struct Block {
    layout::BlockRef ref;
    std::span<std::byte> memory;
  };

  // Lays the classes out from `offset` in the object on; returns where they end. `scale` divides the address space that
  // is reserved, where that is limited.
  static std::uint64_t plan(std::span<layout::BlockClass> classes, std::uint64_t offset, std::uint64_t scale);
  BlockHeap(Attachment& attachment, layout::PoolHeader& header) noexcept;

  // nullopt: memory ended, or more than the largest class holds. One CAS claims the block and records its owner.
  std::optional<Block> allocate(std::size_t bytes, layout::BlockOwner owner) noexcept;
  // Empty for a reference that cannot be: it may be a peer's word.
  [[nodiscard]] std::span<std::byte> memory(std::uint64_t word) const noexcept;
  // Nothing happens unless `owner` has it.
  void free(std::uint64_t word, layout::BlockOwner owner) noexcept;
  // Frees every block whose owner no longer uses it. Returns how many.
  std::size_t reclaim(absl::FunctionRef<bool(layout::BlockOwner, std::uint64_t)> in_use) noexcept;

 private:
  struct Class {
    std::uint64_t owners_offset = 0;
    std::uint64_t blocks_offset = 0;
    std::uint64_t count = 0;
    std::atomic<std::uint64_t>* committed = nullptr;
    std::atomic<std::uint64_t> cursor{0};  // where this process looks first
  };
  [[nodiscard]] std::atomic<std::uint64_t>& owner_of(const Class& c, std::uint64_t index) const noexcept;
  [[nodiscard]] std::uint64_t committed(const Class& c) const noexcept;
  std::optional<std::uint64_t> claim(Class& c, layout::BlockOwner owner) noexcept;
  bool commit_more(std::uint32_t size_class, std::uint64_t committed) noexcept;
  void release(std::uint32_t size_class, std::uint64_t index, std::uint64_t owner) noexcept;

  Attachment* attachment_;
  std::array<Class, layout::kBlockClasses> classes_;
};

}  // namespace warren::detail
