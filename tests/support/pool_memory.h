// The shared memory of this process's pool, found among its mappings: what a test may look at that the public interface
// does not show.
#pragma once
#include <warren/layout/mpmc_ring.h>
#include <warren/layout/pool.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

namespace warren::test {

class PoolMemory {
 public:
  using Phase = layout::TaskState::Phase;

  // Of the one pool that this process has mapped.
  PoolMemory() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("/memfd:warren:pool") == std::string::npos) continue;
      object_ = reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16)) + layout::kObjectOffset;
      return;
    }
    throw std::runtime_error("no pool is mapped");
  }

  [[nodiscard]] layout::PoolHeader& header() const { return *reinterpret_cast<layout::PoolHeader*>(object_); }
  [[nodiscard]] layout::MpmcRingHeader& hints() const {
    return *reinterpret_cast<layout::MpmcRingHeader*>(object_ + header().hints_offset);
  }
  [[nodiscard]] layout::WorkerRecord& worker(std::uint32_t index) const {
    return reinterpret_cast<layout::WorkerRecord*>(object_ + header().workers_offset)[index];
  }
  [[nodiscard]] layout::TaskSlot& slot(std::uint64_t index) const {
    return reinterpret_cast<layout::TaskSlot*>(object_ + header().slots_offset)[index];
  }
  [[nodiscard]] layout::TaskState state(std::uint64_t index) const {
    return layout::TaskState::from(slot(index).state.load());
  }
  [[nodiscard]] std::uint64_t slots() const {
    return std::min<std::uint64_t>(header().slots_committed.load(), header().table_capacity);
  }
  // The first task that holds a slot.
  [[nodiscard]] std::optional<std::uint64_t> task() const {
    for (std::uint64_t i = 0; i < slots(); ++i) {
      if (state(i).phase != Phase::kFree) return i;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::uint64_t tasks() const {
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < slots(); ++i) count += state(i).phase != Phase::kFree;
    return count;
  }
  // Blocks that somebody owns.
  [[nodiscard]] std::uint64_t blocks() const {
    std::uint64_t count = 0;
    for (const layout::BlockClass& c : header().classes) {
      const auto* owners = reinterpret_cast<const std::atomic<std::uint64_t>*>(object_ + c.owners_offset);
      for (std::uint64_t i = 0; i < std::min(c.committed.load(), c.count); ++i) count += owners[i].load() != 0;
    }
    return count;
  }

 private:
  std::byte* object_ = nullptr;
};

}  // namespace warren::test
