#include "attachment_list.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "backing_file.h"

namespace warren::detail {

AttachmentList::AttachmentList() { ::pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child); }

AttachmentList& AttachmentList::instance() {
  static auto* const list = new AttachmentList;
  return *list;
}

void AttachmentList::add(Attachment& attachment) {
  const std::scoped_lock lock(mutex_);
  attachments_.push_back(&attachment);
}

void AttachmentList::remove(Attachment& attachment) {
  const std::scoped_lock lock(mutex_);
  std::erase(attachments_, &attachment);
}

void AttachmentList::watch_end_of_this_thread() {
  struct AtEnd {
    ~AtEnd() { instance().leave_lanes_of_this_thread(); }
  };
  static thread_local const AtEnd at_end;
  (void)at_end;
}

void AttachmentList::leave_lanes_of_this_thread() noexcept {
  const std::scoped_lock lock(mutex_);
  for (Attachment* attachment : attachments_) attachment->release_seats_of(thread_token());
  seat_cache.fill({});
}

// The lock that a name is held by belongs to an open file description, which a fork shares: the parent's leaving would
// look like the last. So the child gets a description of its own, opened before the fork, while the parent still holds.
void AttachmentList::before_fork() noexcept {
  AttachmentList& list = instance();
  list.mutex_.lock();
  for (Attachment* attachment : list.attachments_) {
    if (!attachment->name_.empty()) attachment->fd_for_child_ = hold_again(attachment->fd_).release();
  }
}

void AttachmentList::after_fork_in_parent() noexcept {
  AttachmentList& list = instance();
  for (Attachment* attachment : list.attachments_) {
    if (attachment->fd_for_child_ >= 0) ::close(std::exchange(attachment->fd_for_child_, -1));
  }
  list.mutex_.unlock();
}

void AttachmentList::after_fork_in_child() noexcept {
  AttachmentList& list = instance();
  for (Attachment* attachment : list.attachments_) {
    if (attachment->fd_for_child_ < 0) continue;
    if (attachment->fd_ >= 0) ::close(attachment->fd_);
    attachment->fd_ = std::exchange(attachment->fd_for_child_, -1);
    attachment->name_epoch_ = process_epoch();
  }
  list.mutex_.unlock();
}

}  // namespace warren::detail
