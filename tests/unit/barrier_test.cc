// Barrier: generations, order of arrival, all or none, what breaks it and what does not, handles by fork and by name.
#include <warren/ipc/barrier.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::Gate;
using test::Shared;
using test::unique_name;
using ::testing::HasSubstr;

std::string message(const absl::Status& status) { return std::string(status.message()); }

TEST(BarrierTest, OnePartyNeverWaits) {
  auto barrier = Barrier::create(1).value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(barrier.arrive_and_wait().value(), 0u);
}

TEST(BarrierTest, ThatCannotBeIsRefused) {
  for (const std::uint32_t parties : {0u, 65'536u}) {
    const absl::Status status = Barrier::create(parties).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(message(status), HasSubstr("1 to 65535"));
  }
}

TEST(BarrierTest, NobodyPassesBeforeAllHaveArrived) {
  constexpr int kProcesses = 2, kThreads = 2, kParties = kProcesses * kThreads, kGenerations = 2'000;
  auto barrier = Barrier::create(kParties).value();
  struct Count {
    std::array<std::atomic<int>, kGenerations> arrived{};
    std::array<std::atomic<std::uint32_t>, kGenerations> orders{};
    std::atomic<int> early{0}, refused{0};
  };
  Shared<Count> count;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          for (std::size_t g = 0; g < kGenerations; ++g) {
            ++count->arrived[g];
            const absl::StatusOr<std::uint32_t> order = barrier.arrive_and_wait();
            if (!order.ok()) ++count->refused;
            if (count->arrived[g] != kParties) ++count->early;
            if (order.ok()) count->orders[g] |= 1u << *order;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(count->early, 0);
  EXPECT_EQ(count->refused, 0);
  for (const auto& orders : count->orders) EXPECT_EQ(orders, (1u << kParties) - 1) << "each order once";
}

TEST(BarrierTest, TheOrderIsThatOfArrival) {
  auto barrier = Barrier::create(3).value();
  std::uint32_t first = 9, second = 9;
  Blocked a([&] { first = barrier.arrive_and_wait().value(); });
  Blocked b([&] { second = barrier.arrive_and_wait().value(); });
  EXPECT_EQ(barrier.approx_waiting(), 2u);
  EXPECT_EQ(barrier.arrive_and_wait().value(), 2u);
  a.join();
  b.join();
  EXPECT_EQ(first, 0u);
  EXPECT_EQ(second, 1u);
  EXPECT_EQ(barrier.approx_waiting(), 0u);
}

TEST(BarrierTest, ATimeoutBreaksItForAll) {
  auto barrier = Barrier::create(3).value();
  absl::Status told;
  Blocked waiting([&] { told = barrier.arrive_and_wait().status(); });
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status own = barrier.arrive_and_wait_until(begin + 20ms).status();
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
  waiting.join();
  for (const absl::Status& status : {own, told, barrier.arrive_and_wait().status()}) {
    EXPECT_TRUE(absl::IsAborted(status));
    EXPECT_THAT(message(status), HasSubstr("process " + std::to_string(::getpid()) + " waited no longer"));
  }
  EXPECT_TRUE(barrier.broken());
  EXPECT_EQ(barrier.approx_waiting(), 0u);
}

TEST(BarrierTest, NegativeAndNaNMeanNow) {
  for (const Timeout d :
       {Timeout(-1s), Timeout(0s), Timeout(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()))}) {
    auto barrier = Barrier::create(2).value();
    EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait_for(d).status()));
    EXPECT_TRUE(barrier.broken());
  }
  EXPECT_EQ(Barrier::create(1)->arrive_and_wait_for(0s).value(), 0u) << "the last one does not wait";
}

TEST(BarrierTest, AbortBreaksItUntilReset) {
  auto barrier = Barrier::create(2).value();
  absl::Status told;
  Blocked waiting([&] { told = barrier.arrive_and_wait().status(); });
  barrier.abort();
  waiting.join();
  EXPECT_THAT(message(told), HasSubstr("called abort()"));
  EXPECT_THAT(message(told), HasSubstr("reset()"));
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status()));
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  Blocked again([&] { (void)barrier.arrive_and_wait().value(); });
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
}

TEST(BarrierTest, ResetTellsWhoWaits) {
  auto barrier = Barrier::create(2).value();
  barrier.reset();
  absl::Status told;
  Blocked waiting([&] { told = barrier.arrive_and_wait().status(); });
  barrier.reset();
  waiting.join();
  EXPECT_TRUE(absl::IsAborted(told));
  EXPECT_THAT(message(told), HasSubstr("reset while"));
  EXPECT_FALSE(barrier.broken());
}

// The state word remembers how six generations ended, for who stood still meanwhile.
TEST(BarrierTest, WhoStoodStillLearnsHowItsGenerationEnded) {
  enum class Then { kPassAndReset, kResetAndPass, kSevenResets };
  for (const Then then : {Then::kPassAndReset, Then::kResetAndPass, Then::kSevenResets}) {
    auto barrier = Barrier::create(2).value();
    Child slow([&]() -> int {
      const absl::StatusOr<std::uint32_t> order = barrier.arrive_and_wait();
      if (order.ok()) return 10;
      return message(order.status()).find("forgotten") != std::string::npos ? 12 : 11;
    });
    test::await_futex_sleep(slow.pid());
    slow.stop();
    const auto pass_without_it = [&] {
      Blocked other([&] { (void)barrier.arrive_and_wait().value(); });
      (void)barrier.arrive_and_wait().value();
    };
    const auto reset = [&] {
      if (!barrier.broken()) barrier.abort();
      barrier.reset();
    };
    switch (then) {
      case Then::kPassAndReset: (void)barrier.arrive_and_wait().value(), reset(); break;
      case Then::kResetAndPass: reset(), pass_without_it(); break;
      case Then::kSevenResets:
        for (int i = 0; i < 7; ++i) reset();
        break;
    }
    slow.go_on();
    EXPECT_EQ(slow.join().code, 10 + static_cast<int>(then));
  }
}

// --- deaths ----------------------------------------------------------------------------------------------------------

TEST(BarrierTest, APartyThatIsKilledBetweenTwoGenerationsBreaksIt) {
  auto barrier = Barrier::create(3).value();
  Gate passed;
  Child party([&] {
    (void)barrier.arrive_and_wait().value();
    passed.open();
    for (;;) ::pause();
  });
  Child other([&]() -> int {
    (void)barrier.arrive_and_wait().value();
    return absl::IsAborted(barrier.arrive_and_wait().status()) ? 0 : 1;
  });
  (void)barrier.arrive_and_wait().value();
  passed.wait();
  test::await_futex_sleep(other.pid());
  const pid_t pid = party.pid();
  (void)party.kill();
  const absl::Status status = barrier.arrive_and_wait().status();
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_THAT(message(status), HasSubstr("process " + std::to_string(pid) + " ended"));
  EXPECT_TRUE(other.join().well());
}

TEST(BarrierTest, APartyThatIsKilledWhileItWaitsBreaksIt) {
  auto barrier = Barrier::create(3).value();
  Child party([&] { (void)barrier.arrive_and_wait(); });
  test::await_futex_sleep(party.pid());
  (void)party.kill();
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status()));
  barrier.reset();
  Blocked a([&] { (void)barrier.arrive_and_wait().value(); }), b([&] { (void)barrier.arrive_and_wait().value(); });
  EXPECT_TRUE(barrier.arrive_and_wait().ok()) << "others may take the place of the dead";
}

TEST(BarrierTest, ADeathThatWasDealtWithBreaksItNoMore) {
  auto barrier = Barrier::create(2).value();
  Child party([&] {
    (void)barrier.arrive_and_wait().value();
    for (;;) ::pause();
  });
  (void)barrier.arrive_and_wait().value();
  (void)party.kill();
  EXPECT_FALSE(barrier.arrive_and_wait_for(30ms).ok()) << "by the time that is over, or by the death";
  barrier.reset();
  Child replacement([&] { return barrier.arrive_and_wait().ok() ? 0 : 1; });
  test::await_futex_sleep(replacement.pid());
  std::this_thread::sleep_for(300ms);  // some slices
  EXPECT_FALSE(barrier.broken());
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  EXPECT_TRUE(replacement.join().well());
}

// Its lane as it is while who sweeps it stands still: nobody else could free it, and all can see whose it was.
TEST(BarrierTest, WhoStandsStillInASweepHidesNoDeath) {
  auto barrier = Barrier::create(2).value();
  detail::Attachment& attachment = test::Reach::attachment(barrier);
  const std::uint32_t pid = static_cast<std::uint32_t>(::getpid());
  (void)attachment.seat();
  std::uint32_t index = 0;
  std::thread([&] { index = attachment.seat().lane_index; }).join();  // of a thread that has just ended
  layout::Lane& lane = attachment.lane(index);
  lane.thread_id = 77;
  lane.announcement = layout::barrier_party(7);
  lane.identity = layout::LaneIdentity{.pid = pid,
                                       .start_low = detail::this_process().start_low(),
                                       .generation = 7,
                                       .phase = layout::LaneIdentity::Phase::kSweeping}
                      .word();
  const absl::Status status = barrier.arrive_and_wait().status();
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_THAT(message(status), HasSubstr("process 77 ended"));
  EXPECT_EQ(lane.announcement, 0u) << "told";
  barrier.reset();
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait_for(100ms).status()));
  EXPECT_THAT(message(barrier.arrive_and_wait().status()), HasSubstr("waited no longer")) << "not told again";
}

TEST(BarrierTest, AnArrivalOfTheDeadCountsIfTheLastOneComesFirst) {
  auto barrier = Barrier::create(2).value();
  Child party([&] { (void)barrier.arrive_and_wait(); });
  test::await_futex_sleep(party.pid());
  (void)party.kill();
  EXPECT_EQ(barrier.arrive_and_wait().value(), 1u);
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status())) << "it is missed in the next generation";
}

TEST(BarrierTest, WhoOpensItAndIsKilledBeforeItArrivesBreaksIt) {
  const std::string name = unique_name();
  auto barrier = Barrier::create(name, 2).value();
  Gate opened;
  Child party([&] {
    auto mine = Barrier::open(name).value();
    opened.open();
    for (;;) ::pause();
  });
  opened.wait();
  (void)party.kill();
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status()));
}

TEST(BarrierTest, WhoOnlyMadeItIsNoParty) {
  Gate made;
  const std::string name = unique_name();
  Child maker([&] {
    auto barrier = Barrier::create(name, 2, {.lifetime = Lifetime::kUntilUnlinked}).value();
    made.open();
    for (;;) ::pause();
  });
  made.wait();
  auto barrier = Barrier::open(name).value();
  (void)maker.kill();
  Blocked waiting([&] { (void)barrier.arrive_and_wait().value(); });
  std::this_thread::sleep_for(300ms);  // some slices
  EXPECT_FALSE(barrier.broken());
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  EXPECT_TRUE(Barrier::unlink(name).ok());
}

TEST(BarrierTest, WhoEndsInOrderIsNotMissed) {
  auto barrier = Barrier::create(2).value();
  Child party([&] {
    std::thread([&] { (void)barrier.arrive_and_wait().value(); }).join();  // a thread that ends
    for (;;) ::pause();
  });
  (void)barrier.arrive_and_wait().value();
  Blocked waiting([&] { (void)barrier.arrive_and_wait().value(); });
  std::this_thread::sleep_for(300ms);
  EXPECT_FALSE(barrier.broken());
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  EXPECT_FALSE(barrier.broken());
}

TEST(BarrierTest, AStoppedPartyIsNotDead) {
  auto barrier = Barrier::create(3).value();
  Child party([&] { return barrier.arrive_and_wait().ok() ? 0 : 1; });
  test::await_futex_sleep(party.pid());
  party.stop();
  Blocked waiting([&] { (void)barrier.arrive_and_wait().value(); });
  std::this_thread::sleep_for(300ms);  // some slices
  EXPECT_FALSE(barrier.broken());
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  party.go_on();
  EXPECT_TRUE(party.join().well());
}

// --- handles ---------------------------------------------------------------------------------------------------------

TEST(BarrierTest, ByName) {
  const std::string name = unique_name();
  auto barrier = Barrier::create(name, 2).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Barrier::create(name, 2).status()));
  Child other([&] { return Barrier::open("/" + name)->arrive_and_wait().ok() ? 0 : 1; });
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  EXPECT_TRUE(other.join().well());
  EXPECT_EQ(Barrier::open_or_create(name, 2)->parties(), 2u);
  EXPECT_TRUE(absl::IsFailedPrecondition(Barrier::open_or_create(name, 7).status()))
      << "it keeps what it was made with";
  EXPECT_TRUE(Barrier::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Barrier::open(name).status()));
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

TEST(BarrierTest, BytesThatCannotBe) {
  const std::string name = unique_name();
  auto barrier = Barrier::create(name, 2).value();
  const test::SegmentFile file(name);
  constexpr std::size_t kState = layout::kObjectOffset + offsetof(layout::Barrier, state);
  constexpr std::size_t kParties = layout::kObjectOffset + offsetof(layout::Barrier, parties);
  for (const std::uint32_t parties : {0u, 65'536u, 0xffff'ffffu}) {
    file.write(kParties, parties);
    EXPECT_TRUE(absl::IsDataLoss(Barrier::open(name).status()));
  }
  EXPECT_EQ(barrier.parties(), 2u);
  file.write(kState, layout::BarrierState{.value = 7}.word());
  EXPECT_TRUE(absl::IsDataLoss(barrier.arrive_and_wait().status()));
  file.write(kState, ~std::uint64_t{0});
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait().status()));
  barrier.reset();
  EXPECT_TRUE(absl::IsAborted(barrier.arrive_and_wait_for(1ms).status()));
}

TEST(BarrierTest, GenerationsWrap) {
  const std::string name = unique_name();
  auto barrier = Barrier::create(name, 2).value();
  constexpr std::size_t kState = layout::kObjectOffset + offsetof(layout::Barrier, state);
  test::SegmentFile(name).write(kState, layout::BarrierState{.generation = 0xffff'ffff}.word());
  for (int i = 0; i < 3; ++i) {
    Blocked waiting([&] { (void)barrier.arrive_and_wait().value(); });
    EXPECT_TRUE(barrier.arrive_and_wait().ok());
  }
}

}  // namespace
}  // namespace warren
