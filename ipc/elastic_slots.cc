#include <warren/ipc/detail/elastic_slots.h>

#include <sys/resource.h>
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <bit>

#include "available_memory.h"
#include "to_page.h"

namespace warren::detail {
namespace {

using layout::ChunkEntry;

constexpr std::uint64_t kFewestChunks = 4;

std::uint64_t owner_word(std::uint64_t run) { return run + 1; }  // 0: free

std::uint64_t address_space() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_AS, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace

ElasticTuning& elastic_tuning() noexcept {
  static ElasticTuning tuning;
  return tuning;
}

ElasticGeometry ElasticGeometry::for_slots(std::size_t slot_bytes) {
  const std::uint64_t wanted = elastic_tuning().chunk_bytes.load(std::memory_order_relaxed);
  ElasticGeometry geometry{.chunk_slots = std::bit_floor(std::max<std::uint64_t>(wanted / slot_bytes, 2))};
  // A limit of address space is the whole program's: a queue takes an eighth of it.
  const std::uint64_t bytes = std::min(available_memory(), address_space() / 8);
  geometry.chunk_count =
      std::bit_ceil(std::clamp<std::uint64_t>(bytes / geometry.chunk_bytes(slot_bytes), kFewestChunks,
                                              elastic_tuning().most_chunks.load(std::memory_order_relaxed)));
  return geometry;
}

bool ElasticGeometry::plausible() const noexcept {
  return std::has_single_bit(chunk_count) && chunk_count >= kFewestChunks && chunk_count <= layout::kMaxChunks &&
         std::has_single_bit(chunk_slots) && chunk_slots <= layout::kMaxChunkSlots;
}

std::uint64_t ElasticGeometry::chunks_offset(std::size_t front) const noexcept {
  const std::uint64_t words = front + 2 * chunk_count * sizeof(std::uint64_t);
  return to_page(words);
}

ElasticSlots::ElasticSlots(Attachment& attachment, layout::MpmcRingHeader& header, const ElasticGeometry& geometry,
                           std::size_t slot_bytes, std::size_t front) noexcept
    : attachment_(&attachment),
      header_(&header),
      directory_(reinterpret_cast<std::atomic<std::uint64_t>*>(reinterpret_cast<std::byte*>(&header) + front)),
      owners_(directory_ + geometry.chunk_count),
      chunks_(reinterpret_cast<std::byte*>(&header) + geometry.chunks_offset(front)),
      mask_(geometry.chunk_count - 1),
      shift_(static_cast<std::uint32_t>(std::countr_zero(geometry.chunk_slots))),
      slot_bytes_(slot_bytes) {}

std::uint64_t ElasticSlots::committed() const noexcept {
  return std::min(header_->chunks_committed.load(std::memory_order_acquire), mask_ + 1);  // [K8] pairs with K7
}

// `seen` is an entry of another run. Only one of an older run is replaced: who was held up before he came here may have
// an old position in hand, whose place in the directory a newer run has by now. A run is entered once: two who try have
// claimed a chunk each, and the one who comes second gives his back.
ElasticSlots::Provided ElasticSlots::provide_run(std::uint64_t run, std::uint64_t seen) noexcept {
  const auto provided = [run](std::uint64_t word) {
    const ChunkEntry entry = ChunkEntry::from(word);
    if (entry.is_of(run)) return Provided::kReady;
    return entry.is_newer_than(run) ? Provided::kPassed : Provided::kNoMemory;
  };
  if (provided(seen) == Provided::kPassed) return Provided::kPassed;
  std::uint64_t chunk = 0;
  // The last chunk may have gone to whom it was for.
  if (!claim_chunk(run, chunk)) return provided(entry_of(run).load(std::memory_order_acquire));  // [K14] as K2; with K1
  WARREN_CRASH_POINT(chunk_claimed);  // for a run that gets another one: collect() frees it
  const ChunkEntry mine{.run = run, .chunk = chunk};
  if (entry_of(run).compare_exchange_strong(seen, mine.word(),
                                            std::memory_order_acq_rel)) {  // [K1] claimed before found; pairs with K2
    WARREN_CRASH_POINT(chunk_entered);                                     // whoever pushes next finds it
    return Provided::kReady;
  }
  std::uint64_t owner = owner_word(run);
  (void)owners_[chunk].compare_exchange_strong(owner, 0, std::memory_order_acq_rel);  // [K4] pairs with K3
  return provided(seen);
}

bool ElasticSlots::claim_chunk(std::uint64_t run, std::uint64_t& chunk) noexcept {
  for (;;) {
    const std::uint64_t end = committed();
    for (std::uint64_t i = 0; i < end; ++i) {
      chunk = (run + i) % end;
      if (owners_[chunk].load(std::memory_order_relaxed) != 0) continue;
      std::uint64_t nobody = 0;
      if (owners_[chunk].compare_exchange_strong(nobody, owner_word(run), std::memory_order_acq_rel))
        return true;  // [K3] its last readers' head has moved on; pairs with K4, K5
    }
    // To look for what deaths have left costs two looks at each chunk: where their number has doubled, or nothing else
    // helps.
    if (std::has_single_bit(end) && collect()) continue;
    if (!add_chunk() && !collect()) return false;
  }
}

// Frees the chunks that deaths have left: of runs that consumers have passed, and of runs that have another one. True:
// one is free.
bool ElasticSlots::collect() noexcept {
  bool freed = false;
  for (std::uint64_t chunk = 0, end = committed(); chunk < end; ++chunk) {
    std::uint64_t owner = owners_[chunk].load(std::memory_order_acquire);  // [K6] pairs with K3
    if (owner == 0) return true;
    const std::uint64_t run = owner - 1;
    const ChunkEntry entry =
        ChunkEntry::from(entry_of(run).load(std::memory_order_acquire));  // [K9] as K2; pairs with K1
    const bool lost = entry.is_of(run) && entry.chunk != chunk;
    const std::uint64_t first =
        layout::HeadWord::position(header_->head.load(std::memory_order_acquire)) >> shift_;  // [K10] pairs with Q7
    if (!lost && run >= first) continue;
    freed |= owners_[chunk].compare_exchange_strong(owner, 0, std::memory_order_acq_rel);  // [K5] pairs with K3
  }
  return freed;
}

bool ElasticSlots::add_chunk() noexcept {
  const std::uint64_t count = committed();
  if (count > mask_) return false;
  const std::uint64_t bytes = slot_bytes_ << shift_;
  const auto offset = static_cast<std::size_t>(chunks_ - attachment_->object()) + count * bytes;
  if (!memory_for(bytes) || !attachment_->commit(offset, bytes).ok()) return false;
  WARREN_CRASH_POINT(chunk_committed);  // memory that no count says: the next one commits it again
  std::uint64_t old = count;
  while (old <= count && !header_->chunks_committed.compare_exchange_weak(
                             old, count + 1, std::memory_order_release)) {  // [K7] memory before count; pairs with K8
  }
  return true;
}

void ElasticSlots::free_runs(std::uint64_t from, std::uint64_t to) noexcept {
  WARREN_CRASH_POINT(run_passed);  // collect() frees its chunk
  for (std::uint64_t run = from; run < to; ++run) {
    const ChunkEntry entry =
        ChunkEntry::from(entry_of(run).load(std::memory_order_acquire));  // [K11] as K2; pairs with K1
    if (!entry.is_of(run) || entry.chunk > mask_) continue;
    std::uint64_t owner = owner_word(run);
    (void)owners_[entry.chunk].compare_exchange_strong(owner, 0, std::memory_order_acq_rel);  // [K12] pairs with K3
  }
}

}  // namespace warren::detail
