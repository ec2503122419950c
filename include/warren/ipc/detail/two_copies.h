// The value of more than 8 bytes: two copies, and one word that says which of them is it. A writer fills the other copy
// and publishes it by one store, so whoever is killed leaves the old value or the new one. Readers take no lock: they
// copy, and look whether anything was published meanwhile. docs/algorithms/value.md.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/crash_point.h>
#include <warren/ipc/detail/mutex_core.h>
#include <warren/ipc/detail/update_scope.h>
#include <warren/layout/value.h>

#include <algorithm>
#include <cstring>

namespace warren::detail {

// What does not depend on the size.
class TwoCopiesBase {
 public:
  // For as long as it lives this thread has the lock: who publishes holds it. Blocks; a lock of the dead is taken over,
  // and there is nothing to repair: what they had not published is written anew as a whole. Where this thread has it
  // already, a broken program, stopped with a message.
  class Writing {
   public:
    explicit Writing(TwoCopiesBase& copies) noexcept : scope_(copies.header_), copies_(copies) { copies_.lock(); }
    ~Writing() { copies_.lock_.unlock(); }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

   private:
    const UpdateScope scope_;
    TwoCopiesBase& copies_;
  };

 protected:
  // In the segment of `attachment`, which must outlive it.
  TwoCopiesBase(Attachment& attachment, layout::ValueHeader& header) noexcept
      : attachment_(&attachment), header_(&header), lock_(attachment, header.writer) {}

  // Until it is this thread's turn among the writers: calls `read` with the lock held; or until `look` says that it saw
  // a whole value, since who has the lock may be stopped.
  template <class Look, class Read>
  void wait_for_turn(Look&& look, Read&& read) const noexcept;
  void lock() noexcept;

  Attachment* attachment_;
  layout::ValueHeader* header_;
  MutexCore lock_;
};

template <std::size_t kBytes>
class TwoCopies : public TwoCopiesBase {
 public:
  static constexpr std::size_t kCopyBytes = (kBytes + layout::kLine - 1) / layout::kLine * layout::kLine;
  static constexpr std::size_t kObjectBytes = sizeof(layout::ValueHeader) + 2 * kCopyBytes;

  TwoCopies(Attachment& attachment, layout::ValueHeader& header) noexcept : TwoCopiesBase(attachment, header) {}

  // The published value, whole. Waits for nobody who stands still: while nothing is published a look suffices. After
  // `looks` in vain this thread takes its turn among the writers, who publish faster than it copies.
  void load(void* to, int looks = 16) const noexcept {
    for (int i = 0; i < looks; ++i) {
      if (look(to)) return;
    }
    wait_for_turn([&] { return look(to); }, [&] { read(to); });
  }

  // --- by the holder of the lock

  void read(void* to) const noexcept { copy_out(header_->word.load(std::memory_order_relaxed), to); }
  void publish(const void* from) noexcept {
    const std::uint64_t sequence = header_->word.load(std::memory_order_relaxed);
    copy_in(from, sequence + 1);
    WARREN_CRASH_POINT(value_written);                             // the old value stands; the next writer writes anew
    header_->word.store(sequence + 1, std::memory_order_seq_cst);  // [V6] COMMIT; pairs with V7
    WARREN_CRASH_POINT(value_published);                           // the new value stands; the next writer has the lock
  }

 private:
  [[nodiscard]] bool look(void* to) const noexcept {
    const std::uint64_t sequence = header_->word.load(std::memory_order_seq_cst);  // [V7] pairs with V6
    copy_out(sequence, to);
    return header_->word.load(std::memory_order_relaxed) == sequence;  // after the copy: V9
  }
  [[nodiscard]] std::uint64_t* words(std::uint64_t sequence) const noexcept {
    std::byte* const copies = reinterpret_cast<std::byte*>(header_) + sizeof(layout::ValueHeader);
    return reinterpret_cast<std::uint64_t*>(copies + (sequence & 1) * kCopyBytes);
  }
  // Release and acquire, so that who reads one word of the next but one publication sees that there was a next.
  void copy_in(const void* from, std::uint64_t sequence) noexcept {
    std::uint64_t* const to = words(sequence);
    for (std::size_t at = 0; at < kBytes; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, static_cast<const std::byte*>(from) + at, std::min(sizeof word, kBytes - at));
      std::atomic_ref(to[at / sizeof word]).store(word, std::memory_order_release);  // [V8] pairs with V9
    }
  }
  void copy_out(std::uint64_t sequence, void* to) const noexcept {
    std::uint64_t* const from = words(sequence);
    for (std::size_t at = 0; at < kBytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t word =
          std::atomic_ref(from[at / sizeof word]).load(std::memory_order_acquire);  // [V9] pairs with V8
      std::memcpy(static_cast<std::byte*>(to) + at, &word, std::min(sizeof word, kBytes - at));
    }
  }
};

template <class Look, class Read>
void TwoCopiesBase::wait_for_turn(Look&& look, Read&& read) const noexcept {
  MutexCore lock = lock_;
  (void)attachment_->wait_for_change(header_->writer.waiters, attachment_->seat().pop_spinner, Deadline::never(), [&] {
    if (lock.try_take() != MutexCore::Take::kTaken) return look() ? Progress::kDone : Progress::kStalled;
    read();
    lock.unlock();
    return Progress::kDone;
  });
}

}  // namespace warren::detail
