#include <warren/ipc/spsc_records.h>

#include <absl/strings/str_cat.h>

namespace warren {

using detail::Progress;
using detail::RecordRing;
using detail::Side;
using Lent = detail::LentPlace<SpscRecords::Record>;

absl::StatusOr<SpscRecords> SpscRecords::create(std::size_t ring_bytes, const ObjectOptions& options) {
  return detail::Factory::create<SpscRecords>(Size{.ring_bytes = ring_bytes, .lifetime = options.lifetime});
}
absl::StatusOr<SpscRecords> SpscRecords::create(std::string_view name, std::size_t ring_bytes,
                                                const ObjectOptions& options) {
  return detail::Factory::create<SpscRecords>(name, Size{.ring_bytes = ring_bytes, .lifetime = options.lifetime});
}
absl::StatusOr<SpscRecords> SpscRecords::open(std::string_view name) {
  return detail::Factory::open<SpscRecords>(name);
}
absl::StatusOr<SpscRecords> SpscRecords::open_or_create(std::string_view name, std::size_t ring_bytes,
                                                        const ObjectOptions& options) {
  return detail::Factory::open_or_create<SpscRecords>(name,
                                                      Size{.ring_bytes = ring_bytes, .lifetime = options.lifetime});
}

absl::StatusOr<SpscRecords> SpscRecords::attach(detail::Attachment::Pointer attachment) {
  absl::StatusOr<std::shared_ptr<RecordRing>> records = RecordRing::attach(attachment);
  if (!records.ok()) return records.status();
  return SpscRecords(std::move(attachment), *std::move(records));
}

bool SpscRecords::may(Side which) const noexcept { return ring().owns(which) && !records_->lent(which); }

bool SpscRecords::publish(std::size_t units) noexcept {
  if (!ring().commit(units)) return false;
  detail::notify(ring().not_empty(), attachment_->wait_mode(), detail::kWakeAll);
  return true;
}

template <class Try>
void SpscRecords::wait(Side which, Deadline deadline, Try&& done) {
  std::atomic<std::uint32_t>& word = which == Side::kProducer ? ring().not_full() : ring().not_empty();
  (void)attachment_->wait_for_change(word, ring().side(which).spinner, deadline, std::forward<Try>(done));
}

// --- the producer's side ---------------------------------------------------------------------------------------------

bool SpscRecords::try_push_bytes(Bytes record) noexcept { return try_push_n(std::span(&record, 1)) == 1; }

std::size_t SpscRecords::try_push_n(std::span<const Bytes> records) noexcept {
  if (!may(Side::kProducer)) return 0;
  std::size_t units = 0, count = 0;
  for (const Bytes record : records) {
    if (record.size() > max_record_bytes()) break;
    const std::optional<RecordRing::Place> place = records_->place_for(record.size(), units);
    if (!place) break;
    records_->write_heads(*place, units);
    if (!record.empty()) std::memcpy(place->memory.data(), record.data(), record.size());
    units = place->end;
    ++count;
  }
  return count != 0 && publish(units) ? count : 0;
}

bool SpscRecords::push_until(Bytes record, Deadline deadline) {
  if (record.size() > max_record_bytes() || !may(Side::kProducer)) return false;
  bool pushed = false;
  wait(Side::kProducer, deadline, [&] {
    pushed = try_push_bytes(record);
    return pushed || closed() ? Progress::kDone : Progress::kBlocked;
  });
  return pushed;
}

std::size_t SpscRecords::push_n(std::span<const Bytes> records) {
  for (std::size_t count = 0;;) {
    count += try_push_n(records.subspan(count));
    if (count == records.size() || !push(records[count])) return count;
    ++count;
  }
}

Loan<SpscRecords::Record> SpscRecords::try_loan(std::size_t bytes) {
  if (bytes > max_record_bytes() || !may(Side::kProducer) || closed()) return Loan<Record>(Lent(nullptr));
  const std::optional<RecordRing::Place> place = records_->place_for(bytes);
  if (!place) return Loan<Record>(Lent(nullptr));
  return Loan<Record>(
      Lent(detail::LentBlock(records_, records_->lend(Side::kProducer, place->end, place->memory)), bytes));
}

Loan<SpscRecords::Record> SpscRecords::loan(std::size_t bytes) {
  Loan<Record> loan = try_loan(bytes);
  if (loan || bytes > max_record_bytes() || !may(Side::kProducer)) return loan;
  wait(Side::kProducer, Deadline::never(), [&] {
    loan = try_loan(bytes);
    return loan || closed() ? Progress::kDone : Progress::kBlocked;
  });
  return loan;
}

bool SpscRecords::push(Loan<Record>&& loan) {
  detail::LentBlock& block = loan.place_.block();
  const bool ours = loan && block.lender() != nullptr && &block.lender()->attachment() == attachment_.get();
  if (!ours || !records_->commit(block.block())) return false;
  (void)block.take();
  detail::notify(ring().not_empty(), attachment_->wait_mode(), detail::kWakeAll);
  return true;
}

// --- the consumer's side ---------------------------------------------------------------------------------------------

// False: there is none, and where the deadline is none, there never will be.
bool SpscRecords::await_record(Deadline deadline, RecordRing::Record& record) {
  if (!may(Side::kConsumer)) return false;
  RecordRing::Look found = RecordRing::Look::kNothing;
  wait(Side::kConsumer, deadline, [&] {
    found = records_->look(record);
    if (found != RecordRing::Look::kNothing) return Progress::kDone;
    if (!closed()) return Progress::kBlocked;
    if (ring().corrupt()) return Progress::kDone;
    ring().restore_head();
    return drained() ? Progress::kDone : Progress::kStalled;
  });
  if (found == RecordRing::Look::kNothing) ring().found_nothing();
  return found == RecordRing::Look::kRecord;
}

bool SpscRecords::look(RecordRing::Record& record) noexcept {
  if (!may(Side::kConsumer)) return false;
  const RecordRing::Look found = records_->look(record);
  if (found == RecordRing::Look::kNothing) ring().found_nothing();
  return found == RecordRing::Look::kRecord;
}

void SpscRecords::take(const RecordRing::Record& record) noexcept {
  records_->take(record);
  detail::notify(ring().not_full(), attachment_->wait_mode(), detail::kWakeAll);
}

Borrow<SpscRecords::Record> SpscRecords::borrowed(const RecordRing::Record& record) {
  return Borrow<Record>(Lent(detail::LentBlock(records_, records_->lend(Side::kConsumer, record.end, record.memory)),
                             record.memory.size()));
}

Borrow<SpscRecords::Record> SpscRecords::try_borrow() {
  RecordRing::Record record;
  return look(record) ? borrowed(record) : Borrow<Record>(Lent(nullptr));
}

Borrow<SpscRecords::Record> SpscRecords::borrow() {
  RecordRing::Record record;
  return await_record(Deadline::never(), record) ? borrowed(record) : Borrow<Record>(Lent(nullptr));
}

// --- questions -------------------------------------------------------------------------------------------------------

absl::Status SpscRecords::check_side(Side which) const {
  if (ring().corrupt()) {
    return absl::DataLossError("the ring is corrupt: it held what no producer writes, and is closed for that");
  }
  if (which == Side::kProducer && closed()) return absl::OutOfRangeError("the ring is closed");
  return ring().claimable(which);
}

absl::Status SpscRecords::check(RecordView view) const {
  const Bytes record = view.bytes();
  if (record.size() > max_record_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("a record of ", record.size(),
                                                   " bytes never fits: this ring's have at most ", max_record_bytes(),
                                                   ", half of what it was made with"));
  }
  if (absl::Status status = check_side(Side::kProducer); !status.ok()) return status;
  if (ring().side(Side::kProducer).mine() && records_->lent(Side::kProducer)) {
    return absl::FailedPreconditionError("a loan stands: push it or let it end");
  }
  if (!records_->room_for(record.size())) return absl::ResourceExhaustedError("the ring has no room for it now");
  return absl::OkStatus();
}

absl::Status SpscRecords::check_consumer() const {
  if (absl::Status status = check_side(Side::kConsumer); !status.ok()) return status;
  if (ring().side(Side::kConsumer).mine() && records_->lent(Side::kConsumer)) {
    return absl::FailedPreconditionError("a borrow stands: let it end");
  }
  return absl::OkStatus();
}

}  // namespace warren
