// SpscTrial of SpscRecords: items of 1000 bytes in a ring of 4096. Four and the 8 units that are skipped behind the
// fourth are the whole ring, so it holds four items wherever it begins.
#pragma once
#include <warren/ipc/spsc_records.h>

#include "crash/spsc_trial.h"

namespace warren::test {

inline constexpr std::size_t kRecordWords = 125;
using RecordItem = Item<kRecordWords>;

// The verbs of SpscQueue<RecordItem>.
class RecordQueue : public SpscRecords {
 public:
  using value_type = RecordItem;
  explicit RecordQueue(SpscRecords records) : SpscRecords(std::move(records)) {}

  static Bytes bytes_of(const RecordItem& item) { return std::as_bytes(std::span(&item, 1)); }
  static RecordItem item_of(Bytes bytes) {
    RecordItem item{};
    std::memcpy(static_cast<void*>(&item), bytes.data(), std::min(bytes.size(), sizeof item));
    return item;
  }
  static std::optional<RecordItem> item_of(const std::optional<Record>& record) {
    return record ? std::optional(item_of(Bytes(*record))) : std::nullopt;
  }
  bool push(const RecordItem& item) { return SpscRecords::push(bytes_of(item)); }
  bool try_push(const RecordItem& item) { return SpscRecords::try_push(bytes_of(item)); }
  bool try_push_for(const RecordItem& item, Timeout d) { return SpscRecords::try_push_for(bytes_of(item), d); }
  std::optional<RecordItem> try_pop() { return item_of(SpscRecords::try_pop()); }
  std::optional<RecordItem> try_pop_for(Timeout d) { return item_of(SpscRecords::try_pop_for(d)); }
  std::span<RecordItem> prepare(std::size_t) {
    loan_.emplace(try_loan(sizeof(RecordItem)));
    return {reinterpret_cast<RecordItem*>((**loan_).data()), 1};
  }

 private:
  std::optional<Loan<Record>> loan_;
};

template <class Q>
  requires std::derived_from<Q, RecordQueue>
struct SpscMade<Q> {
  static constexpr std::uint64_t kUnits = 1 + kRecordWords;
  static Q make() { return Q(*SpscRecords::create(layout::kPage)); }
};

template <class Q = RecordQueue>
using RecordTrial = SpscTrial<kRecordWords, Q>;
template <class Q = RecordQueue>
using RecordOperation = SpscOperation<RecordItem, Q>;

}  // namespace warren::test
