// A process is killed, or held, after every single instruction of every operation of SpscRecords, in the library as it
// is released.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "crash/record_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Asleep = SpscState::Asleep;
using Q = RecordQueue;
using Items = std::span<const RecordItem>;
using Out = std::span<RecordItem>;
using Op = RecordOperation<>;
using Windows = std::vector<std::string>;

// The fifth record skips the end of the ring.
constexpr SpscState kEmpty{.name = "empty"};
constexpr SpscState kSkips{.name = "skips", .lead = 3, .items = 1, .living_peer = true};
constexpr SpscState kSkipped{.name = "skipped", .lead = 4, .items = 2};
constexpr SpscState kFull{.name = "full", .items = 4};
constexpr SpscState kMidCommit{.name = "died_mid_commit", .lead = 4, .items = 1, .mid_commit = true};
constexpr SpscState kConsumerAsleep{.name = "consumer_asleep", .lead = 4, .asleep = Asleep::kConsumer};
constexpr SpscState kProducerAsleep{.name = "producer_asleep", .lead = 2, .items = 4, .asleep = Asleep::kProducer};

const Windows kPushed{"owned", "committing", "after"};
const Windows kPopped{"owned", "taken"};
const Windows kRefused{"owned"};

template <class Queue = Q>
RecordOperation<Queue> push_of() {
  return {.name = "try_push", .pushes = 1, .run = [](Queue& q, Items items, Out) -> std::size_t {
            return q.try_push(items[0]);
          }};
}
template <class Queue = Q>
RecordOperation<Queue> pop_of() {
  return {.name = "try_pop", .pops = 1, .run = [](Queue& q, Items, Out out) -> std::size_t {
            const std::optional<RecordItem> item = q.try_pop();
            if (item) out[0] = *item;
            return item.has_value();
          }};
}

struct RecordCase {
  Op operation;
  SpscState state;
  Windows windows;
  bool held = false;  // too
  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const RecordCase& c, std::ostream* out) { *out << c.name(); }
};

std::vector<RecordCase> cases(bool held) {
  const Op push_n{.name = "push_n", .pushes = 3, .run = [](Q& q, Items items, Out) -> std::size_t {
                    std::array<SpscRecords::Bytes, 3> records;
                    for (std::size_t i = 0; i < records.size(); ++i) records[i] = Q::bytes_of(items[i]);
                    return q.push_n(records);
                  }};
  const Op loan{.name = "loan", .pushes = 1, .run = [](Q& q, Items items, Out) -> std::size_t {
                  auto place = q.try_loan(sizeof items[0]);
                  if (!place) return 0;
                  std::memcpy((*place).data(), &items[0], sizeof items[0]);
                  return q.SpscRecords::push(std::move(place));
                }};
  const Op borrow{.name = "borrow", .pops = 1, .run = [](Q& q, Items, Out out) -> std::size_t {
                    const auto found = q.try_borrow();
                    if (found) out[0] = Q::item_of(*found);
                    return static_cast<bool>(found);
                  }};
  const Op close{.name = "close", .run = [](Q& q, Items, Out) -> std::size_t { return q.close(), 0; }, .closes = true};
  const Op push{
      .name = "push", .pushes = 1, .run = [](Q& q, Items items, Out) -> std::size_t { return q.push(items[0]); }};
  Op first_push = push_of(), first_pop = pop_of();
  first_push.name = "first_push";
  first_pop.name = "first_pop";
  first_push.cold = first_pop.cold = true;
  std::vector<RecordCase> all{
      {push_of(), kEmpty, kPushed},
      {push_of(), kSkips, kPushed, true},
      {push_of(), kMidCommit, kPushed},
      {push_of(), kConsumerAsleep, kPushed},
      {push_of(), kFull, kRefused},
      {push, kFull, kPushed},
      {push_n, kSkips, kPushed, true},
      {loan, kSkips, kPushed},
      {pop_of(), kSkipped, kPopped, true},
      {pop_of(), kProducerAsleep, kPopped},
      {borrow, kSkipped, kPopped, true},
      {close, kSkips, {"before", "closed"}},
      {first_push, kMidCommit, {"before", "owned", "committing", "after"}},
      {first_pop, kSkipped, {"before", "owned", "taken"}},
  };
  if (held && !whole_product()) std::erase_if(all, [](const RecordCase& c) { return !c.held; });
  return all;
}

// The first call of a process: ten thousand instructions, most of which read /proc. And ordinarily not all of those
// that step through the same as others.
SweepOptions options_for(const RecordCase& c) {
  if (whole_product()) return {};
  if (c.operation.cold) return {.stride = 197, .all_of_last = 150};
  const std::string name = c.name();
  const bool others = name == "try_push_empty" || name == "push_full" || name == "try_pop_producer_asleep";
  if (others) return {.stride = 4, .all_of_last = 150};
  return {.stride = name == "try_push_consumer_asleep" ? 2u : 1u, .all_of_last = 150};
}

MakeTrial maker(const RecordCase& c) {
  return [&c] { return std::make_unique<RecordTrial<>>(c.state, c.operation); };
}

class RecordsKilled : public SweepTest<RecordCase> {};
TEST_P(RecordsKilled, SurvivorsLoseNothing) {
  const auto& c = GetParam();
  expect_survived(kill_after_every_instruction("record " + c.name(), maker(c), options_for(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, RecordsKilled, testing::ValuesIn(cases(false)), kCaseName);

class RecordsHeld : public SweepTest<RecordCase> {};
TEST_P(RecordsHeld, NothingOfItsOwnIsLost) {
  const auto& c = GetParam();
  expect_survived(pause_after_every_instruction("record " + c.name() + "_held", maker(c), options_for(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, RecordsHeld, testing::ValuesIn(cases(true)), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

class RawRecords : public RecordQueue {
 public:
  explicit RawRecords(SpscRecords records)
      : RecordQueue(std::move(records)),
        raw_(
            *detail::RecordRing::attach(std::shared_ptr<detail::Attachment>(&Reach::attachment(*this), [](auto*) {}))) {
  }

 protected:
  std::shared_ptr<detail::RecordRing> raw_;
};

class CommitsBeforeItWrites : public RawRecords {
 public:
  using RawRecords::RawRecords;
  bool try_push(const RecordItem& item) {
    if (!raw_->ring().owns(detail::Side::kProducer)) return false;
    const auto place = raw_->place_for(sizeof item);
    if (!place) return false;
    raw_->write_heads(*place);
    const bool open = raw_->ring().commit(place->end);
    std::memcpy(place->memory.data(), &item, sizeof item);
    return open;
  }
};

class TakesBeforeItReads : public RawRecords {
 public:
  using RawRecords::RawRecords;
  std::optional<RecordItem> try_pop() {
    detail::RecordRing::Record record;
    if (!raw_->ring().owns(detail::Side::kConsumer)) return std::nullopt;
    if (raw_->look(record) != detail::RecordRing::Look::kRecord) return std::nullopt;
    raw_->take(record);
    return item_of(record.memory);
  }
};

class RecordsControl : public SweepTest<RecordCase> {
 protected:
  static void expect_found(const Coverage& coverage, Fault::Kind kind) {
    std::cout << coverage << "\n";
    EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it\n" << coverage.complaints();
  }
  template <class Broken>
  static MakeTrial trial(const SpscState& state, const RecordOperation<Broken>& operation) {
    return [=] { return std::make_unique<RecordTrial<Broken>>(state, operation); };
  }
};

TEST_F(RecordsControl, ACommitBeforeTheBytesIsFoundTorn) {
  expect_found(kill_after_every_instruction("commits first", trial(kSkips, push_of<CommitsBeforeItWrites>())),
               Fault::Kind::kTorn);
}

TEST_F(RecordsControl, ATakeBeforeTheCopyIsFoundTorn) {
  expect_found(pause_after_every_instruction("takes first", trial(kFull, pop_of<TakesBeforeItReads>()), {.stride = 3}),
               Fault::Kind::kTorn);
}

}  // namespace
}  // namespace warren::test
