// Lease<T>: an item of a Queue<T> that stays the queue's until it is done with.
//
//   while (auto mail = letters.lease()) {
//     deliver(*mail);
//     mail.ack();          // done: never delivered again
//   }
//
// Without ack() the item goes back to the front of the queue, to be taken by any pop() or lease(): when the Lease is
// destroyed, by give_back(), or when its process dies, wherever it is killed. So it is delivered at least once: again
// if the holder died after its work and before ack(). attempt() tells how often, so that an item that kills whoever
// takes it can be set aside. A stopped process is not dead, and keeps what it has.
//
// The item is a copy of the holder's own: what it changes there nobody else sees, and it is still there after ack().
//
// Move-only. May go to another thread, and outlive the thread and the handle that made it. It is its process's: a
// forked child inherits it empty, and neither acknowledges it nor gives it back. One Lease is not for two threads at
// once.
#pragma once
#include <warren/ipc/detail/parcels.h>
#include <warren/ipc/detail/take_ledger.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace warren {

template <class T>
class Queue;

namespace detail {

// What a lease has of the queue. Ends once: acknowledged, or given back.
class LeaseHold {
 public:
  LeaseHold() noexcept = default;
  LeaseHold(Attachment::Pointer attachment, const LeaseCells& cells, const TakeLedger& takes,
            const LeaseTicket& ticket) noexcept
      : attachment_(std::move(attachment)), cells_(cells), takes_(takes), ticket_(ticket), epoch_(process_epoch()) {}
  // With the block that goes with the item; 0: none.
  LeaseHold(std::shared_ptr<ParcelRing> parcels, const LeaseTicket& ticket, std::uint64_t block) noexcept;
  LeaseHold(LeaseHold&& from) noexcept { take(from); }
  LeaseHold& operator=(LeaseHold&& from) noexcept {
    if (this == &from) return *this;
    (void)give_back();
    take(from);
    return *this;
  }
  ~LeaseHold() { (void)give_back(); }

  [[nodiscard]] bool held() const noexcept { return epoch_ != 0 && epoch_ == process_epoch(); }
  [[nodiscard]] std::uint32_t attempt() const noexcept { return ticket_.attempt; }
  // False: it was not held, or no longer.
  bool acknowledge() noexcept;
  bool give_back() noexcept;

 private:
  void take(LeaseHold& from) noexcept;

  Attachment::Pointer attachment_;
  std::shared_ptr<ParcelRing> parcels_;  // null where items lie in their slots
  LeaseCells cells_;
  TakeLedger takes_;
  LeaseTicket ticket_;
  std::uint64_t block_ = 0;
  std::uint64_t epoch_ = 0;  // the process whose lease it is; 0: none
};

}  // namespace detail

// Pointer-like; empty when there was none. task_done() does not end it: ack() does.
template <class T>
class [[nodiscard]] Lease {
 public:
  Lease() noexcept = default;
  Lease(Lease&&) noexcept = default;
  // What it held is given back.
  Lease& operator=(Lease&& from) noexcept {
    if (this == &from) return *this;
    hold_ = std::move(from.hold_);
    item_.reset();  // T need not be assignable
    if (from.item_) item_.emplace(*std::move(from.item_));
    return *this;
  }
  ~Lease() = default;

  // On lease: from the time that the queue gave it until ack(), give_back(), or a move.
  explicit operator bool() const noexcept { return hold_.held(); }
  // Of a Lease that the queue gave.
  T& operator*() noexcept { return *item_; }
  T* operator->() noexcept { return &*item_; }
  // 1 the first time that the item is delivered, one more each further time; 0 when there was none.
  [[nodiscard]] std::uint32_t attempt() const noexcept { return hold_.attempt(); }
  // Done: never delivered again; counts as task_done(). False, and nothing changed: it is not on lease, or not any more
  // (its holder was taken for dead): it may be delivered again.
  bool ack() noexcept { return hold_.acknowledge(); }
  // To the front of the queue. False: likewise.
  bool give_back() noexcept { return hold_.give_back(); }

 private:
  friend class Queue<T>;
  Lease(detail::LeaseHold hold, std::optional<T> item) noexcept : hold_(std::move(hold)), item_(std::move(item)) {}

  detail::LeaseHold hold_;
  std::optional<T> item_;
};

template <class T>
inline constexpr bool detail::kOfItsProcess<Lease<T>> = true;

}  // namespace warren
