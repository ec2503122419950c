// ReadyQueue: tasks of a ThreadPool that wait for a thread, the largest priority first, then in order of arrival.
#pragma once
#include <warren/pool/detail/thread_crew.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <iterator>
#include <list>
#include <memory>
#include <utility>

namespace warren::detail {

class ReadyQueue {
 public:
  using Works = std::list<std::shared_ptr<ThreadWork>>;

  [[nodiscard]] bool empty() const noexcept { return occupied_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept {  // the one that needs no lock
    return size_.load(std::memory_order_relaxed);
  }

  void push(const std::shared_ptr<ThreadWork>& work, int priority) {
    const auto level = static_cast<std::size_t>(std::clamp(priority, -kLargest, kLargest) + kLargest);
    work->level_ = level;
    if (spare_.empty()) spare_.emplace_front();
    spare_.front() = work;
    levels_[level].splice(levels_[level].end(), spare_, spare_.begin());
    work->place_ = std::prev(levels_[level].end());
    occupied_ |= 1u << level;
    set_size(size() + 1);
  }
  std::shared_ptr<ThreadWork> pop() {  // not empty
    return take(*levels_[static_cast<std::size_t>(std::bit_width(occupied_) - 1)].front());
  }
  std::shared_ptr<ThreadWork> take(ThreadWork& work) {
    Works& level = levels_[work.level_];
    std::shared_ptr<ThreadWork> taken = std::move(*work.place_);
    if (spare_.size() < kMostSpare) {
      spare_.splice(spare_.begin(), level, work.place_);
    } else {
      level.erase(work.place_);
    }
    if (level.empty()) occupied_ &= ~(1u << work.level_);
    set_size(size() - 1);
    return taken;
  }
  Works take_all() {
    Works all;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) all.splice(all.end(), *level);
    occupied_ = 0;
    set_size(0);
    return all;
  }

 private:
  static constexpr int kLargest = 10;
  static constexpr std::size_t kMostSpare = 1024;

  void set_size(std::size_t size) noexcept { size_.store(size, std::memory_order_relaxed); }

  std::array<Works, 2 * kLargest + 1> levels_;
  std::uint32_t occupied_ = 0;  // a bit for each level that is not empty
  std::atomic<std::size_t> size_ = 0;
  Works spare_;  // nodes, to be used again: another thread frees one than allocates it, which allocators make dear
};

}  // namespace warren::detail
