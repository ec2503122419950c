#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/latch.h>

#include "object_words.h"

namespace warren {

absl::StatusOr<Latch> Latch::create(std::uint32_t count, const ObjectOptions& options) {
  return detail::Factory::create<Latch>(Plan{count, options.lifetime});
}
absl::StatusOr<Latch> Latch::create(std::string_view name, std::uint32_t count, const ObjectOptions& options) {
  return detail::Factory::create<Latch>(name, Plan{count, options.lifetime});
}
absl::StatusOr<Latch> Latch::open(std::string_view name) { return detail::Factory::open<Latch>(name); }
absl::StatusOr<Latch> Latch::open_or_create(std::string_view name, std::uint32_t count, const ObjectOptions& options) {
  return detail::Factory::open_or_create<Latch>(name, Plan{count, options.lifetime});
}

absl::StatusOr<detail::SegmentPlan> Latch::plan(const Plan& plan) {
  return detail::SegmentPlan{
      .kind = layout::ObjectKind::kLatch,
      .size = sizeof(layout::Latch),
      .wait_words = {offsetof(layout::Latch, waiters)},
      .initialise = [count = plan.count](std::span<std::byte> object) {
        reinterpret_cast<layout::Latch*>(object.data())->count.store(count, std::memory_order_relaxed);
      }};
}

absl::StatusOr<Latch> Latch::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Latch*> words = detail::words_in<layout::Latch>(*attachment, "latch");
  if (!words.ok()) return words.status();
  return Latch(std::move(attachment), **words);
}

bool Latch::count_down(std::uint32_t n) noexcept {
  std::uint32_t left = words_->count.load(std::memory_order_relaxed);
  do {
    if (n > left) return false;
  } while (!words_->count.compare_exchange_weak(left, left - n, std::memory_order_release,
                                                std::memory_order_relaxed));  // [H1] pairs with H2
  if (left != n) return true;
  WARREN_CRASH_POINT(latch_opened);  // nobody is woken: slices bound the wait
  detail::notify(words_->waiters, attachment_->wait_mode(), detail::kWakeAll);
  return true;
}

bool Latch::try_wait() const noexcept {
  return words_->count.load(std::memory_order_acquire) == 0;  // [H2] what was done before the counts; pairs with H1
}

bool Latch::wait_until(Deadline t) const noexcept {
  if (try_wait()) return true;
  return attachment_->wait_for_change(words_->waiters, attachment_->seat().pop_spinner, t, [this] {
    return try_wait() ? detail::Progress::kDone : detail::Progress::kBlocked;
  });
}

bool Latch::arrive_and_wait(std::uint32_t n) noexcept {
  if (!count_down(n)) return false;
  wait();
  return true;
}

}  // namespace warren
