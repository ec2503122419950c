// A pool's shared memory as it lies there: what tests count in it.
#pragma once
#include <warren/layout/mpmc_ring.h>
#include <warren/layout/pool.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>

namespace warren::test {

class PoolView {
 public:
  explicit PoolView(std::byte* object) : object_(object) {}
  // Of the one pool that this process has.
  static PoolView of_this_process() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("memfd:warren:pool") == std::string::npos) continue;
      return PoolView(reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16)) + layout::kObjectOffset);
    }
    throw std::runtime_error("this process has no pool");
  }

  [[nodiscard]] layout::PoolHeader& header() const { return *at<layout::PoolHeader>(0); }
  [[nodiscard]] std::span<layout::WorkerRecord> workers() const {
    return {at<layout::WorkerRecord>(header().workers_offset), header().worker_count};
  }
  [[nodiscard]] layout::MpmcRingHeader& hints() const { return *at<layout::MpmcRingHeader>(header().hints_offset); }
  [[nodiscard]] std::span<layout::TaskSlot> slots() const {
    return {at<layout::TaskSlot>(header().slots_offset),
            std::min(header().slots_committed.load(), header().table_capacity)};
  }
  [[nodiscard]] layout::TaskExtras& extras(std::size_t slot) const {
    return at<layout::TaskExtras>(header().extras_offset)[slot];
  }
  [[nodiscard]] layout::TaskState state(std::size_t slot) const {
    return layout::TaskState::from(slots()[slot].state.load());
  }
  [[nodiscard]] std::size_t slots_in_use() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < slots().size(); ++i) count += state(i).phase != layout::TaskState::Phase::kFree;
    return count;
  }
  void each_owned_block(const std::function<void(layout::BlockOwner, layout::BlockRef)>& look) const {
    for (std::uint32_t c = 0; c < layout::kBlockClasses; ++c) {
      const layout::BlockClass& size_class = header().classes[c];
      for (std::uint64_t i = 0; i < std::min(size_class.committed.load(), size_class.count); ++i) {
        const std::uint64_t owner = at<std::atomic<std::uint64_t>>(size_class.owners_offset)[i].load();
        if (owner != 0) look(layout::BlockOwner::from(owner), {.size_class = c, .index = i});
      }
    }
  }
  [[nodiscard]] std::size_t owned_blocks() const {
    std::size_t count = 0;
    each_owned_block([&](layout::BlockOwner, layout::BlockRef) { ++count; });
    return count;
  }

 private:
  template <class T>
  T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(object_ + offset);
  }
  std::byte* object_;
};

}  // namespace warren::test
