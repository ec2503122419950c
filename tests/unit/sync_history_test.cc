// The judges of histories: what cannot be is refused, each wrong by the judge of its kind, and what can be is not.
#include "support/sync_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/child.h"
#include "support/resources.h"

namespace warren::test {
namespace {

using Verb = SyncOp::Verb;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto says(const char* what) { return ::testing::Contains(HasSubstr(what)); }

// A history by hand: one event after the other.
class Script {
 public:
  Script& begins(std::size_t actor, Verb verb, std::int64_t argument = 1) {
    return history_.begins(actor, verb, argument), *this;
  }
  Script& ends(std::size_t actor, std::int64_t result = 1) { return history_.ends(actor, result), *this; }
  Script& whole(std::size_t actor, Verb verb, std::int64_t argument = 1, std::int64_t result = 1) {
    return begins(actor, verb, argument).ends(actor, result);
  }
  Script& killed(std::size_t actor) { return history_.is_killed(actor), *this; }
  Script& found_dead(std::size_t actor) { return history_.was_found_dead(actor), *this; }
  [[nodiscard]] SyncOps ops() const { return history_.ops(); }

 private:
  SyncHistory history_;
};

TEST(SyncHistory, OutlivesDeathsAndKeepsTheOrder) {
  SyncHistory history;
  history.begins(1, Verb::kLock, 1);
  Child child([&] {
    history.begins(2, Verb::kAdd, 7);
    ::raise(SIGKILL);
  });
  EXPECT_EQ(child.join().signal, SIGKILL);
  history.was_found_dead(2);
  history.ends(1, SyncOp::kTold);
  const SyncOps ops = history.ops();
  ASSERT_EQ(ops.size(), 2u);
  EXPECT_EQ(ops[0].result, SyncOp::kTold);
  EXPECT_EQ(ops[0].died, SyncOp::kNever);
  EXPECT_EQ(ops[1].argument, 7);
  EXPECT_FALSE(ops[1].returned());
  EXPECT_EQ(ops[1].died, ops[1].begin);
  EXPECT_LT(ops[1].begin, ops[0].end);
}

// --- locks

TEST(SyncHistory, TwoHoldersAreRefused) {
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock).whole(2, Verb::kLock).ops(), 1), says("makes it 2 of 1"));
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock).begins(1, Verb::kUnlock).whole(2, Verb::kLock).ends(1).ops(), 1),
              IsEmpty());
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock).whole(2, Verb::kLock, 1, SyncOp::kNotGot).ops(), 1), IsEmpty());
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock).killed(1).whole(2, Verb::kLock, 1, SyncOp::kTold).ops(), 1),
              IsEmpty());
}

TEST(SyncHistory, AWriterBesideAReaderIsRefused) {
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock, 1).whole(2, Verb::kLock, 1).ops(), 1000), IsEmpty());
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock, 1).whole(2, Verb::kLock, 1000).ops(), 1000), says("1001"));
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock, 1000).whole(2, Verb::kLock, 1).ops(), 1000), says("1001"));
}

TEST(SyncHistory, ADeathThatIsNotToldIsRefused) {
  const auto after_death = [](SyncOp::Got got) {
    return Script().whole(1, Verb::kLock).killed(1).whole(2, Verb::kLock, 1, got).ops();
  };
  EXPECT_THAT(deaths_told(after_death(SyncOp::kPlain), 1), says("is not told"));
  EXPECT_THAT(deaths_told(after_death(SyncOp::kTold), 1), IsEmpty());
  const SyncOps by_itself = Script().whole(1, Verb::kLock).found_dead(1).whole(2, Verb::kLock, 1, SyncOp::kPlain).ops();
  EXPECT_THAT(deaths_told(by_itself, 1), says("is not told"));
  const SyncOps unlocking =
      Script().whole(1, Verb::kLock).begins(1, Verb::kUnlock).killed(1).whole(2, Verb::kLock).ops();
  EXPECT_THAT(deaths_told(unlocking, 1), IsEmpty()) << "it may have unlocked";
}

TEST(SyncHistory, ADeathThatWasNotIsRefused) {
  EXPECT_THAT(deaths_told(Script().whole(1, Verb::kLock, 1, SyncOp::kTold).ops(), 1), says("that was not"));
  const SyncOps twice = Script()
                            .whole(1, Verb::kLock)
                            .killed(1)
                            .whole(2, Verb::kLock, 1, SyncOp::kTold)
                            .whole(2, Verb::kUnlock)
                            .whole(3, Verb::kLock, 1, SyncOp::kTold)
                            .ops();
  EXPECT_THAT(deaths_told(twice, 1), says("that was not")) << "it was repaired";
}

TEST(SyncHistory, ReadersAreToldUntilAWriterRepairs) {
  const auto readers = [](SyncOp::Got second) {
    return Script()
        .whole(1, Verb::kLock, 1000)
        .killed(1)
        .whole(2, Verb::kLock, 1, SyncOp::kTold)
        .whole(3, Verb::kLock, 1, second)
        .ops();
  };
  EXPECT_THAT(deaths_told(readers(SyncOp::kTold), 1000), IsEmpty());
  EXPECT_THAT(deaths_told(readers(SyncOp::kPlain), 1000), says("is not told"));
}

// --- permits

TEST(SyncHistory, APermitTooManyOrTooFewIsRefused) {
  const SyncOps ops = Script()
                          .whole(1, Verb::kLock)
                          .killed(1)
                          .whole(2, Verb::kLock)
                          .whole(2, Verb::kUnlock)
                          .begins(3, Verb::kLock)
                          .killed(3)
                          .ops();
  for (const std::int64_t left : {1, 2}) EXPECT_THAT(permits_left(ops, 3, left, false), IsEmpty()) << left;
  for (const std::int64_t left : {0, 3}) EXPECT_THAT(permits_left(ops, 3, left, false), says("permits")) << left;
  EXPECT_THAT(permits_left(ops, 3, 3, true), IsEmpty());
  EXPECT_THAT(permits_left(ops, 3, 2, true), says("permits")) << "the dead one's is not back";
  EXPECT_THAT(exclusion(Script().whole(1, Verb::kLock).whole(2, Verb::kLock).whole(3, Verb::kLock).ops(), 2),
              says("3 of 2"));
}

// --- waiting

TEST(SyncHistory, AWaitThatIsToldOfNothingIsRefused) {
  EXPECT_THAT(waits_of_event(Script().whole(1, Verb::kWait).ops()), says("while it was clear"));
  EXPECT_THAT(waits_of_event(Script().whole(2, Verb::kSet).whole(2, Verb::kClear).whole(1, Verb::kWait).ops()),
              says("while it was clear"));
  EXPECT_THAT(waits_of_event(Script().whole(2, Verb::kSet).whole(1, Verb::kWait).ops()), IsEmpty());
  const SyncOps at_once = Script().begins(1, Verb::kWait).whole(2, Verb::kSet).whole(2, Verb::kClear).ends(1).ops();
  EXPECT_THAT(waits_of_event(at_once), IsEmpty());
  EXPECT_THAT(waits_of_event(Script().begins(2, Verb::kSet).killed(2).whole(1, Verb::kWait).ops()), IsEmpty());
}

TEST(SyncHistory, AWaitThatIsNotToldIsRefused) {
  EXPECT_THAT(waits_of_event(Script().begins(1, Verb::kWait).whole(2, Verb::kSet).ops()), says("waits still"));
  EXPECT_THAT(waits_of_event(Script().begins(1, Verb::kWait).whole(2, Verb::kSet).killed(1).ops()), IsEmpty());
}

TEST(SyncHistory, PassingABarrierEarlyIsRefused) {
  const SyncOps early = Script().begins(1, Verb::kArrive, 0).ends(1).begins(2, Verb::kArrive, 0).ends(2).ops();
  EXPECT_THAT(arrivals(early, 2), says("before all had come"));
  const SyncOps right = Script().begins(1, Verb::kArrive, 0).begins(2, Verb::kArrive, 0).ends(1).ends(2).ops();
  EXPECT_THAT(arrivals(right, 2), IsEmpty());
}

TEST(SyncHistory, ABrokenBarrierIsPassedByNobodyAndToldToAll) {
  const SyncOps on = Script().begins(1, Verb::kArrive, 0).killed(2).ends(1, 0).whole(1, Verb::kArrive, 1, 1).ops();
  EXPECT_THAT(arrivals(on, 1), says("passed what was broken"));
  EXPECT_THAT(arrivals(Script().begins(1, Verb::kArrive, 0).ops(), 2), says("waits still"));
}

TEST(SyncHistory, PassingALatchEarlyOrNeverIsRefused) {
  EXPECT_THAT(counted_down(Script().whole(1, Verb::kAdd, 1).whole(2, Verb::kWait).ops(), 2), says("before it was"));
  EXPECT_THAT(
      counted_down(Script().whole(1, Verb::kAdd, 1).begins(3, Verb::kAdd, 1).killed(3).whole(2, Verb::kWait).ops(), 2),
      IsEmpty());
  EXPECT_THAT(counted_down(Script().begins(2, Verb::kWait).whole(1, Verb::kAdd, 2).ops(), 2), says("waits still"));
}

// --- counting

TEST(SyncHistory, AnAdditionThatIsLostDoubledOrTornIsRefused) {
  const SyncOps ops = Script().whole(1, Verb::kAdd, 1).begins(2, Verb::kAdd, 1).killed(2).ops();
  for (const std::int64_t last : {1, 2}) EXPECT_THAT(additions(ops, last), IsEmpty()) << last;
  for (const std::int64_t last : {-1, 0, 3}) EXPECT_THAT(additions(ops, last), says("in the end")) << last;
  const auto read = [](std::int64_t found) {
    return Script().whole(1, Verb::kAdd, 1).whole(2, Verb::kRead, 0, found).whole(1, Verb::kAdd, 1).ops();
  };
  EXPECT_THAT(additions(read(1), 2), IsEmpty());
  for (const std::int64_t found : {-1, 0, 2}) EXPECT_THAT(additions(read(found), 2), says("read")) << found;
  const SyncOps taken = Script().whole(1, Verb::kAdd, 1).begins(2, Verb::kAdd, -1).killed(2).ops();
  for (const std::int64_t last : {0, 1}) EXPECT_THAT(additions(taken, last), IsEmpty()) << last;
  for (const std::int64_t last : {-1, 2}) EXPECT_THAT(additions(taken, last), says("in the end")) << last;
}

}  // namespace
}  // namespace warren::test
