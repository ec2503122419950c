// The ends of a pool: closed, terminated, joined, destroyed, in every order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/barrier.h>
#include <warren/pool/pool.h>

#include <chrono>
#include <functional>
#include <thread>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class PoolClose : public WithMarks {
 protected:
  static void expect_refused(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(task_error(status).value_or(TaskError{}).kind, TaskError::Kind::kRefused);
  }
};

TEST_F(PoolClose, AWorkerThatEndsInOrderIsNotMissedByABarrierItWasAPartyOf) {
  auto barrier = Barrier::create(2).value();
  Pool pool = make_pool(1);
  const auto arrived = pool.submit([](Barrier& party) { return party.arrive_and_wait().ok(); }, barrier);
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  EXPECT_TRUE(arrived.get().value());
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  std::thread other([&] { EXPECT_TRUE(barrier.arrive_and_wait().ok()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // some slices
  EXPECT_FALSE(barrier.broken());
  EXPECT_TRUE(barrier.arrive_and_wait().ok());
  other.join();
}

TEST_F(PoolClose, WhatWasAcceptedIsFinishedThoughWorkersDie) {
  Pool pool = make_pool(2);
  std::vector<Future<void>> futures;
  for (int i = 0; i < 100; ++i) {
    futures.push_back(pool.submit({.retries = 1}, [] {
      if (++marks->count, current_task().attempt() == 1) die(Death::kKilled);
    }));
  }
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  for (const Future<void>& each : futures) EXPECT_TRUE(each.get().ok());
  EXPECT_EQ(marks->count, 200u);
}

// What a map has still to submit was accepted with it: the rest of a chunk whose worker died, too.
TEST_F(PoolClose, AMapUnderWayIsFinishedThoughWorkersDie) {
  Pool pool = make_pool(1);
  std::thread closes([&] {
    EXPECT_TRUE(marks->await_count(1));
    pool.close();
    expect_refused(pool.submit([] {}).get());
    expect_refused(pool.map([](int x) { return x; }, {1}).status());
    marks->open(0);
    EXPECT_TRUE(pool.join_for(kPromptly).ok());
  });
  const auto dies_once = [](int i) {
    if (i == 3 && current_task().attempt() == 1) ++marks->count, marks->pass(0), die(Death::kKilled);
    return i;
  };
  const auto results = pool.map({.chunksize = 20, .task = {.retries = 1}}, dies_once, std::views::iota(0, 100));
  closes.join();
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->size(), 100u);
}

TEST_F(PoolClose, AStoppedWorkerWithNothingToDoDoesNotHoldItUp) {
  Pool pool = make_pool(2);
  const pid_t worker = workers_of(pool).at(0);
  ::kill(worker, SIGSTOP);
  pool.close();
  EXPECT_TRUE(pool.join_for(kPromptly).ok());
  EXPECT_TRUE(gone(worker));
}

TEST_F(PoolClose, TerminatedItFailsWhatHasNotEndedAtOnce) {
  Pool pool = make_pool(2);
  std::vector<Future<void>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([] { ++marks->count, marks->pass(0); }));
  ASSERT_TRUE(marks->await_count(2));
  const std::vector<pid_t> processes = children_of(children_of(::getpid()).at(0));
  pool.terminate();
  for (const Future<void>& each : futures) {
    const absl::Status status = each.get_for(kPromptly);
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_EQ(task_error(status).value().kind, TaskError::Kind::kCancelled);
  }
  EXPECT_TRUE(pool.join().ok());
  EXPECT_TRUE(all_gone(processes));
  EXPECT_EQ(marks->count, 2u);
}

// What ran is never told as what did not.
TEST_F(PoolClose, TerminatedItTellsWhoHadTheTask) {
  Pool pool = make_pool(2);
  std::array<Future<void>, 2> running;
  for (std::size_t i = 0; i < 2; ++i) {
    running[i] = pool.submit([](std::size_t n) { marks->pids[n] = ::getpid(), ++marks->count, marks->pass(0); }, i);
  }
  ASSERT_TRUE(marks->await_count(2));
  const pid_t supervisor = children_of(::getpid()).at(0);
  ::kill(supervisor, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(supervisor) == 'T'; }, kPromptly));
  (void)running[0].kill();
  pool.terminate();
  ::kill(supervisor, SIGCONT);
  for (std::size_t i = 0; i < 2; ++i) {
    const absl::Status status = running[i].get_for(kPromptly);
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_EQ(task_error(status).value().worker, marks->pids[i]) << status;
  }
  EXPECT_THAT(std::string(running[0].get().message()), testing::HasSubstr("its worker killed"));
}

TEST_F(PoolClose, TerminatedWhileAnotherThreadGets) {
  Pool pool = make_pool(1, 1);
  const Future<void> running = pool.submit([] { marks->pass(0); });
  std::thread gets([&] { EXPECT_EQ(running.get().code(), absl::StatusCode::kCancelled); });
  std::thread submits([&] {
    const absl::Status status = pool.submit([] { marks->pass(0); }).get();
    EXPECT_TRUE(absl::IsCancelled(status) || absl::IsFailedPrecondition(status)) << status;
  });
  std::thread maps([&] {
    EXPECT_FALSE(pool.map(
                         {.chunksize = 1}, [](int) { marks->pass(0); }, std::views::iota(0, 10))
                     .ok());
  });
  std::this_thread::sleep_for(20ms);
  pool.terminate();
  gets.join();
  submits.join();
  maps.join();
}

// --- orders ----------------------------------------------------------------------------------------------------------

struct Order {
  const char* name;
  std::function<void(Pool&)> steps;
};

class EndOrder : public WithMarks, public testing::WithParamInterface<Order> {};

void expect_joined(Pool& pool) { EXPECT_TRUE(pool.join_for(kPromptly).ok()); }

const Order kOrders[] = {
    {"nothing", [](Pool&) {}},
    {"close", [](Pool& p) { p.close(); }},
    {"terminate", [](Pool& p) { p.terminate(); }},
    {"close_join", [](Pool& p) { p.close(), expect_joined(p); }},
    {"terminate_join", [](Pool& p) { p.terminate(), expect_joined(p); }},
    {"close_twice", [](Pool& p) { p.close(), p.close(), expect_joined(p), expect_joined(p); }},
    {"terminate_twice", [](Pool& p) { p.terminate(), p.terminate(), expect_joined(p), expect_joined(p); }},
    {"close_terminate_join", [](Pool& p) { p.close(), p.terminate(), expect_joined(p); }},
    {"terminate_close_join", [](Pool& p) { p.terminate(), p.close(), expect_joined(p); }},
    {"close_join_terminate_join", [](Pool& p) { p.close(), expect_joined(p), p.terminate(), expect_joined(p); }},
    {"join_close_join", [](Pool& p) { (void)p.join(), p.close(), expect_joined(p); }},
    {"moved_and_closed",
     [](Pool& p) {
       Pool q = std::move(p);
       q.close(), expect_joined(q);
     }},
    {"in_threads",
     [](Pool& p) {
       std::vector<std::thread> threads;
       for (int t = 0; t < 8; ++t) {
         threads.emplace_back([&p, t] { t % 2 == 0 ? p.close() : p.terminate(), expect_joined(p); });
       }
       for (std::thread& thread : threads) thread.join();
     }},
};

TEST_P(EndOrder, OfAnIdlePool) {
  Pool pool = make_pool(2);
  GetParam().steps(pool);
}

TEST_P(EndOrder, OfABusyPool) {
  Pool pool = make_pool(2);
  std::vector<Future<std::string>> futures;
  for (int i = 0; i < 200; ++i) {
    futures.push_back(
        pool.submit([](std::size_t n) { return ++marks->count, std::string(n, 'x'); }, static_cast<std::size_t>(i)));
  }
  GetParam().steps(pool);
  for (std::size_t i = 0; i < futures.size(); ++i) {
    const auto result = futures[i].get();
    EXPECT_TRUE(result.ok() ? result->size() == i : absl::IsCancelled(result.status())) << result.status();
  }
}

TEST_P(EndOrder, OfAPoolThatMakesItsWorkers) {
  for (int i = 0; i < 10; ++i) {
    Pool pool = make_pool(4);
    GetParam().steps(pool);
  }
}

TEST_P(EndOrder, OfAPoolWhoseWorkersDie) {
  Pool pool = make_pool(2);
  for (int i = 0; i < 20; ++i) pool.submit([] { die(Death::kKilled); });
  GetParam().steps(pool);
}

INSTANTIATE_TEST_SUITE_P(, EndOrder, testing::ValuesIn(kOrders), [](const auto& order) { return order.param.name; });

// --- the owner's -----------------------------------------------------------------------------------------------------

TEST_F(PoolClose, AWorkersCopyDoesNothing) {
  static Pool* first = nullptr;
  Pool outer = make_pool(1);
  first = &outer;
  Pool inner = make_pool(1);
  const auto misuse = [] {
    first->terminate();
    return first->submit([] { ++marks->count; }).get();
  };
  expect_refused(inner.apply(misuse));
  EXPECT_EQ(outer.apply([] { return 1; }).value(), 1);
  EXPECT_EQ(marks->count, 0u);
}

TEST_F(PoolClose, ManyPoolsComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    Pool pool = make_pool(2);
    if (i % 3 == 0) {
      EXPECT_EQ(pool.apply([](int x) { return x; }, i).value(), i);
    } else if (i % 3 == 1) {
      pool.terminate();
    }
  }
}

}  // namespace
}  // namespace warren::test
