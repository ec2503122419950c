// Hints to tasks that are not simply the next: by priority, for one worker, or not before a time. Each kind has rings
// of its own beside the pool's main one, whose memory comes with the first such task; a bit in a word that workers read
// anyway says that a ring may hold something. docs/algorithms/task_table.md.
#pragma once
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/mpmc_ring.h>
#include <warren/layout/pool.h>

#include <array>
#include <chrono>
#include <cstdint>

namespace warren::detail {

class SideHints {
 public:
  using Hint = Words<1>;
  static constexpr std::uint32_t kAnyPlace = UINT32_MAX;

  // What the rings take of the segment, all reserved and none of it committed.
  static std::uint64_t bands_bytes(std::uint64_t table_capacity);
  static std::uint64_t places_bytes();
  SideHints(Attachment& attachment, layout::PoolHeader& header, layout::WorkerRecord* workers) noexcept;

  // False: no memory, or too many for the ring. The caller has the table looked through.
  bool push_band(Seat& seat, std::int32_t priority, const Hint& hint) noexcept;
  bool push_nested(Seat& seat, std::uint32_t depth, const Hint& hint) noexcept;
  // Never lost: too many for the ring are noted, and pop_place() says so.
  void push_place(Seat& seat, std::uint32_t place, const Hint& hint) noexcept;
  void push_delayed(Seat& seat, const Hint& hint) noexcept;

  // Whether there may be any for the worker of that place. Three loads.
  [[nodiscard]] bool any(std::uint32_t place) const noexcept {
    return (header_->bands.load(std::memory_order_relaxed) | header_->nested.load(std::memory_order_relaxed)) != 0 ||
           (place != kAnyPlace && any_of(place));
  }
  // Whether there may be any for it alone.
  [[nodiscard]] bool any_of(std::uint32_t place) const noexcept {
    return workers_[place].pinned.load(std::memory_order_relaxed) != 0;
  }
  // Of the band with the largest priority that has one, above 0 or below 0.
  Front pop_bands(Seat& seat, bool above, Hint& hint) noexcept;
  // Of the deepest.
  Front pop_nested(Seat& seat, Hint& hint) noexcept;
  // Hints in the rings of priorities and depths, stale ones too.
  [[nodiscard]] std::size_t approx_size() const noexcept;
  Front pop_place(Seat& seat, std::uint32_t place, Hint& hint) noexcept;
  // True once after more hints came for the place than its ring holds.
  bool take_overflow(std::uint32_t place) noexcept;
  void note_overflow(std::uint32_t place) noexcept;
  // By the supervisor alone. Those that did not fit: `overflow`, the table is to be looked through.
  Front pop_delayed(Seat& seat, Hint& hint, bool& overflow) noexcept;
  [[nodiscard]] bool any_delayed() const noexcept { return header_->delayed.load(std::memory_order_relaxed) != 0; }

 private:
  using Flags = std::atomic<std::uint32_t>;
  using Ring = MpmcRing<1>;
  struct Stall {
    std::uint64_t position = 0;
    std::chrono::steady_clock::time_point since{};
  };
  class StallOf;

  // Behind the bands of priorities those of depths.
  [[nodiscard]] Ring band(std::uint32_t index) const noexcept;
  bool push_ring(Seat& seat, std::uint32_t index, Flags& committed, Flags& flags, std::uint32_t bit,
                 const Hint& hint) noexcept;
  Front pop_rings(Seat& seat, std::uint32_t first, Flags& flags, std::uint32_t bits, Hint& hint) noexcept;
  [[nodiscard]] Ring place_ring(std::uint64_t index) const noexcept;
  bool commit(Flags& committed, std::uint32_t bit, std::uint64_t offset, std::uint64_t bytes) noexcept;
  static bool push(Ring ring, Seat& seat, Flags& flags, std::uint32_t bit, const Hint& hint) noexcept;
  static Front pop(Ring ring, Stall& stall, Seat& seat, Flags& flags, std::uint32_t bit, Hint& hint) noexcept;
  void push_flat(Seat& seat, std::uint64_t index, Flags& committed, Flags& flags, const Hint& hint) noexcept;

  Attachment* attachment_;
  layout::PoolHeader* header_;
  layout::WorkerRecord* workers_;
  std::uint64_t bands_offset_, places_offset_;  // read once
  MpmcGeometry band_geometry_;
  // As a seat's, for each band, and for the one other ring that a process takes from. A worker, or the supervisor, has
  // one thread that takes.
  std::array<Stall, layout::kBands + layout::kDepths + 1> stalls_;
};

}  // namespace warren::detail
