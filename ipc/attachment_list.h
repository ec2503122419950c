// Every attachment of this process: what a fork and the end of a thread have to look at.
#pragma once
#include <warren/ipc/detail/attachment.h>

#include <mutex>
#include <vector>

namespace warren::detail {

// Its mutex also guards the seats of all attachments, so that a fork finds them whole. Never destroyed: threads and
// static handles may end after main.
class AttachmentList {
 public:
  static AttachmentList& instance();

  void add(Attachment& attachment);
  void remove(Attachment& attachment);
  // The attachment of a segment; none where its last handle is just going.
  std::shared_ptr<Attachment> find(const SegmentId& id);
  std::mutex& mutex() noexcept { return mutex_; }
  // Has the calling thread give back its lanes when it ends, after its last destructor.
  void watch_end_of_this_thread() noexcept;
  void leave_lanes_of_this_thread() noexcept;
  void leave_lanes() noexcept;
  void leave_names() noexcept;
  std::uint64_t mirrors() noexcept;
  // What mirrors() counts. Under mutex(), as every change of it.
  std::vector<Readiness*>& mirrored() noexcept { return mirrored_; }
  std::vector<int> descriptors();

 private:
  AttachmentList();
  static void before_fork() noexcept;
  static void after_fork_in_parent() noexcept;
  static void after_fork_in_child() noexcept;

  std::mutex mutex_;
  std::vector<Attachment*> attachments_;
  std::vector<Readiness*> mirrored_;
};

}  // namespace warren::detail
