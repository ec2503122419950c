#include <warren/ipc/event.h>

#include "object_words.h"

namespace warren {

absl::StatusOr<Event> Event::create(const ObjectOptions& options) { return detail::Factory::create<Event>(options); }
absl::StatusOr<Event> Event::create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::create<Event>(name, options);
}
absl::StatusOr<Event> Event::open(std::string_view name) { return detail::Factory::open<Event>(name); }
absl::StatusOr<Event> Event::open_or_create(std::string_view name, const ObjectOptions& options) {
  return detail::Factory::open_or_create<Event>(name, options);
}

absl::StatusOr<detail::SegmentPlan> Event::plan(const ObjectOptions&) {
  return detail::SegmentPlan{.kind = layout::ObjectKind::kEvent,
                             .size = sizeof(layout::Event),
                             .wait_words = {offsetof(layout::Event, waiters)}};
}

absl::StatusOr<Event> Event::attach(detail::Attachment::Pointer attachment) {
  const absl::StatusOr<layout::Event*> words = detail::words_in<layout::Event>(*attachment, "event");
  if (!words.ok()) return words.status();
  return Event(std::move(attachment), **words);
}

// Where the flag is off again the count tells that it was on.
bool Event::wait_until(Deadline t) const {
  const State begin = look();
  if (begin.set) return true;
  return attachment_->wait_for_change(words_->waiters, attachment_->seat().pop_spinner, t, [&] {
    const State now = look();
    return now.set || now.sets != begin.sets ? detail::Progress::kDone : detail::Progress::kBlocked;
  });
}

int Event::fileno() const {
  return attachment_->readable_when(words_->waiters, [words = words_] {
    return [words] {
      const bool set = State::from(words->state.load(std::memory_order_acquire)).set;  // [E4] as E3; pairs with E1
      return set ? detail::Progress::kDone : detail::Progress::kBlocked;
    };
  });
}

}  // namespace warren
