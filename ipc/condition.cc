#include <warren/ipc/condition.h>

#include "object_words.h"

namespace warren {

absl::StatusOr<Condition> Condition::create(const ObjectOptions& options) {
  return detail::Factory::create<Condition>(options);
}
absl::StatusOr<Condition> Condition::create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::create<Condition>(name, options);
}
absl::StatusOr<Condition> Condition::open(std::string_view name) { return detail::Factory::open<Condition>(name); }
absl::StatusOr<Condition> Condition::open_or_create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::open_or_create<Condition>(name, options);
}

absl::StatusOr<detail::SegmentPlan> Condition::plan(const ObjectOptions&) {
  return detail::SegmentPlan{.kind = layout::ObjectKind::kCondition,
                             .size = sizeof(layout::Condition),
                             .wait_words = {offsetof(layout::Condition, waiters)}};
}

absl::StatusOr<Condition> Condition::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Condition*> words = detail::words_in<layout::Condition>(*attachment, "condition");
  if (!words.ok()) return words.status();
  return Condition(std::move(attachment), **words);
}

// Counted before anybody is woken: who wakes for any reason finds it counted, and so nothing depends on who it was that
// the wake went to, nor on whether that one lives.
void Condition::notify(int count) noexcept {
  words_->notified.fetch_add(1, std::memory_order_relaxed);
  WARREN_CRASH_POINT(condition_notified);  // nobody is woken: slices bound the wait
  detail::notify(words_->waiters, attachment_->wait_mode(), count);
}

bool Condition::sleep(std::uint64_t begin, Deadline deadline, Until until) noexcept {
  bool over = false;
  return detail::await(
      words_->waiters, attachment_->wait_mode(), attachment_->seat().pop_spinner, deadline,
      [&] { return notified() != begin || over ? detail::Progress::kDone : detail::Progress::kBlocked; },
      [&] { return attachment_->slice(); },
      [&] {
        (void)attachment_->sweep();
        over = until == Until::kSliceEnds;
      },
      detail::Lookout(*attachment_));
}

}  // namespace warren
