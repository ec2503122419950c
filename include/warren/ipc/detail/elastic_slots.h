// The slots of a ring that has no bound: they lie in chunks, which come when producers get that far and are used again
// when consumers have passed them. docs/algorithms/elastic_slots.md.
//
// A directory says which chunk holds a run of positions, and an owner word of each chunk says for which run it is. Both
// change by one CAS; what a death leaves half done follows from comparing the two, and is collected when the chunks
// have doubled, and before a push is refused.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/layout/mpmc_ring.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace warren::detail {

// Where the parts lie, as offsets from the ring's header, whose directory begins at `front`. This process's copy.
struct ElasticGeometry {
  std::uint64_t chunk_count = 0;  // a power of two; 0: the ring is bounded
  std::uint64_t chunk_slots = 0;  // a power of two

  // For slots of `slot_bytes`: as many chunks as memory and address space hold.
  static ElasticGeometry for_slots(std::size_t slot_bytes);

  [[nodiscard]] bool plausible() const noexcept;
  // Never more than the directory tells apart: the run that is being filled, and the one that is being emptied, may
  // both be only partly used.
  [[nodiscard]] std::uint64_t capacity() const noexcept { return (chunk_count - 2) * chunk_slots; }
  [[nodiscard]] std::uint64_t chunk_bytes(std::size_t slot_bytes) const noexcept { return chunk_slots * slot_bytes; }
  [[nodiscard]] std::uint64_t chunks_offset(std::size_t front) const noexcept;
  [[nodiscard]] std::uint64_t bytes(std::size_t slot_bytes, std::size_t front) const noexcept {
    return chunks_offset(front) + chunk_count * chunk_bytes(slot_bytes);
  }
};

// Private tunables: harnesses shorten them.
struct ElasticTuning {
  std::atomic<std::uint64_t> most_chunks{std::uint64_t{1} << 16};
  std::atomic<std::uint64_t> chunk_bytes{std::uint64_t{512} << 10};
  std::atomic<std::uint64_t> left_for_others{std::uint64_t{64} << 20};  // bytes that a queue leaves the machine
};
ElasticTuning& elastic_tuning() noexcept;

class ElasticSlots {
 public:
  ElasticSlots() noexcept = default;  // of a bounded ring: not to be used
  ElasticSlots(Attachment& attachment, layout::MpmcRingHeader& header, const ElasticGeometry& geometry,
               std::size_t slot_bytes, std::size_t front) noexcept;

  [[nodiscard]] bool used() const noexcept { return directory_ != nullptr; }
  // The slot of a position; null where its run has no chunk: nothing was pushed there yet, or all was taken long ago.
  [[nodiscard]] std::byte* find(std::uint64_t position) const noexcept {
    const std::uint64_t run = position >> shift_;
    const layout::ChunkEntry entry =
        layout::ChunkEntry::from(entry_of(run).load(std::memory_order_acquire));  // [K2] pairs with K1
    return entry.is_of(run) && entry.chunk <= mask_ ? slot_in(entry.chunk, position) : nullptr;
  }
  // Before a position is claimed.
  enum class Provided {
    kReady,
    kPassed,    // the position has been claimed long ago: `tail` is further on
    kNoMemory,  // memory ended
  };
  [[nodiscard]] Provided provide(std::uint64_t position) noexcept {
    const std::uint64_t run = position >> shift_;
    const std::uint64_t word = entry_of(run).load(std::memory_order_acquire);  // [K13] tail moved before; pairs with K1
    return layout::ChunkEntry::from(word).is_of(run) ? Provided::kReady : provide_run(run, word);
  }
  // Up to there what is provided for `position` serves: none of it is given back before `head` has passed it all.
  [[nodiscard]] std::uint64_t end_of_run(std::uint64_t position) const noexcept {
    return ((position >> shift_) + 1) << shift_;
  }
  // By the consumer who moved `head`: frees the chunks of the runs that it left.
  void passed(std::uint64_t from, std::uint64_t to) noexcept {
    if (from >> shift_ != to >> shift_) [[unlikely]]
      free_runs(from >> shift_, to >> shift_);
  }

 private:
  [[nodiscard]] std::atomic<std::uint64_t>& entry_of(std::uint64_t run) const noexcept {
    return directory_[run & mask_];
  }
  [[nodiscard]] std::byte* slot_in(std::uint64_t chunk, std::uint64_t position) const noexcept {
    return chunks_ + ((chunk << shift_) + (position & ((std::uint64_t{1} << shift_) - 1))) * slot_bytes_;
  }
  Provided provide_run(std::uint64_t run, std::uint64_t seen) noexcept;
  bool claim_chunk(std::uint64_t run, std::uint64_t& chunk) noexcept;
  bool collect() noexcept;
  bool add_chunk() noexcept;
  void free_runs(std::uint64_t from, std::uint64_t to) noexcept;
  [[nodiscard]] std::uint64_t committed() const noexcept;

  Attachment* attachment_ = nullptr;
  layout::MpmcRingHeader* header_ = nullptr;
  std::atomic<std::uint64_t>* directory_ = nullptr;
  std::atomic<std::uint64_t>* owners_ = nullptr;
  std::byte* chunks_ = nullptr;
  std::uint64_t mask_ = 0;  // chunk_count - 1
  std::uint32_t shift_ = 0;
  std::size_t slot_bytes_ = 0;
};

}  // namespace warren::detail
