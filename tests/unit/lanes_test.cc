// Lanes: who is attached, whose death is certain, and what is given back after it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/resources.h"

namespace warren::detail {
namespace {

using layout::LaneIdentity;
using Phase = LaneIdentity::Phase;
using test::Child;
using test::Gate;
using test::Shared;
using test::unique_name;

constexpr std::uint32_t kWordA = 64, kWordB = 128;  // offsets of the wait words

SegmentPlan plan() { return {.kind = layout::ObjectKind::kRaw, .size = 4096, .wait_words = {kWordA, kWordB}}; }

// Where a child's lane is, and in what generation.
struct Place {
  std::atomic<std::uint32_t> index{0};
  std::atomic<std::uint16_t> generation{0};
  void note(const Seat& seat) noexcept {
    index = seat.lane_index;
    generation = seat.generation;
  }
};

class Lanes : public ::testing::Test {
 protected:
  std::uint32_t count(Phase phase) const {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < at_->lanes_high(); ++i) found += phase_of(i) == phase ? 1u : 0u;
    return found;
  }
  Phase phase_of(std::uint32_t index) const { return identity_of(index).phase; }
  LaneIdentity identity_of(std::uint32_t index) const { return LaneIdentity::from(at_->lane(index).identity.load()); }
  std::atomic<std::uint32_t>& word(std::uint32_t offset) const {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(at_->object() + offset);
  }
  layout::SegmentHeader& header() const {
    return *reinterpret_cast<layout::SegmentHeader*>(at_->object() - layout::kObjectOffset);
  }
  // A child that has a lane, and does nothing more until it is killed.
  Child lane_holder(const std::function<void(Seat&)>& before_sleep = {}) {
    Gate seated;
    Child child([&] {
      Seat& seat = at_->seat();
      place_->note(seat);
      if (before_sleep) before_sleep(seat);
      seated.open();
      Gate().wait();
    });
    seated.wait();
    return child;
  }
  // A lane made up by hand: claimed by `identity`, with these fields beside.
  std::uint32_t forge(LaneIdentity identity, std::uint64_t start_time, bool with_namespaces = true) {
    std::uint32_t index = 0;
    // The lane of a thread that has just ended.
    std::thread([&] { index = at_->seat().lane_index; }).join();
    layout::Lane& lane = at_->lane(index);
    const ProcessIdentity& self = this_process();
    lane.start_time = start_time;
    lane.pid_namespace = with_namespaces ? self.pid_namespace : 0;
    lane.time_namespace = with_namespaces ? self.time_namespace : 0;
    lane.identity = identity.word();
    return index;
  }
  static LaneIdentity living(Phase phase = Phase::kLive) {
    const ProcessIdentity& self = this_process();
    return {
        .pid = static_cast<std::uint32_t>(self.pid), .start_low = self.start_low(), .generation = 7, .phase = phase};
  }
  static LaneIdentity reaped(Phase phase = Phase::kLive) {
    Child child([] {});
    LaneIdentity identity{
        .pid = static_cast<std::uint32_t>(child.pid()), .start_low = 1, .generation = 7, .phase = phase};
    child.join();
    return identity;
  }

  const std::string name_ = unique_name();
  Attachment::Pointer at_ = Attachment::create(name_, plan(), {}).value();
  Shared<Place> place_;
};

TEST(LaneIdentityTest, AWordHoldsAllFields) {
  const LaneIdentity most{.pid = 0x3fffff, .start_low = 0xffffff, .generation = 0xffff, .phase = Phase::kSweeping};
  const LaneIdentity back = LaneIdentity::from(most.word());
  EXPECT_EQ(back.pid, most.pid);
  EXPECT_EQ(back.start_low, most.start_low);
  EXPECT_EQ(back.generation, most.generation);
  EXPECT_EQ(back.phase, most.phase);
  EXPECT_EQ(LaneIdentity{}.word(), 0u) << "memory that reads as zeros is a free lane";
}

// --- seats -----------------------------------------------------------------------------------------------------------

TEST_F(Lanes, AThreadsSeatIsALaneThatSaysWhoItIs) {
  Seat& seat = at_->seat();
  ASSERT_NE(seat.lane, nullptr);
  EXPECT_EQ(&at_->lane(seat.lane_index), seat.lane);
  const LaneIdentity identity = identity_of(seat.lane_index);
  EXPECT_EQ(identity.phase, Phase::kLive);
  EXPECT_EQ(identity.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(identity.start_low, this_process().start_low());
  EXPECT_EQ(identity.generation, seat.generation);
  EXPECT_EQ(seat.lane->start_time, this_process().start_time);
  EXPECT_EQ(seat.lane->pid_namespace, this_process().pid_namespace);
  EXPECT_EQ(seat.lane->time_namespace, this_process().time_namespace);
  EXPECT_EQ(seat.lane->thread_id, static_cast<std::uint32_t>(::syscall(SYS_gettid)));
  EXPECT_EQ(&at_->seat(), &seat);
  EXPECT_TRUE(at_->holds_lane(seat.lane_index, seat.generation));
}

TEST_F(Lanes, EachThreadHasItsOwnAndOneIsSpare) {
  EXPECT_EQ(count(Phase::kLive), 1u) << "the spare, from attaching";
  (void)at_->seat();
  EXPECT_EQ(count(Phase::kLive), 2u);
  std::thread([&] {
    EXPECT_NE(at_->seat().lane, nullptr);
    EXPECT_EQ(count(Phase::kLive), 3u);
  }).join();
}

TEST_F(Lanes, TheEndOfAThreadFreesItsLaneForTheNext) {
  std::uint32_t first = 0, second = 0;
  std::uint16_t generation = 0;
  std::thread([&] {
    const Seat& seat = at_->seat();
    first = seat.lane_index;
    generation = seat.generation;
    seat.lane->announcement = 5;
  }).join();
  EXPECT_EQ(phase_of(first), Phase::kFree);
  EXPECT_EQ(identity_of(first).generation, generation + 1);
  EXPECT_FALSE(at_->holds_lane(first, generation));
  EXPECT_FALSE(at_->announced_by_living(4));
  std::thread([&] { second = at_->seat().lane_index; }).join();
  EXPECT_EQ(second, first);
}

// What a user's thread_local does when it is destroyed: after the main function of the thread, before its end.
struct AtThreadsEnd {
  std::function<void()> run;
  ~AtThreadsEnd() {
    if (run) run();
  }
};
thread_local AtThreadsEnd at_threads_end;

TEST_F(Lanes, AThreadThatComesAgainFromItsDestructorsLeavesNoLane) {
  for (int i = 0; i < 100; ++i) {
    std::thread([&] {
      at_threads_end.run = [&] { EXPECT_NE(at_->seat().lane, nullptr); };
      (void)at_->seat();
    }).join();
    std::thread([&] {  // whose first use it is
      at_threads_end.run = [&] { EXPECT_NE(at_->seat().lane, nullptr); };
    })
        .join();
  }
  EXPECT_EQ(count(Phase::kLive), 1u) << "the spare";
  EXPECT_LE(at_->lanes_high(), 2u);
}

// The destructors of keys run one after the other: whoever was made later may come after ours, and is followed by ours.
TEST_F(Lanes, AThreadThatComesAgainFromAKeysDestructorLeavesNoLane) {
  (void)at_->seat();
  static std::function<void()> run;
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, [](void*) { run(); }), 0);
  std::uint32_t calls = 0;
  run = [&] {
    EXPECT_NE(at_->seat().lane, nullptr);
    EXPECT_EQ(count(Phase::kLive), 3u) << "with the spare and the main thread's";
    if (++calls < 2) ::pthread_setspecific(key, this);  // not to the last round, which is ThreadSanitizer's
  };
  std::thread([&] {
    (void)at_->seat();
    ::pthread_setspecific(key, this);
  }).join();
  EXPECT_EQ(calls, 2u);
  EXPECT_EQ(count(Phase::kLive), 2u);
  ::pthread_key_delete(key);
}

// exit() in a program's main thread: its static objects may use a segment yet. Then the lane is free.
TEST_F(Lanes, TheMainThreadHasItsLaneUntilTheLastStaticObjectIsGone) {
  static Attachment* at = nullptr;
  static Place* place = nullptr;
  at = at_.get();
  place = &*place_;
  Child child([&] {
    place_->note(at_->seat());
    std::atexit([] {
      if (!at->holds_lane(place->index, place->generation) || at->seat().generation != place->generation) ::_exit(1);
    });
    std::exit(0);
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(phase_of(place_->index), Phase::kFree);
  EXPECT_EQ(identity_of(place_->index).generation, place_->generation + 1) << "not by a sweep";
}

TEST_F(Lanes, GenerationsWrap) {
  const std::uint32_t index = forge({.generation = 0xffff}, 0);
  at_->lane(index).start_time = 0;
  std::thread([&] {
    EXPECT_EQ(at_->seat().lane_index, index);
    EXPECT_EQ(at_->seat().generation, 0xffff);
  }).join();
  EXPECT_EQ(identity_of(index).generation, 0);
  EXPECT_EQ(phase_of(index), Phase::kFree);
}

TEST_F(Lanes, LeavingFreesAllLanesOfThisProcess) {
  Attachment::Pointer other = Attachment::open(name_, {}).value();
  (void)at_->seat();
  (void)other->seat();
  EXPECT_EQ(count(Phase::kLive), 4u);
  other.reset();
  EXPECT_EQ(count(Phase::kLive), 2u);
  at_->leave();
  EXPECT_EQ(count(Phase::kLive), 0u);
  EXPECT_NE(at_->seat().lane, nullptr) << "who comes again gets a new one";
  EXPECT_EQ(count(Phase::kLive), 2u);
}

TEST_F(Lanes, ALaneThatNobodyEverHadIsNotHeld) {
  EXPECT_FALSE(at_->holds_lane(at_->lanes_high(), 0));
  EXPECT_FALSE(at_->holds_lane(layout::kMaxLanes, 0));
  EXPECT_FALSE(at_->holds_lane(0xffff'ffff, 0));
  Seat& seat = at_->seat();
  EXPECT_FALSE(at_->holds_lane(seat.lane_index, static_cast<std::uint16_t>(seat.generation + 1)));
}

TEST_F(Lanes, MoreThanOnePageOfLanesIsCommitted) {
  constexpr int kThreads = 150;
  Gate all, end;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Seat& seat = at_->seat();
      EXPECT_NE(seat.lane, nullptr);
      EXPECT_EQ(seat.sharing, nullptr);
      all.arrive();
      end.wait();
    });
  }
  all.wait_for(kThreads);
  EXPECT_EQ(count(Phase::kLive), kThreads + 1u);
  EXPECT_GE(header().lanes_committed, kThreads + 1u);
  EXPECT_EQ(header().lanes_committed % layout::kLanesPerPage, 0u);
  EXPECT_GE(header().lanes_committed, header().lanes_high);
  end.open();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count(Phase::kLive), 1u);
}

TEST_F(Lanes, ManyProcessesAtOnceNeverShareALane) {
  constexpr int kProcesses = 8, kThreads = 20;
  struct Owners {
    std::array<std::atomic<int>, 1024> of{};
  };
  Shared<Owners> owners;
  Gate all, end;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          EXPECT_EQ(owners->of[at_->seat().lane_index].fetch_add(1), 0);
          all.arrive();
          end.wait();
        });
      }
      for (std::thread& thread : threads) thread.join();
    });
  }
  all.wait_for(kProcesses * kThreads);
  end.open();
  for (Child& child : children) EXPECT_TRUE(child.join().well());
}

// --- fork ------------------------------------------------------------------------------------------------------------

TEST_F(Lanes, AForkedChildGetsLanesOfItsOwn) {
  const std::uint32_t mine = at_->seat().lane_index;
  const std::uint64_t before = at_->lane(mine).identity;
  Child child([&] {
    const Seat& seat = at_->seat();
    EXPECT_NE(seat.lane_index, mine);
    EXPECT_EQ(identity_of(seat.lane_index).pid, static_cast<std::uint32_t>(::getpid()));
    at_.reset();
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(at_->lane(mine).identity, before);
  EXPECT_EQ(count(Phase::kLive), 2u) << "the child gave back its own, and only them";
}

TEST_F(Lanes, AChildForkedBehindOurBackGetsItsOwnToo) {
  const std::uint32_t mine = at_->seat().lane_index;
  const pid_t pid = ::_Fork();
  if (pid == 0) ::_exit(at_->seat().lane_index != mine ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(at_->sweep(), 2u) << "its own and its spare";
}

TEST_F(Lanes, AChildThatNeverUsesTheSegmentHasNone) {
  Child child([&] { at_.reset(); });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(count(Phase::kLive), 1u);
}

// --- death -----------------------------------------------------------------------------------------------------------

TEST_F(Lanes, TheLivingAreLeftAlone) {
  (void)at_->seat();
  Child child = lane_holder();
  EXPECT_EQ(at_->sweep(), 0u);
  child.stop();
  EXPECT_EQ(at_->sweep(), 0u) << "stopped is not dead";
  EXPECT_TRUE(at_->holds_lane(place_->index, place_->generation));
}

TEST_F(Lanes, ASweepFreesTheLanesOfAZombie) {
  Child child = lane_holder([](Seat& seat) {
    seat.lane->announcement = 9;
    seat.lane->take = 4;
  });
  EXPECT_TRUE(at_->announced_by_living(8));
  child.kill_but_not_reap();
  EXPECT_FALSE(at_->holds_lane(place_->index, place_->generation));
  EXPECT_FALSE(at_->announced_by_living(8));
  EXPECT_EQ(at_->sweep(), 2u);
  const layout::Lane& lane = at_->lane(place_->index);
  EXPECT_EQ(phase_of(place_->index), Phase::kFree);
  EXPECT_EQ(identity_of(place_->index).generation, place_->generation + 1);
  EXPECT_EQ(lane.announcement, 0u);
  EXPECT_EQ(lane.take, 0u);
  EXPECT_EQ(lane.start_time, 0u);
  EXPECT_EQ(lane.pid_namespace, 0u);
  EXPECT_EQ(at_->sweep(), 0u);
}

TEST_F(Lanes, ASweepFreesTheLanesOfTheReaped) {
  Child child = lane_holder();
  child.kill();
  EXPECT_EQ(at_->sweep(), 2u);
}

TEST_F(Lanes, ASweepTellsOfEachLaneBeforeItIsEmptied) {
  Child child = lane_holder([](Seat& seat) { seat.lane->announcement = 77; });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  (void)child.kill();
  std::vector<std::uint64_t> announced;
  EXPECT_EQ(at_->sweep([&](const layout::Lane& lane, std::uint16_t, std::uint32_t of) {
    announced.push_back(lane.announcement);
    EXPECT_EQ(of, pid);
  }),
            2u);
  EXPECT_THAT(announced, ::testing::UnorderedElementsAre(77u, 0u)) << "its thread's, and its process's";
}

TEST_F(Lanes, TheProcessesLaneOutlivesItsThreads) {
  LaneRef of_thread, here = at_->process_lane(at_->seat());
  std::thread([&] { of_thread = at_->process_lane(at_->seat()); }).join();
  ASSERT_TRUE(here.known && of_thread.known);
  EXPECT_EQ(of_thread.index, here.index);
  EXPECT_EQ(of_thread.generation, here.generation);
  EXPECT_NE(here.index, at_->seat().lane_index);
  EXPECT_TRUE(at_->holds_lane(here.index, here.generation));
  EXPECT_TRUE(Child([&] { return at_->process_lane(at_->seat()).index != here.index ? 0 : 1; }).join().well());
  at_->leave();
  EXPECT_TRUE(at_->lane_given_back(here.index, here.generation));
  EXPECT_TRUE(at_->process_lane(at_->seat()).known) << "who comes again gets a new one";
}

TEST_F(Lanes, AStoppedProcessStillAnnounces) {
  Child child = lane_holder([](Seat& seat) { seat.lane->announcement = 9; });
  child.stop();
  EXPECT_TRUE(at_->announced_by_living(8));
  EXPECT_FALSE(at_->announced_by_living(9));
}

// The leader is a zombie, and its threads write on.
TEST_F(Lanes, ThreadsOutliveTheirLeader) {
  Gate seated, end;
  Child child([&] {
    std::thread([&] {
      place_->note(at_->seat());
      at_->seat().lane->announcement = 9;
      while (read_process_stat(::getpid()).stat->state != 'Z') ::sched_yield();
      seated.open();
      end.wait();
    }).detach();
    ::syscall(SYS_exit, 0);
  });
  seated.wait();
  EXPECT_EQ(read_process_stat(child.pid()).stat->state, 'Z');
  EXPECT_EQ(at_->sweep(), 0u);
  EXPECT_TRUE(at_->holds_lane(place_->index, place_->generation));
  EXPECT_TRUE(at_->announced_by_living(8));
  child.kill_but_not_reap();
  EXPECT_EQ(at_->sweep(), 2u);
}

TEST_F(Lanes, AReusedPidIsNotWhoHadTheLane) {
  LaneIdentity former = living();
  former.start_low ^= 1;
  const std::uint32_t low_differs = forge(former, 0);
  EXPECT_FALSE(at_->holds_lane(low_differs, 7));
  EXPECT_EQ(at_->sweep(), 1u);
  const std::uint32_t high_differs = forge(living(), this_process().start_time + (1u << 24));
  EXPECT_FALSE(at_->holds_lane(high_differs, 7));
  EXPECT_EQ(at_->sweep(), 1u);
  const std::uint32_t same = forge(living(), this_process().start_time);
  EXPECT_TRUE(at_->holds_lane(same, 7));
  EXPECT_EQ(at_->sweep(), 0u);
}

TEST_F(Lanes, WhoDiedRightAfterTheClaimIsSwept) {
  const std::uint32_t index = forge(reaped(), 0, /*with_namespaces=*/false);
  EXPECT_FALSE(at_->holds_lane(index, 7));
  EXPECT_EQ(at_->sweep(), 1u);
  EXPECT_EQ(identity_of(index).generation, 8);
}

TEST_F(Lanes, WhoLivesRightAfterTheClaimIsLeft) {
  (void)forge(living(), 0, /*with_namespaces=*/false);
  EXPECT_EQ(at_->sweep(), 0u);
}

TEST_F(Lanes, OfAnotherNamespaceNobodyIsKnownToBeDead) {
  const std::uint32_t index = forge(reaped(), 1);
  at_->lane(index).pid_namespace = this_process().pid_namespace + 1;
  EXPECT_EQ(at_->sweep(), 0u);
  EXPECT_TRUE(at_->holds_lane(index, 7));
  at_->lane(index).pid_namespace = this_process().pid_namespace;
  at_->lane(index).time_namespace = this_process().time_namespace + 1;
  EXPECT_EQ(at_->sweep(), 0u);
  at_->lane(index).time_namespace = this_process().time_namespace;
  EXPECT_EQ(at_->sweep(), 1u);
}

TEST_F(Lanes, OnceAForeignerCameUnfinishedClaimsCountAsAlive) {
  header().foreign = 1;
  (void)forge(reaped(), 0, /*with_namespaces=*/false);
  EXPECT_EQ(at_->sweep(), 0u);
}

TEST_F(Lanes, WithoutDescriptorsTheDoubtfulLive) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  Child child = lane_holder();
  child.kill_but_not_reap();
  {
    const test::NoDescriptors none;
    EXPECT_EQ(at_->sweep(), 0u);
    EXPECT_TRUE(at_->holds_lane(place_->index, place_->generation));
  }
  EXPECT_EQ(at_->sweep(), 2u);
}

// --- sweeping --------------------------------------------------------------------------------------------------------

TEST_F(Lanes, ADeadSweeperIsReplaced) {
  const std::uint32_t index = forge(reaped(Phase::kSweeping), this_process().start_time);
  at_->lane(index).announcement = 3;
  EXPECT_FALSE(at_->announced_by_living(2));
  EXPECT_EQ(at_->sweep(), 1u);
  EXPECT_EQ(phase_of(index), Phase::kFree);
  EXPECT_EQ(identity_of(index).generation, 8);
  EXPECT_EQ(at_->lane(index).announcement, 0u);
}

TEST_F(Lanes, ALivingSweeperIsLeftToItsWork) {
  const std::uint32_t index = forge(living(Phase::kSweeping), 1);
  EXPECT_EQ(at_->sweep(), 0u);
  EXPECT_EQ(phase_of(index), Phase::kSweeping);
}

TEST_F(Lanes, TwoSweepersFreeALaneOnce) {
  for (int round = 0; round < 50; ++round) {
    Child child = lane_holder();
    child.kill();
    Gate start;
    std::atomic<std::uint32_t> freed{0};
    std::vector<std::thread> sweepers;
    for (int i = 0; i < 3; ++i) {
      sweepers.emplace_back([&] {
        start.wait();
        freed += at_->sweep();
      });
    }
    start.open();
    for (std::thread& sweeper : sweepers) sweeper.join();
    EXPECT_EQ(freed, 2u);
  }
}

TEST_F(Lanes, ASweepThatFreedSomethingWakesEveryWaitWord) {
  word(kWordA) = word(kWordB) = 1;
  EXPECT_EQ(at_->sweep(), 0u);
  EXPECT_EQ(word(kWordA), 1u) << "nothing freed, nobody woken";
  (void)forge(reaped(), 1);
  EXPECT_EQ(at_->sweep(), 1u);
  EXPECT_EQ(word(kWordA), 2u);
  EXPECT_EQ(word(kWordB), 2u);
}

// --- namespaces, for real --------------------------------------------------------------------------------------------

TEST_F(Lanes, AProcessOfAnotherPidNamespaceIsNeverSweptNorSweeps) {
  Child ours = lane_holder();
  Shared<Place> theirs;
  WARREN_EXPECT_ISOLATED(test::in_new_pid_namespace([&] {
    Attachment::Pointer mine = Attachment::open(name_, {}).value();
    theirs->note(mine->seat());
    // To this process the pids on our lanes are nobody's.
    EXPECT_EQ(mine->sweep(), 0u);
    EXPECT_TRUE(mine->holds_lane(place_->index, place_->generation));
    new Attachment::Pointer(mine);  // it ends without leaving
  }));
  EXPECT_EQ(header().foreign, 1u);
  EXPECT_EQ(at_->sweep(), 0u) << "from here its death cannot be told";
  EXPECT_TRUE(at_->holds_lane(theirs->index, theirs->generation));
}

// It attached to nothing: it inherited the mapping.
TEST_F(Lanes, AChildForkedIntoAnotherPidNamespaceIsForeignFromItsFirstLaneOn) {
  WARREN_EXPECT_ISOLATED(test::in_new_pid_namespace([&] {
    EXPECT_EQ(header().foreign, 0u);
    (void)at_->seat();
    EXPECT_EQ(header().foreign, 1u);
  }));
  EXPECT_EQ(at_->sweep(), 0u);
}

TEST_F(Lanes, ShiftedStartTimesAreNobodysDeath) {
  const std::uint64_t start = this_process().start_time;
  const pid_t pid = ::getpid();
  const std::uint32_t mine = at_->seat().lane_index;
  const std::uint16_t generation = at_->seat().generation;
  WARREN_EXPECT_ISOLATED(test::in_new_time_namespace([&] {
    EXPECT_NE(read_process_stat(pid).stat->start_time, start) << "the premise: /proc shows it shifted";
    EXPECT_EQ(at_->sweep(), 0u);
    EXPECT_TRUE(at_->holds_lane(mine, generation));
    (void)at_->seat();
    EXPECT_EQ(header().foreign, 1u);
  }));
}

// --- when lanes or descriptors end -----------------------------------------------------------------------------------

TEST(LaneShortage, ThreadsWithoutMemoryForALaneShareTheSpareOne) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(std::size_t{1} << 20, [] {
    auto queue = Queue<int>::create("crowded", {.capacity = 1000}).value();
    std::ofstream filler("/dev/shm/filler");
    const std::vector<char> block(4096, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
    constexpr int kThreads = 100;
    Gate all;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        EXPECT_EQ(queue.check(1), absl::OkStatus());
        all.arrive();
        all.wait_for(kThreads);
        for (int n = 0; n < 10; ++n) EXPECT_TRUE(queue.try_push(n));
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::array<int, 10> seen{};
    while (auto item = queue.try_pop()) ++seen[static_cast<std::size_t>(*item)];
    for (const int each : seen) EXPECT_EQ(each, kThreads);
  }));
}

// What it owns by that lane, a Mutex, say, it could not give back by another.
TEST(LaneShortage, AThreadThatWasGivenTheSpareOneKeepsIt) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(std::size_t{1} << 20, [] {
    Attachment::Pointer at = Attachment::create("crowded", plan(), {}).value();
    std::ofstream filler("/dev/shm/filler");
    const std::vector<char> block(4096, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
    Gate seated, leave;
    std::vector<std::thread> crowd;
    for (std::uint32_t i = 0; i < layout::kLanesPerPage; ++i) {
      crowd.emplace_back([&] {
        (void)at->seat();
        seated.arrive();
        leave.wait();
      });
    }
    seated.wait_for(layout::kLanesPerPage);
    std::thread([&] {
      Seat& mine = at->seat();
      EXPECT_NE(mine.sharing, nullptr);
      EXPECT_NE(mine.lane, nullptr);
      leave.open();
      for (std::thread& thread : crowd) thread.join();
      seat_cache.fill({});  // as where it used many segments meanwhile
      EXPECT_EQ(&at->seat(), &mine);
    }).join();
    std::thread([&] { EXPECT_EQ(at->seat().sharing, nullptr); }).join();
  }));
}

TEST(LaneShortage, AThreadBornWithoutDescriptorsIsNotTakenForDead) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  Attachment::Pointer at = Attachment::create({}, plan(), {}).value();
  const test::NoDescriptors none;
  std::thread([&] {
    const Seat& seat = at->seat();
    ASSERT_NE(seat.lane, nullptr);
    EXPECT_EQ(seat.lane->start_time, this_process().start_time);
  }).join();
}

// Its identity would be wrong, and the others would find it dead while it lives.
TEST(LaneShortage, AProcessBornWithoutDescriptorsIsRefusedUntilItHasSome) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  auto queue = Queue<int>::create({.capacity = 4}).value();
  Gate pushed;
  std::optional<Child> child;
  child.emplace([&] {
    {
      const test::NoDescriptors none;
      EXPECT_FALSE(queue.try_push(1));
      EXPECT_FALSE(queue.push(1));
      EXPECT_TRUE(absl::IsResourceExhausted(queue.check(1)));
      EXPECT_FALSE(queue.try_pop().has_value());
    }
    EXPECT_TRUE(queue.try_push(2));
    EXPECT_EQ(queue.check(1), absl::OkStatus());
    EXPECT_TRUE(Attachment::create({}, plan(), {}).ok());
  });
  EXPECT_TRUE(child->join().well());
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

}  // namespace
}  // namespace warren::detail
