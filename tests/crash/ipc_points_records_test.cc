// SpscRecords: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/record_trial.h"

namespace warren::test {
namespace {

using Q = RecordQueue;
using Items = std::span<const RecordItem>;
using Out = std::span<RecordItem>;

constexpr SpscState kSkips{.name = "skips", .lead = 3, .items = 1};
constexpr SpscState kMidCommit{.name = "died_mid_commit", .lead = 4, .items = 1, .mid_commit = true};

void sweep_records(const SpscState& state, const RecordOperation<>& operation) {
  sweep(std::string("record ") + operation.name + " " + state.name,
        [&] { return std::make_unique<RecordTrial<>>(state, operation); });
}

TEST(RecordsAtEveryPoint, PushKilled) {
  const RecordOperation<> push{.name = "push",
                               .pushes = 1,
                               .run = [](Q& q, Items items, Out) -> std::size_t { return q.push(items[0]); },
                               .cold = true};
  sweep_records(kSkips, push);
  sweep_records(kMidCommit, push);
}

TEST(RecordsAtEveryPoint, BorrowKilled) {
  const RecordOperation<> borrow{.name = "borrow",
                                 .pops = 1,
                                 .run = [](Q& q, Items, Out out) -> std::size_t {
                                   const auto found = q.borrow();
                                   if (found) out[0] = Q::item_of(*found);
                                   return static_cast<bool>(found);
                                 },
                                 .cold = true};
  sweep_records(kSkips, borrow);
  sweep_records(kMidCommit, borrow);
}

// A consumer finds what no producer writes, and dies while it gives up: the next one comes to the same end.
class CorruptTrial : public Trial {
 public:
  CorruptTrial() {
    set_waits(200us);
    Child producer([&] {
      for (int i = 0; i < 3; ++i) (void)records_.push(RecordItem{});
      return 0;
    });
    (void)producer.join();
    *reinterpret_cast<std::uint64_t*>(&header() + 1) = 0;
  }
  void operation() override { (void)records_.try_pop(); }
  std::string window(pid_t) override { return {}; }
  void rescue() override { (void)records_.try_pop(); }
  Verdict survive(bool) override {
    Verdict verdict;
    const auto expect = [&](bool holds, const char* what) {
      if (!holds) verdict.add(Fault::Kind::kOther, what);
    };
    (void)Reach::attachment(records_).sweep();
    expect(!records_.try_pop_for(20ms), "a corrupt ring gave a record");
    expect(!records_.SpscRecords::pop(), "a corrupt ring gave a record");
    expect(absl::IsDataLoss(records_.check_consumer()), "it does not say that it is corrupt");
    expect(records_.drained(), "it never says that it is drained");
    expect(!records_.push(RecordItem{}), "a corrupt ring took a record");
    return verdict;
  }

 private:
  layout::SpscRingHeader& header() const {
    return *reinterpret_cast<layout::SpscRingHeader*>(Reach::attachment(records_).object());
  }
  RecordQueue records_ = SpscMade<RecordQueue>::make();
};

TEST(RecordsAtEveryPoint, GivingUpKilled) {
  sweep("corrupt ring", [] { return std::make_unique<CorruptTrial>(); });
}

}  // namespace
}  // namespace warren::test
