// Where processes share one processor they get on: nobody spins away the time of who is waited for.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/queue.h>

#include <mutex>
#include <vector>

#include "support/child.h"
#include "support/resources.h"

namespace warren {
namespace {

using test::Child;
using test::Shared;

void on_one_processor(const std::function<void()>& run) {
  Child child([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    run();
  });
  EXPECT_TRUE(child.join().well());
}

TEST(OneProcessor, APingComesBack) {
  on_one_processor([] {
    constexpr int kRounds = 2000;
    auto there = Queue<int>::create({.capacity = 1}).value();
    auto back = Queue<int>::create({.capacity = 1}).value();
    Child echo([&] {
      while (const auto item = there.pop()) ASSERT_TRUE(back.push(*item));
    });
    for (int i = 0; i < kRounds; ++i) {
      ASSERT_TRUE(there.push(i));
      ASSERT_EQ(back.pop(), i);
    }
    there.close();
    EXPECT_TRUE(echo.join().well());
  });
}

// Each gives the processor away while it holds the mutex, so that the others come and wait.
TEST(OneProcessor, AMutexIsHandedOn) {
  on_one_processor([] {
    constexpr int kProcesses = 3, kTurns = 500;
    auto mutex = Mutex::create().value();
    Shared<int> turns;
    std::vector<Child> processes;
    for (int p = 0; p < kProcesses; ++p) {
      processes.emplace_back([&] {
        for (int i = 0; i < kTurns; ++i) {
          const std::scoped_lock guard(mutex);
          const int seen = *turns;
          ::sched_yield();
          *turns = seen + 1;
        }
      });
    }
    for (Child& process : processes) EXPECT_TRUE(process.join().well());
    EXPECT_EQ(*turns, kProcesses * kTurns);
  });
}

}  // namespace
}  // namespace warren
