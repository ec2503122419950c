// SpscRecords: one producer, one consumer, records of any number of bytes in one ring: a stream of messages whose sizes
// differ, without a slot as large as the largest.
//
//     auto log = warren::SpscRecords::open_or_create("log", 1 << 20).value();
//     log.push(line);                                                 // the one: a text, or bytes
//     while (auto line = log.pop<std::string>()) std::cout << *line;      // the other,
//     while (auto record = log.borrow()) std::cout << log.text(*record);  // or in place
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

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace warren {

class Waitable;

namespace detail {

template <class T>
inline constexpr bool kByteSized = false;
template <>
inline constexpr bool kByteSized<std::byte> = true;
template <>
inline constexpr bool kByteSized<char> = true;
template <>
inline constexpr bool kByteSized<unsigned char> = true;
template <>
inline constexpr bool kByteSized<signed char> = true;
template <>
inline constexpr bool kByteSized<char8_t> = true;

}  // namespace detail

// What is pushed as a record: any bytes that lie in a row, std::span, std::vector, std::array, std::string and the like
// of std::byte or a char; of a literal the text, without its 0; {pointer, number}.
class RecordView {
 public:
  using Bytes = std::span<const std::byte>;
  template <std::ranges::contiguous_range Range>
    requires std::ranges::sized_range<const Range&> && detail::kByteSized<std::ranges::range_value_t<Range>> &&
             (!std::is_array_v<Range>)
  constexpr RecordView(const Range& bytes) noexcept  // NOLINT: implicit on purpose
      : bytes_(std::as_bytes(std::span(std::ranges::data(bytes), std::ranges::size(bytes)))) {}
  template <class Text>
    requires std::same_as<Text, const char*> || std::same_as<Text, char*>
  RecordView(const Text& text) noexcept : RecordView(std::string_view(text)) {}  // NOLINT: likewise
  template <std::size_t N>
  constexpr RecordView(const char (&literal)[N]) noexcept  // NOLINT: likewise
      : RecordView(std::string_view(literal, static_cast<std::size_t>(std::ranges::find(literal, '\0') - literal))) {}
  // A buffer that read() filled, say, has no 0 at its end.
  template <std::size_t N>
  RecordView(char (&)[N]) {  // NOLINT: likewise
    static_assert(detail::kNever<char[N]>,
                  "nobody knows how many bytes of this buffer are the record. Remedy: push({buffer, bytes})");
  }
  template <class Byte>
    requires detail::kByteSized<Byte>
  constexpr RecordView(const Byte* first, std::size_t bytes) noexcept
      : bytes_(std::as_bytes(std::span(first, bytes))) {}

  [[nodiscard]] constexpr Bytes bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

// Thread-safe and process-safe as far as SpscQueue is. Handles pass to other processes by fork, by name and as values
// (handle.h).
class SpscRecords : public Handle {
 public:
  using Bytes = RecordView::Bytes;
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
  bool push(RecordView record) { return push_until(record.bytes(), Deadline::never()); }
  [[nodiscard]] bool try_push(RecordView record) noexcept { return try_push_bytes(record.bytes()); }
  [[nodiscard]] bool try_push_for(RecordView record, Timeout d) {
    return push_until(record.bytes(), Deadline::after(d));
  }
  [[nodiscard]] bool try_push_until(RecordView record, Deadline t) { return push_until(record.bytes(), t); }
  // Batches: how many, from the front, as many as there is room for published by one store. push_n blocks for all;
  // fewer: the next one was refused.
  [[nodiscard]] std::size_t push_n(std::span<const Bytes> records);
  [[nodiscard]] std::size_t try_push_n(std::span<const Bytes> records) noexcept;

  // nullopt of pop(): closed and drained, or refused: check_consumer() says why. nullopt of try_*: nothing now;
  // drained() says whether ever. R may also be std::string, or another vector of chars: pop<std::string>(). Where
  // memory for it ends the record stays.
  template <class R = Record>
  [[nodiscard]] std::optional<R> pop() {
    return pop_until<R>(Deadline::never());
  }
  template <class R = Record>
  [[nodiscard]] std::optional<R> try_pop();
  template <class R = Record>
  [[nodiscard]] std::optional<R> try_pop_for(Timeout d) {
    return pop_until<R>(Deadline::after(d));
  }
  template <class R = Record>
  [[nodiscard]] std::optional<R> try_pop_until(Deadline t) {
    return pop_until<R>(t);
  }
  [[nodiscard]] static std::string_view text(Bytes record) noexcept {
    return {reinterpret_cast<const char*>(record.data()), record.size()};
  }

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
  [[nodiscard]] absl::Status check(RecordView record) const;
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
  bool try_push_bytes(Bytes record) noexcept;
  bool push_until(Bytes record, Deadline deadline);
  template <class R>
  std::optional<R> pop_until(Deadline deadline);
  // The record is taken when it was copied.
  template <class R>
  R taken(const detail::RecordRing::Record& record);
  void take(const detail::RecordRing::Record& record) noexcept;
  bool await_record(Deadline deadline, detail::RecordRing::Record& record);
  Borrow<Record> borrowed(const detail::RecordRing::Record& record);

  std::shared_ptr<detail::RecordRing> records_;
};

template <class R>
R SpscRecords::taken(const detail::RecordRing::Record& record) {
  static_assert(detail::kByteSized<typename R::value_type>,
                "a record is popped as a std::string, or as a std::vector of std::byte or of a char");
  const auto* const first = reinterpret_cast<const typename R::value_type*>(record.memory.data());
  R copy(first, first + record.memory.size());
  take(record);
  return copy;
}

template <class R>
std::optional<R> SpscRecords::try_pop() {
  detail::RecordRing::Record record;
  return look(record) ? std::optional<R>(taken<R>(record)) : std::nullopt;
}

template <class R>
std::optional<R> SpscRecords::pop_until(Deadline deadline) {
  detail::RecordRing::Record record;
  return await_record(deadline, record) ? std::optional<R>(taken<R>(record)) : std::nullopt;
}

}  // namespace warren
