// Latch: counting down, waiting, misuse, handles by fork and by name.
#include <warren/ipc/latch.h>

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <thread>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Blocked;
using test::Child;
using test::Shared;
using test::unique_name;

TEST(LatchTest, OpensWhenItIsCountedDown) {
  auto latch = Latch::create(3).value();
  EXPECT_FALSE(latch.try_wait());
  EXPECT_TRUE(latch.count_down());
  EXPECT_FALSE(latch.try_wait());
  EXPECT_TRUE(latch.count_down(2));
  EXPECT_TRUE(latch.try_wait());
  latch.wait();
  EXPECT_TRUE(latch.wait_for(-1s));
}

TEST(LatchTest, CountingBelowNothingChangesNothing) {
  auto latch = Latch::create(2).value();
  EXPECT_FALSE(latch.count_down(3));
  EXPECT_FALSE(latch.count_down(std::numeric_limits<std::uint32_t>::max()));
  EXPECT_FALSE(latch.arrive_and_wait(3));
  EXPECT_TRUE(latch.count_down(2));
  EXPECT_FALSE(latch.count_down());
  EXPECT_TRUE(latch.count_down(0));
  EXPECT_TRUE(latch.try_wait());
}

TEST(LatchTest, TheLeastAndTheMost) {
  EXPECT_TRUE(Latch::create(0)->try_wait());
  auto latch = Latch::create(std::numeric_limits<std::uint32_t>::max()).value();
  EXPECT_TRUE(latch.count_down(std::numeric_limits<std::uint32_t>::max() - 1));
  EXPECT_FALSE(latch.try_wait());
  EXPECT_TRUE(latch.count_down());
  EXPECT_TRUE(latch.try_wait());
}

TEST(LatchTest, WakesAllWhoWait) {
  auto latch = Latch::create(1).value();
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.emplace_back([&] { latch.wait(); });
  for (const Child& child : children) test::await_futex_sleep(child.pid());
  Blocked thread([&] { EXPECT_TRUE(latch.wait_for(kForever)); });
  EXPECT_TRUE(latch.count_down());
  for (Child& child : children) EXPECT_TRUE(child.join().well());
}

TEST(LatchTest, WhatWasDoneBeforeIsSeenAfter) {
  constexpr int kProcesses = 4;
  auto latch = Latch::create(kProcesses).value();
  Shared<std::array<int, kProcesses>> done;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&, i]() -> int {
      done->at(static_cast<std::size_t>(i)) = i + 1;
      if (!latch.arrive_and_wait()) return 1;
      for (int k = 0; k < kProcesses; ++k) {
        if (done->at(static_cast<std::size_t>(k)) != k + 1) return 2;
      }
      return 0;
    });
  }
  for (Child& child : children) EXPECT_EQ(child.join().code, 0);
}

TEST(LatchTest, ATimedWaitEnds) {
  auto latch = Latch::create(1).value();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)}) EXPECT_FALSE(latch.wait_for(d));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(latch.wait_until(begin + 20ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
}

TEST(LatchTest, ByName) {
  const std::string name = unique_name();
  auto latch = Latch::create(name, 1).value();
  EXPECT_TRUE(absl::IsAlreadyExists(Latch::create(name, 1).status()));
  EXPECT_TRUE(Child([&] { return Latch::open("/" + name)->count_down() ? 0 : 1; }).join().well());
  EXPECT_TRUE(latch.try_wait());
  EXPECT_TRUE(Latch::open_or_create(name, 5)->try_wait()) << "it keeps its count";
  EXPECT_TRUE(Latch::unlink(name).ok());
  EXPECT_TRUE(absl::IsNotFound(Latch::open(name).status()));
}

// A peer's word: any count is one.
TEST(LatchTest, ACountThatSomebodyForged) {
  const std::string name = unique_name();
  auto latch = Latch::create(name, 1).value();
  test::SegmentFile(name).write(layout::kObjectOffset + offsetof(layout::Latch, count), 7u);
  EXPECT_TRUE(latch.count_down(7));
  EXPECT_TRUE(latch.try_wait());
}

}  // namespace
}  // namespace warren
