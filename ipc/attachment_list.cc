#include "attachment_list.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "backing_file.h"

namespace warren::detail {
namespace {

// Of the one list. `watching` while threads may have the key call it at their end.
pthread_key_t end_of_thread;
constinit std::atomic<bool> watching{false};

// The end of the program by exit() calls no key's destructor: this runs after the destructors of all static objects.
// Where the library is unloaded instead, no thread may call into it any more.
__attribute__((destructor)) void at_end_of_program() noexcept {
  if (!watching.exchange(false, std::memory_order_relaxed)) return;
  AttachmentList& list = AttachmentList::instance();  // made, and its key with it
  ::pthread_key_delete(end_of_thread);
  list.leave_lanes_of_this_thread();
}

}  // namespace

AttachmentList::AttachmentList() {
  ::pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child);
  const auto at_end = [](void*) { instance().leave_lanes_of_this_thread(); };
  watching.store(::pthread_key_create(&end_of_thread, at_end) == 0, std::memory_order_relaxed);
}

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

std::shared_ptr<Attachment> AttachmentList::find(const SegmentId& id) {
  if (id == SegmentId{}) return nullptr;  // those that are not whole yet have it
  const std::scoped_lock lock(mutex_);
  for (Attachment* attachment : attachments_) {
    if (attachment->id_ != id || attachment->read_only_) continue;
    if (std::shared_ptr<Attachment> found = attachment->weak_from_this().lock()) return found;
  }
  return nullptr;
}

// By a key, whose destructor runs after those of all thread_local objects: the user's may push yet. If another key's
// destructor pushes after ours ran, ours is called again, up to PTHREAD_DESTRUCTOR_ITERATIONS times in all. Where no
// key is left the lanes are swept when the process ends.
void AttachmentList::watch_end_of_this_thread() noexcept {
  if (!watching.load(std::memory_order_relaxed) || ::pthread_getspecific(end_of_thread) != nullptr) return;
  (void)::pthread_setspecific(end_of_thread, this);
}

// The thread gets another token with its next use: what it owned by this one it owns no more.
void AttachmentList::leave_lanes_of_this_thread() noexcept {
  const std::scoped_lock lock(mutex_);
  for (Attachment* attachment : attachments_) attachment->release_seats_of(thread_token());
  seat_cache.fill({});
  assigned_thread_token = 0;
}

void AttachmentList::leave_lanes() noexcept {
  const std::scoped_lock lock(mutex_);
  for (Attachment* attachment : attachments_) attachment->release_all_seats();
}

void AttachmentList::leave_names() noexcept {
  const std::scoped_lock lock(mutex_);
  for (Attachment* attachment : attachments_) attachment->leave_name();
}

std::uint64_t AttachmentList::mirrors() noexcept {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::uint64_t>(std::ranges::count_if(mirrored_, &Readiness::started));
}

std::vector<int> AttachmentList::descriptors() {
  const std::scoped_lock lock(mutex_);
  std::vector<int> found;
  for (const Attachment* attachment : attachments_) found.push_back(attachment->fd_);
  return found;
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
