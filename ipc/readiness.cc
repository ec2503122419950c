#include <warren/ipc/detail/readiness.h>

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "attachment_list.h"

namespace warren::detail {
namespace {

// The looks of a mirror: at the object itself, where others look for the dead. Between two slices, so that it costs
// the look and no barrier: the word is still armed.
template <class Test>
class Asks {
 public:
  explicit Asks(const Test& test) noexcept : test_(test) {}
  [[nodiscard]] static Time next(Time now) noexcept { return now + about(look_period(), now); }
  [[nodiscard]] bool found_dead(Time) const { return test_() != Progress::kBlocked; }

 private:
  const Test& test_;
};

}  // namespace

Readiness::~Readiness() {
  if (started()) {
    turn_.exchange(kEnd, std::memory_order_seq_cst);  // [RY1] before notify_one looks for who waits; pairs with RY4
    turn_.notify_one();
    notify(word_, attachment_.wait_mode(), kWakeAll);
    ::pthread_join(thread_, nullptr);
  }
  if (bell_ >= 0) ::close(bell_);
}

bool Readiness::started() const noexcept {
  return epoch_.load(std::memory_order_acquire) == process_epoch();  // [RY2] the bell; pairs with RY3
}

bool Readiness::start(Ask ask) {
  if (started()) return true;
  if (bell_ >= 0) ::close(bell_);  // of the process that this one was forked from
  bell_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (bell_ < 0) return false;
  ask_ = std::move(ask);
  turn_.store(kLooking, std::memory_order_relaxed);
  // No signal of the program's is handled by a thread that it does not know of.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const bool made = ::pthread_create(&thread_, nullptr, &Readiness::run, this) == 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!made) {
    ::close(bell_.exchange(-1));
    return false;
  }
  ::pthread_setname_np(thread_, "warren-mirror");
  epoch_.store(process_epoch(), std::memory_order_release);  // [RY3] bell and thread before it; pairs with RY2
  return true;
}

void* Readiness::run(void* self) noexcept {
  static_cast<Readiness*>(self)->mirror();
  return nullptr;
}

// No seat, and no sweep but what a look at items on lease makes: it takes nothing, so that nobody need know of it, and
// its looks see the deaths that are in its way. Others look after the dead.
void Readiness::mirror() noexcept {
  const layout::WaitMode mode = attachment_.wait_mode();
  bool held_up = false;
  const auto test = [&] {
    const Progress progress = turn_.load(std::memory_order_relaxed) == kEnd ? Progress::kDone : ask_();
    held_up |= progress == Progress::kStalled || progress == Progress::kStalledAnew;
    return progress;
  };
  Asks asks(test);
  const auto longest_slice = [] {
    return slice_for(layout::kMaxLanes);
  };  // it does not sweep; its looks see the object
  for (;;) {
    empty();
    held_up = false;
    (void)sleep_until_done(
        word_, mode, Deadline::never(), test, longest_slice, [] {}, asks);
    // A wake that came here may have been meant for who takes; while a claim stood in the way, more than one may have.
    notify(word_, mode, held_up ? kWakeAll : 1);
    std::uint32_t looking = kLooking;
    if (!turn_.compare_exchange_strong(looking, kTold, std::memory_order_acq_rel)) return;  // [RY5] pairs with RY6
    const std::uint64_t one = 1;
    (void)!::write(bell_.load(std::memory_order_relaxed), &one, sizeof one);
    turn_.wait(kTold, std::memory_order_acquire);  // [RY4] the bell was emptied; pairs with RY1, RY7
  }
}

// Who has emptied the bell says so afterwards, so the mirror looks after whatever was emptied. Between the two, and
// until the mirror has begun to look, the bell may be readable for nothing, or not yet readable again.
void Readiness::quieten() noexcept {
  if (turn_.load(std::memory_order_acquire) != kTold || !started()) return;  // [RY6] pairs with RY5
  empty();
  std::uint32_t told = kTold;
  if (turn_.compare_exchange_strong(told, kLooking, std::memory_order_seq_cst,  // [RY7] as RY1; pairs with RY4
                                    std::memory_order_relaxed)) {
    turn_.notify_one();
  }
}

void Readiness::empty() noexcept {
  const int saved_errno = errno;
  std::uint64_t rings = 0;
  (void)!::read(bell_.load(std::memory_order_relaxed), &rings, sizeof rings);
  errno = saved_errno;
}

// Under the list's mutex: a fork by another thread finds it made or not.
int ReadinessSlot::readable_when(Attachment& attachment, std::atomic<std::uint32_t>& word,
                                 const std::function<Ask()>& make_ask) {
  Readiness* readiness = readiness_.load(std::memory_order_acquire);  // [RY10] as RY8; pairs with RY9
  if (readiness == nullptr || !readiness->started()) {
    AttachmentList& list = AttachmentList::instance();
    const std::scoped_lock lock(list.mutex());
    readiness = readiness_.load(std::memory_order_relaxed);
    if (readiness == nullptr) {
      auto made = std::make_unique<Readiness>(attachment, word);
      list.mirrored().push_back(made.get());
      readiness = made.release();
      readiness_.store(readiness, std::memory_order_release);  // [RY9] it is whole; pairs with RY8, RY10
    }
    if (!readiness->start(make_ask())) return -1;
  }
  return readiness->descriptor();
}

// mirrors() looks at it under that lock; the mirror's end is waited for without.
void ReadinessSlot::end() noexcept {
  if (!used()) return;
  std::unique_ptr<Readiness> ended;
  {
    AttachmentList& list = AttachmentList::instance();
    const std::scoped_lock lock(list.mutex());
    ended.reset(readiness_.exchange(nullptr, std::memory_order_relaxed));
    std::erase(list.mirrored(), ended.get());
  }
}

}  // namespace warren::detail
