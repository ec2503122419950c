// LetGo: a mutex that is held is let go for the time of a wait, however often it was locked.
#pragma once
#include <warren/ipc/mutex.h>

namespace warren::detail {

template <class M>
class LetGo {
 public:
  explicit LetGo(M& mutex) noexcept : mutex_(mutex), was_held_(mutex.unlock()) {}
  [[nodiscard]] bool was_held() const noexcept { return was_held_; }  // by this thread; else nothing was let go
  void take_back() noexcept { mutex_.take_back(); }

 private:
  M& mutex_;
  bool was_held_;
};

template <>
class LetGo<RecursiveMutex> {
 public:
  explicit LetGo(RecursiveMutex& mutex) noexcept : mutex_(mutex), was_held_(mutex.let_go(depth_)) {}
  [[nodiscard]] bool was_held() const noexcept { return was_held_; }
  void take_back() noexcept { mutex_.take_back(depth_); }

 private:
  RecursiveMutex& mutex_;
  std::uint32_t depth_ = 0;
  bool was_held_;
};

}  // namespace warren::detail
