// The account of a queue's items: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/join_trial.h"

namespace warren::test {
namespace {

void sweep_join(const JoinState& state, const JoinOperation& operation) {
  sweep(std::string(operation.name) + " " + state.name, [&] { return std::make_unique<JoinTrial>(state, operation); });
}

TEST(JoinAtEveryPoint, PopKilled) {
  sweep_join(kQueued, kJoinPop);
  sweep_join(kQueued, kJoinPopN);
}

TEST(JoinAtEveryPoint, TaskDoneKilled) {
  sweep_join(kQueued, kTaskDone);
  sweep_join(kSurvivorHasOne, kTaskDoneOfAnother);
}

TEST(JoinAtEveryPoint, ThreadsEndKilled) { sweep_join(kQueued, kHandOver); }

TEST(JoinAtEveryPoint, JoinKilled) {
  sweep_join(kLostOne, kJoin);
  sweep_join(kLostAndSwept, kJoin);
}

// Who sweeps a dead consumer's lane is stopped at each point of that. Joins are told all the same, once, and go on
// when it does.
TEST(JoinAtEveryPoint, AStoppedSweeperHidesNoLoss) {
  struct Death {
    const char* name;
    Passing at;
    std::uint32_t lost;
  };
  // It has two items; or it has one, and was killed before it could say that it has another one.
  for (const Death& death : {Death{"counted", {"take_counted", 2}, 2}, Death{"not counted", {"pop_taken", 2}, 2}}) {
    set_waits(1ms);
    const auto make = [] {
      auto queue = Queue<int>::create({.capacity = 8}).value();
      for (int i = 0; i < 3; ++i) (void)queue.push(1);
      return queue;
    };
    const auto die_with_items = [&](Queue<int>& queue) {
      const Ended end = Child([&] {
                          die_at(death.at);
                          (void)queue.pop();
                          (void)queue.pop();
                        }).join();
      EXPECT_EQ(end.signal, SIGKILL);
    };
    const auto look = [](Queue<int>& queue) { (void)Reach::attachment(queue).sweep(); };
    Queue<int> first = make();
    die_with_items(first);
    std::vector<Passing> points;
    for (const Passing& passing : passings_of([&] { (void)Reach::attachment(first).seat(); }, [&] { look(first); })) {
      if (passing.point.starts_with("sweep_") || passing.point == "loser_noted") points.push_back(passing);
    }
    EXPECT_GE(points.size(), 4u);
    for (const Passing& passing : points) {
      SCOPED_TRACE(std::string(death.name) + ", stopped at " + passing.text());
      Queue<int> queue = make();
      die_with_items(queue);
      Child sweeper([&] {
        stop_at(passing);
        look(queue);
      });
      while (process_state(sweeper.pid()) != 'T') ::sched_yield();
      const absl::Status told = queue.join_for(kPatience);
      EXPECT_TRUE(absl::IsAborted(told)) << told;
      EXPECT_EQ(std::atoi(std::string(told.message()).c_str()), static_cast<int>(death.lost)) << told;
      sweeper.go_on();
      EXPECT_TRUE(sweeper.join().well());
      EXPECT_TRUE(absl::IsDeadlineExceeded(queue.join_for(5ms))) << "one is in the queue";
      EXPECT_TRUE(queue.pop() && queue.task_done());
      EXPECT_TRUE(queue.join_for(kPatience).ok());
      EXPECT_FALSE(queue.task_done());
    }
  }
}

}  // namespace
}  // namespace warren::test
