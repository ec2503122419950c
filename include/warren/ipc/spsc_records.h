// SpscRecords: one producer, one consumer, records of any number of bytes in one ring: a stream of messages whose sizes
// differ, without a slot as large as the largest.
//
//     auto log = warren::SpscRecords::open_or_create("log", 1 << 20).value();
//     log.push(std::as_bytes(std::span(line)));                       // the one
//     while (auto record = log.borrow()) write(2, (*record).data(), (*record).size());   // the other, in place
//
// A record lies in the ring in one piece. It takes its bytes, rounded up to 8, and 8 more; where it would lie across
// the ring's end, what is left there is skipped. So the longest record has max_record_bytes(): half the ring less 8
// bytes. Records may be empty.
//
// What was committed is delivered exactly once, in order, whoever is killed and when; a consumer that is killed before
// the end of its take, with a Borrow too, got nothing, and its successor gets the record. Sides, closing, signals and a
// producer's death are those of SpscQueue: the first thread that pushes (pops) owns that side until it ends; a second
// living one is refused, and check() and claim_*() say who owns it; a dead owner's side is taken over.
//
// A ring in which the consumer finds what no producer writes (a peer that went astray wrote into it) is closed by that:
// records that were not taken yet are lost, since nobody can tell where one begins; pops and pushes are refused from
// then on, and check() and check_consumer() say DataLoss. Algorithm, ordering and crash tables:
// docs/algorithms/spsc_records.md.
#pragma once
#include <warren/ipc/detail/factory.h>
#include <warren/ipc/detail/record_ring.h>
#include <warren/ipc/loan.h>
#include <warren/ipc/time.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace warren {

class Waitable;

// Thread-safe and process-safe as far as SpscQueue is. Handles pass to other processes by fork, by name and as values
// (handle.h).
class SpscRecords : public Handle {
 public:
  using Bytes = std::span<const std::byte>;
  using Record = std::vector<std::byte>;

  // `ring_bytes` is rounded up to a power of two, 4096 at least; all of it is promised when the ring is made. Errors
  // are Segment's; InvalidArgument for 0 bytes, and for more than 8 GiB.
  static absl::StatusOr<SpscRecords> create(std::size_t ring_bytes, const ObjectOptions& options = {});
  static absl::StatusOr<SpscRecords> create(std::string_view name, std::size_t ring_bytes,
                                            const ObjectOptions& options = {});
  static absl::StatusOr<SpscRecords> open(std::string_view name);
  // Whoever comes first decides the size and the lifetime, as with Queue.
  static absl::StatusOr<SpscRecords> open_or_create(std::string_view name, std::size_t ring_bytes,
                                                    const ObjectOptions& options = {});
  static absl::Status unlink(std::string_view name) { return detail::Attachment::unlink(name); }

  // Optional: early, and with a reason. AlreadyExists names the living owner.
  absl::Status claim_producer() { return ring().claim(detail::Side::kProducer); }
  absl::Status claim_consumer() { return ring().claim(detail::Side::kConsumer); }

  // Blocks while there is no room for it. False: refused, nothing was taken: closed, too long, another living thread
  // owns the side, or a loan stands; check(record) says which.
  bool push(Bytes record) { return push_until(record, Deadline::never()); }
  [[nodiscard]] bool try_push(Bytes record) noexcept;
  [[nodiscard]] bool try_push_for(Bytes record, Timeout d) { return push_until(record, Deadline::after(d)); }
  [[nodiscard]] bool try_push_until(Bytes record, Deadline t) { return push_until(record, t); }
  // Batches: how many, from the front, as many as there is room for published by one store. push_n blocks for all;
  // fewer: the next one was refused.
  [[nodiscard]] std::size_t push_n(std::span<const Bytes> records);
  [[nodiscard]] std::size_t try_push_n(std::span<const Bytes> records) noexcept;

  // nullopt of pop(): closed and drained, or refused: check_consumer() says why. nullopt of try_*: nothing now;
  // drained() says whether ever.
  [[nodiscard]] std::optional<Record> pop() { return pop_until(Deadline::never()); }
  [[nodiscard]] std::optional<Record> try_pop();
  [[nodiscard]] std::optional<Record> try_pop_for(Timeout d) { return pop_until(Deadline::after(d)); }
  [[nodiscard]] std::optional<Record> try_pop_until(Deadline t) { return pop_until(t); }

  // In place (loan.h): the ring's own memory, aligned to 8 bytes. One loan and one borrow at a time: while one stands
  // that side does nothing else. They end in the thread that owns the side, before it ends.
  // A place for a record of exactly so many bytes; loan() blocks while there is none. Empty where a push would be
  // refused.
  [[nodiscard]] Loan<Record> loan(std::size_t bytes);
  [[nodiscard]] Loan<Record> try_loan(std::size_t bytes);
  // Publishes it; never blocks. False: closed, or not a loan of this ring's to this thread: it keeps what it holds.
  bool push(Loan<Record>&& loan);
  // The next record; taken when the Borrow ends, and not before: so `while (auto record = ring.borrow())`, since
  // `record = ring.borrow()` asks for the second while the first still stands, and gets none. Where another thread ends
  // it, it is read again.
  [[nodiscard]] Borrow<Record> borrow();
  [[nodiscard]] Borrow<Record> try_borrow();

  void close() noexcept { ring().close(); }  // by anybody; pushes are refused from now on, pops drain
  [[nodiscard]] bool closed() const noexcept { return ring().closed(); }
  [[nodiscard]] bool drained() const noexcept { return ring().drained(); }  // once true, true for ever
  // The consumer's, for poll, select and epoll, and for wait() (pipe.h): readable while a record or the end may be
  // taken, also the one that is borrowed, and from then on until a try, a pop with a time limit or wait() finds
  // nothing. As Queue's (queue.h) otherwise. Claims nothing: where another thread owns the consumer's side, it tells of
  // records that only that takes.
  [[nodiscard]] int fileno() const { return ring().readable_when_filled(kAstray); }

  // Why push refuses the record now: DataLoss the ring is corrupt, OutOfRange closed, InvalidArgument too long,
  // AlreadyExists another living thread owns the producer's side (it says which), FailedPrecondition a loan stands,
  // ResourceExhausted no room or no memory for this thread's lane. Claims nothing.
  [[nodiscard]] absl::Status check(Bytes record) const;
  // Why pop is refused: DataLoss, AlreadyExists, FailedPrecondition (a borrow stands), ResourceExhausted (no lane).
  [[nodiscard]] absl::Status check_consumer() const;
  // With heads, and what is skipped.
  [[nodiscard]] std::size_t approx_bytes() const noexcept { return ring().approx_size() * layout::kRecordUnit; }
  [[nodiscard]] std::size_t capacity_bytes() const noexcept { return ring().capacity() * layout::kRecordUnit; }
  [[nodiscard]] std::size_t max_record_bytes() const noexcept { return records_->most_bytes(); }

 private:
  friend class detail::Factory;
  friend class Waitable;
  static constexpr detail::Progress kAstray = detail::Progress::kDone;  // the consumer finds it, and closes the ring
  struct Size {
    std::size_t ring_bytes;
    Lifetime lifetime;
  };
  SpscRecords(detail::Attachment::Pointer attachment, std::shared_ptr<detail::RecordRing> records) noexcept
      : Handle(std::move(attachment)), records_(std::move(records)) {}
  static absl::StatusOr<detail::SegmentPlan> plan(const Size& size) {
    return detail::RecordRing::plan(size.ring_bytes);
  }
  static detail::SegmentExpectation expectation() { return {.kind = layout::ObjectKind::kSpscRecords, .element = {}}; }
  static absl::StatusOr<SpscRecords> attach(detail::Attachment::Pointer attachment);

  [[nodiscard]] detail::SpscRing& ring() const noexcept { return records_->ring(); }
  [[nodiscard]] bool may(detail::Side which) const noexcept;
  [[nodiscard]] bool readable() const noexcept {
    const bool done = ring().look(kAstray) == detail::Progress::kDone;
    if (!done) ring().found_nothing();
    return done;
  }
  // A record, or the consumer's look was in vain.
  bool look(detail::RecordRing::Record& record) noexcept;
  [[nodiscard]] absl::Status check_side(detail::Side which) const;
  bool publish(std::size_t units) noexcept;
  template <class Try>
  void wait(detail::Side which, Deadline deadline, Try&& done);
  bool push_until(Bytes record, Deadline deadline);
  std::optional<Record> pop_until(Deadline deadline);
  Record taken(const detail::RecordRing::Record& record);
  bool await_record(Deadline deadline, detail::RecordRing::Record& record);
  Borrow<Record> borrowed(const detail::RecordRing::Record& record);

  std::shared_ptr<detail::RecordRing> records_;
};

}  // namespace warren
