// A process is killed after, or held at, every single instruction of a push, a pop and a closing of a priority queue
// and of a stack, in the library as it is released. And three with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/locked_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

using Windows = std::vector<std::string>;

struct LockedCase {
  std::string name_;
  MakeTrial make;
  Windows windows;
  SweepOptions options;

  [[nodiscard]] std::string name() const { return name_; }
  friend void PrintTo(const LockedCase& c, std::ostream* out) { *out << c.name_; }
};

const Windows kAll{"before", "held", "committed", "after"};
const Windows kRefused{"before"};
const Windows kAfterADeath{"held by the dead", "repairs", "held", "committed", "after"};

template <std::size_t N, class Q>
LockedCase make_case(const char* kind, const LockedState& state, const LockedOperation<Q>& operation, Windows windows,
                     std::size_t stride = 1) {
  return {.name_ = std::string(kind) + "_" + operation.name + "_" + state.name,
          .make = [=] { return std::make_unique<LockedTrial<N, Q>>(state, operation); },
          .windows = std::move(windows),
          .options = {.stride = whole_product() ? 1 : stride}};
}

std::vector<LockedCase> killed() {
  using Q = LockedRanked;
  using S = LockedStacked;
  using P = LockedRankedParcels;
  using SP = LockedStackedParcels;
  constexpr std::size_t kWide = kLockedParcelWords;
  return {
      make_case<1, Q>("ranked", kLockedMiddle, kLockedTryPush<Q>, kAll),
      make_case<1, Q>("ranked", kLockedFull, kLockedTryPush<Q>, kRefused),
      make_case<1, Q>("ranked", kLockedHolderDead, kLockedTryPush<Q>, kAfterADeath, 3),
      make_case<1, Q>("ranked", kLockedConsumerAsleep, kLockedTryPush<Q>, kAll, 7),
      make_case<1, Q>("ranked", kLockedFull, kLockedPush<Q>, {"before"}, 11),
      make_case<1, Q>("ranked", kLockedMiddle, kLockedTryPop<Q>, kAll),
      make_case<1, Q>("ranked", kLockedFull, kLockedTryPop<Q>, kAll, 3),
      make_case<1, Q>("ranked", kLockedEmpty, kLockedTryPop<Q>, kRefused),
      make_case<1, Q>("ranked", kLockedHolderDead, kLockedTryPop<Q>, kAfterADeath, 3),
      make_case<1, Q>("ranked", kLockedProducerAsleep, kLockedTryPop<Q>, kAll, 7),
      make_case<1, Q>("ranked", kLockedEmpty, kLockedPop<Q>, {"before"}, 11),
      make_case<1, Q>("ranked", kLockedMiddle, kLockedClose<Q>, {"before", "closed"}),
      make_case<1, S>("stack", kLockedMiddle, kLockedTryPush<S>, kAll),
      make_case<1, S>("stack", kLockedMiddle, kLockedTryPop<S>, kAll),
      make_case<1, S>("stack", kLockedHolderDead, kLockedTryPush<S>, {"held by the dead", "held", "committed"}, 3),
      make_case<1, S>("stack", kLockedHolderDead, kLockedTryPop<S>, {"held by the dead", "held", "committed"}, 3),
      make_case<kWide, P>("ranked_parcel", kLockedMiddle, kLockedTryPush<P>, kAll, 3),
      make_case<kWide, P>("ranked_parcel", kLockedMiddle, kLockedTryPop<P>, kAll, 3),
      make_case<kWide, SP>("stack_parcel", kLockedMiddle, kLockedTryPop<SP>, kAll, 5),
  };
}

std::vector<LockedCase> held() {
  using Q = LockedRanked;
  using P = LockedRankedParcels;
  return {
      make_case<1, Q>("ranked", kLockedMiddle, kLockedTryPush<Q>, {}, 3),
      make_case<1, Q>("ranked", kLockedFull, kLockedTryPop<Q>, {}, 3),
      make_case<1, Q>("ranked", kLockedHolderDead, kLockedTryPop<Q>, {}, 7),
      make_case<1, LockedStacked>("stack", kLockedMiddle, kLockedTryPop<LockedStacked>, {}, 3),
      make_case<kLockedParcelWords, P>("ranked_parcel", kLockedMiddle, kLockedTryPop<P>, {}, 11),
  };
}

class LockedKilled : public SweepTest<LockedCase> {};
TEST_P(LockedKilled, SurvivorsLoseNothing) {
  const LockedCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), c.make, c.options), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, LockedKilled, testing::ValuesIn(killed()), kCaseName);

class LockedHeld : public SweepTest<LockedCase> {};
TEST_P(LockedHeld, NobodyUndoesWhatItDoes) {
  const LockedCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name() + "_held", c.make, c.options), {});
}
INSTANTIATE_TEST_SUITE_P(, LockedHeld, testing::ValuesIn(held()), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

class LockedControl : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
  template <class Q>
  static Coverage sweep(const LockedOperation<Q>& operation) {
    const Coverage coverage = kill_after_every_instruction(
        "control", [&operation] { return std::make_unique<LockedTrial<1, Q>>(kLockedMiddle, operation, 20ms); });
    std::cout << coverage << "\n" << coverage.complaints();
    return coverage;
  }
};

// The steps of a push, in an order of its own.
template <class Steps>
std::size_t push_by(LockedRanked& q, std::span<const Item8> items, Steps&& steps) {
  const LockedView view(q);
  detail::MutexCore lock = view.lock();
  (void)lock.take_until(Deadline::never());
  const std::uint64_t size = view.pushed() - view.popped();
  layout::PrioritySlot& slot = view.slot(view.heap()[size]);
  steps(view.header(), slot, items[0]);
  return lock.unlock();
}
void write(layout::PrioritySlot& slot, const Item8& item) {
  slot.priority = LockedRanked::rank(item);
  *reinterpret_cast<volatile std::uint64_t*>(&slot + 1) = item.words[0];
}
volatile std::uint64_t& now(std::uint64_t& word) { return word; }

constexpr LockedOperation<LockedRanked> kCommitsFirst{
    .name = "commits_first", .pushes = 1, .run = [](LockedRanked& q, auto items, auto) {
      return push_by(q, items, [](layout::LockedSlotsHeader& header, layout::PrioritySlot& slot, const Item8& item) {
        now(slot.ticket) = header.pushed + 1;
        now(slot.taken) = 0;
        ++header.pushed;
        write(slot, item);
      });
    }};

TEST_F(LockedControl, ACommitBeforeThePayloadIsFoundToTear) {
  const Coverage coverage = sweep(kCommitsFirst);
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kTorn) || coverage.faults.contains(Fault::Kind::kDoubled))
      << "the harness overlooks it";
}

constexpr LockedOperation<LockedRanked> kFreesFirst{
    .name = "frees_first", .pushes = 1, .run = [](LockedRanked& q, auto items, auto) {
      return push_by(q, items, [](layout::LockedSlotsHeader& header, layout::PrioritySlot& slot, const Item8& item) {
        now(slot.taken) = 0;
        write(slot, item);
        now(slot.ticket) = header.pushed + 1;
        ++header.pushed;
      });
    }};

TEST_F(LockedControl, ASlotWhoseOldItemRisesIsFound) {
  const Coverage coverage = sweep(kFreesFirst);
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kDoubled)) << "the harness overlooks it";
}

// Takes the lock of the dead over, and says that all is well.
class TakesOverBlindly : public LockedRanked {
 public:
  using LockedRanked::LockedRanked;
  static TakesOverBlindly make() { return TakesOverBlindly(LockedRanked::make()); }
  std::optional<Item8> try_pop_for(Timeout d) { return settle(), LockedRanked::try_pop_for(d); }
  bool try_push_for(const Item8& item, Timeout d) { return settle(), LockedRanked::try_push_for(item, d); }

 private:
  void settle() {
    detail::MutexCore lock = LockedView(*this).lock();
    if (lock.take_until(Deadline::after(5ms)) != detail::MutexCore::Take::kTaken) return;
    lock.make_consistent();
    lock.unlock();
  }
};

TEST_F(LockedControl, ATakeoverWithoutARepairIsFoundToLoseItems) {
  const Coverage coverage = sweep(kLockedTryPush<TakesOverBlindly>);
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kLost)) << "the harness overlooks it";
}

}  // namespace
}  // namespace warren::test
