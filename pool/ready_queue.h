// ReadyQueue: tasks of a ThreadPool that wait for a thread, the largest priority first, then in order of arrival.
#pragma once
#include <warren/pool/detail/thread_crew.h>

#include <algorithm>
#include <array>
#include <bit>
#include <list>
#include <memory>
#include <utility>

namespace warren::detail {

class ReadyQueue {
 public:
  using Works = std::list<std::shared_ptr<ThreadWork>>;

  [[nodiscard]] bool empty() const noexcept { return occupied_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push(const std::shared_ptr<ThreadWork>& work, int priority) {
    const auto level = static_cast<std::size_t>(std::clamp(priority, -kLargest, kLargest) + kLargest);
    work->level_ = level;
    work->place_ = levels_[level].insert(levels_[level].end(), work);
    occupied_ |= 1u << level;
    ++size_;
  }
  std::shared_ptr<ThreadWork> pop() {  // not empty
    return take(*levels_[static_cast<std::size_t>(std::bit_width(occupied_) - 1)].front());
  }
  std::shared_ptr<ThreadWork> take(ThreadWork& work) {
    Works& level = levels_[work.level_];
    std::shared_ptr<ThreadWork> taken = std::move(*work.place_);
    level.erase(work.place_);
    if (level.empty()) occupied_ &= ~(1u << work.level_);
    --size_;
    return taken;
  }
  Works take_all() {
    Works all;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) all.splice(all.end(), *level);
    occupied_ = 0;
    size_ = 0;
    return all;
  }

 private:
  static constexpr int kLargest = 10;
  std::array<Works, 2 * kLargest + 1> levels_;
  std::uint32_t occupied_ = 0;  // a bit for each level that is not empty
  std::size_t size_ = 0;
};

}  // namespace warren::detail
