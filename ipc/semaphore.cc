#include <warren/ipc/semaphore.h>

#include "object_words.h"

namespace warren {

absl::StatusOr<Semaphore> Semaphore::create(std::uint32_t permits, const ObjectOptions& options) {
  return detail::Factory::create<Semaphore>(Initial{.permits = permits, .lifetime = options.lifetime});
}
absl::StatusOr<Semaphore> Semaphore::create(std::string_view name, std::uint32_t permits,
                                            const ObjectOptions& options) {
  return detail::Factory::create<Semaphore>(name, Initial{.permits = permits, .lifetime = options.lifetime});
}
absl::StatusOr<Semaphore> Semaphore::open(std::string_view name) { return detail::Factory::open<Semaphore>(name); }
absl::StatusOr<Semaphore> Semaphore::open_or_create(std::string_view name, std::uint32_t permits,
                                                    const ObjectOptions& options) {
  return detail::Factory::open_or_create<Semaphore>(name, Initial{.permits = permits, .lifetime = options.lifetime});
}

absl::StatusOr<detail::SegmentPlan> Semaphore::plan(const Initial& initial) {
  return detail::SegmentPlan{
      .kind = layout::ObjectKind::kSemaphore,
      .size = sizeof(layout::Semaphore),
      .wait_words = {offsetof(layout::Semaphore, waiters)},
      .initialise = [permits = initial.permits](std::span<std::byte> object) {
        reinterpret_cast<layout::Semaphore*>(object.data())->permits.store(permits, std::memory_order_relaxed);
      }};
}

absl::StatusOr<Semaphore> Semaphore::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Semaphore*> words = detail::words_in<layout::Semaphore>(*attachment, "semaphore");
  if (!words.ok()) return words.status();
  return Semaphore(std::move(attachment), **words);
}

// Each permit that is released wakes one. Who was woken and runs out of time instead takes it all the same: the wait
// ends with a last try.
bool Semaphore::try_acquire_until(Deadline t) noexcept {
  if (try_acquire()) return true;
  return attachment_->wait_for_change(words_->waiters, attachment_->seat().pop_spinner, t, [this] {
    return try_acquire() ? detail::Progress::kDone : detail::Progress::kBlocked;
  });
}

}  // namespace warren
