// boost::lockfree::spsc_queue in memory that two processes share: what SpscQueue is read beside. It promises nothing
// about deaths, and its calls only try, so these spin.
#pragma once
#include <boost/lockfree/spsc_queue.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "peer.h"

namespace warren::bench {

template <class T>
class BoostSpsc {
 public:
  struct Options {
    std::size_t capacity = 0;  // its own is fixed
  };
  static std::optional<BoostSpsc> create(const Options&) { return BoostSpsc(); }

  void push(const T& item) {
    while (!queue().push(item)) {
    }
  }
  std::optional<T> pop() {
    T item;
    while (!queue().pop(item)) {
    }
    return item;
  }
  std::size_t push_n(std::span<const T> items) {
    for (std::size_t n = 0; n != items.size();) n += queue().push(items.data() + n, items.size() - n);
    return items.size();
  }
  std::size_t pop_n(std::span<T> out) {
    std::size_t count = 0;
    while (count == 0) count = queue().pop(out.data(), out.size());
    return count;
  }

 private:
  using Ring = boost::lockfree::spsc_queue<T, boost::lockfree::capacity<4096>>;
  Ring& queue() { return **shared_; }

  std::shared_ptr<Shared<Ring>> shared_ = std::make_shared<Shared<Ring>>();
};

}  // namespace warren::bench
