// Readiness: a descriptor (an eventfd) that is readable while a shared object has something, so that one can sleep on
// it beside others. A thread of this process, the mirror, waits for the object as any waiter does, and rings; notifiers
// pay what they pay for a waiter, and nothing where nobody asked. docs/algorithms/readiness.md.
#pragma once
#include <pthread.h>
#include <warren/ipc/detail/wait.h>

#include <atomic>
#include <cstdint>
#include <functional>

namespace warren::detail {

class Attachment;

// Asks the object: kDone while it has something. The mirror alone calls it.
using Ask = std::function<Progress()>;

// One for each object that was asked for its descriptor. A forked child has neither the thread nor, for its own use,
// the descriptor: its first start() makes others.
class Readiness {
 public:
  // `attachment`, and `word` that lies in it, outlive this.
  Readiness(Attachment& attachment, std::atomic<std::uint32_t>& word) noexcept : attachment_(attachment), word_(word) {}
  ~Readiness();  // waits for the mirror's end: no longer than one look, and one slice where a peer writes what is false
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  [[nodiscard]] bool started() const noexcept;                                                     // in this process
  [[nodiscard]] int descriptor() const noexcept { return bell_.load(std::memory_order_relaxed); }  // of who is started
  // By one thread at a time. False: no descriptor or no thread is left.
  bool start(Ask ask);
  // After a look that found nothing: empties the bell, and the mirror looks again. Keeps errno; safe in signal
  // handlers.
  void quieten() noexcept;

 private:
  // Whose turn it is. The mirror rings only after it said kTold, so that who empties the bell can say kLooking.
  enum Turn : std::uint32_t {
    kLooking,  // the mirror's: it waits until there is something
    kTold,     // the others': it has rung, and waits until one of them found nothing
    kEnd,      // nobody's: the object goes
  };

  static void* run(void* self) noexcept;
  void mirror() noexcept;
  void empty() noexcept;

  Attachment& attachment_;
  std::atomic<std::uint32_t>& word_;
  Ask ask_;
  pthread_t thread_{};
  std::atomic<int> bell_{-1};
  std::atomic<std::uint64_t> epoch_{0};  // of the process that the thread belongs to; 0: there is none
  std::atomic<std::uint32_t> turn_{kLooking};
};

// Where an object keeps its Readiness: empty until it is asked for its descriptor.
class ReadinessSlot {
 public:
  ReadinessSlot() noexcept = default;
  ~ReadinessSlot() { end(); }
  ReadinessSlot(const ReadinessSlot&) = delete;
  ReadinessSlot& operator=(const ReadinessSlot&) = delete;

  // A descriptor that is readable while the object, whose waiters wait on `word`, has something. The first call in a
  // process starts a thread, which ends with this. -1: no descriptor or thread is left.
  int readable_when(Attachment& attachment, std::atomic<std::uint32_t>& word, const std::function<Ask()>& make_ask);
  // After a look in vain: that descriptor, where there is one, is not readable until there is something again.
  void found_nothing() noexcept {
    if (Readiness* const readiness = readiness_.load(std::memory_order_acquire)) [[unlikely]]  // [RY8] pairs with RY9
      readiness->quieten();
  }
  [[nodiscard]] bool used() const noexcept { return readiness_.load(std::memory_order_relaxed) != nullptr; }
  void end() noexcept;  // waits as ~Readiness() does

 private:
  std::atomic<Readiness*> readiness_{nullptr};  // ours; set, and taken away, under the list's mutex
};

}  // namespace warren::detail
