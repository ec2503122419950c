// A process is killed after, or held at, every single instruction of every operation of Event, in the library as it is
// released. And two events with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/event_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct EventCase {
  EventOperation operation;
  EventState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const EventCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<EventCase> kCases{
    {kSetIt, kClearEvent, {"clear", "set, anew"}},
    {kSetIt, kSetEvent, {"set"}},
    {kSetIt, kAwaited, {"clear", "set, anew"}},
    {kClearIt, kSetEvent, {"set", "clear"}},
    {kClearIt, kAwaited, {"clear"}},
    {kPulse, kAwaited, {"clear", "set, anew", "clear, anew"}},
    {kPulse, kAwaitedByStopped, {"clear", "set, anew", "clear, anew"}},
    {kAwait, kClearEvent, {"clear", "set, anew"}},
    {kAwait, kSetEvent, {"set"}},
    {kAwait, kAwaited, {"clear", "set, anew"}},
    {kLookForIt, kClearEvent, {"clear"}},
};

class EventKilled : public SweepTest<EventCase> {};
TEST_P(EventKilled, WhoWaitedIsReleasedAndItWorksOn) {
  const EventCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), [&] { return make_event_trial(c.state, c.operation); }),
                  c.windows);
}
INSTANTIATE_TEST_SUITE_P(, EventKilled, testing::ValuesIn(kCases), kCaseName);

// Nobody dies, so nobody needs a slice.
class WithoutSlices : public EventTrial {
 public:
  WithoutSlices(const EventState& state, const EventOperation& operation) : EventTrial(state, operation) {
    bystander_slice_ = kNoSlices;
  }
};

class EventHeld : public SweepTest<EventCase> {};
TEST_P(EventHeld, WhoBeginsToWaitMeanwhileIsReleased) {
  const EventCase& c = GetParam();
  expect_survived(
      pause_after_every_instruction(c.name(), [&] { return make_event_trial<WithoutSlices>(c.state, c.operation); }),
      {});
}
INSTANTIATE_TEST_SUITE_P(, EventHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

void expect_found(Fault::Kind kind, const Coverage& coverage) {
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(kind)) << "the harness overlooks it";
}

// Looks, and then stores.
constexpr EventOperation kClearByStore{.name = "clear_by_store",
                                       .run =
                                           [](EventTrial& t) {
                                             const std::uint64_t found = t.words().state.load();
                                             t.words().state.store(found & ~std::uint64_t{1});
                                           },
                                       .after = EventOperation::After::kClear};

TEST(EventControl, ClearByStoreIsFoundToUndoASet) {
  expect_found(Fault::Kind::kLost,
               pause_after_every_instruction("control", [] { return make_event_trial(kClearEvent, kClearByStore); }));
}

// Waits for the flag alone.
class WaitsForTheFlag : public EventTrial {
 public:
  WaitsForTheFlag(const EventState& state, const EventOperation& operation) : EventTrial(state, operation) {
    patience_ = 100ms;
  }
  void wait() override {
    while (!event().wait_for(kNoSlices) || !event().is_set()) {
    }
  }
};

TEST(EventControl, WaitingForTheFlagIsFoundToMissAPulse) {
  const auto make = [] { return make_event_trial<WaitsForTheFlag>(kAwaitedByStopped, kPulse); };
  expect_found(Fault::Kind::kHung, kill_after_every_instruction("control", make, {.stride = 8}));
}

}  // namespace
}  // namespace warren::test
