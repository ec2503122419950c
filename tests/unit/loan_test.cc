// Loan<T> and Borrow<T>: items of a queue in place.
#include <warren/ipc/loan.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/queue_blocks.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::QueueBlocks;
using ::testing::ElementsAre;

struct Frame {
  int id;
  std::byte pixels[1 << 20];
};
struct alignas(64) Lane64 {
  double x[8];
};
struct Point {
  int x, y;
};

template <class T>
Queue<T> queue_of(std::size_t capacity = 4) {
  return Queue<T>::create({.capacity = capacity}).value();
}

TEST(Loan, IsWrittenAndReadInPlace) {
  auto frames = queue_of<Frame>();
  auto loan = frames.loan();
  ASSERT_TRUE(loan);
  loan->id = 7;
  (*loan).pixels[1000] = std::byte{9};
  const auto* written = &*loan;
  EXPECT_TRUE(frames.push(std::move(loan)));
  EXPECT_FALSE(loan);  // NOLINT: that a pushed one is empty is its contract
  const auto borrow = frames.borrow();
  ASSERT_TRUE(borrow);
  EXPECT_EQ(&*borrow, written) << "it was copied";
  EXPECT_EQ(borrow->id, 7);
  EXPECT_EQ(borrow->pixels[1000], std::byte{9});
}

TEST(Loan, StringsAndVectorsAreSpansOfTheSizeAskedFor) {
  auto texts = queue_of<std::string>();
  for (const std::size_t size : {0u, 5u, 200u, 3000000u}) {
    auto loan = texts.loan(size);
    ASSERT_EQ((*loan).size(), size);
    std::ranges::fill(*loan, 'x');
    ASSERT_TRUE(texts.push(std::move(loan)));
    EXPECT_EQ(texts.pop(), std::string(size, 'x'));  // loaned and popped,
    ASSERT_TRUE(texts.push(std::string(size, 'y')));
    const auto borrow = texts.borrow();  // pushed and borrowed
    EXPECT_EQ(std::string((*borrow).begin(), (*borrow).end()), std::string(size, 'y'));
  }
  auto vectors = queue_of<std::vector<Lane64>>();
  auto loan = vectors.loan(3);
  (*loan)[2].x[7] = 0.5;
  vectors.push(std::move(loan));
  vectors.push({Lane64{}});
  EXPECT_EQ(vectors.pop()->at(2).x[7], 0.5);
  const auto borrow = vectors.borrow();  // came in its slot
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*borrow).data()) % 64, 0u);
}

TEST(Loan, SmallPlainValuesFollowTheSameRules) {
  auto points = queue_of<Point>(2);
  auto loan = points.loan();
  *loan = {1, 2};
  EXPECT_TRUE(points.push(std::move(loan)));
  EXPECT_FALSE(loan);  // NOLINT
  EXPECT_EQ(points.borrow()->y, 2);
  EXPECT_FALSE(points.try_borrow());
}

TEST(Loan, ThatIsNotPushedGoesBackUnseen) {
  auto texts = queue_of<std::string>();
  {
    auto loan = texts.loan(1000);
    EXPECT_EQ(QueueBlocks(texts).owned(), 1u);
  }
  EXPECT_EQ(QueueBlocks(texts).owned(), 0u);
  EXPECT_EQ(texts.approx_size(), 0u);
  auto loan = texts.loan(1000);
  loan = texts.loan(2000);
  EXPECT_EQ(QueueBlocks(texts).owned(), 1u);
}

TEST(Loan, IsKeptByAPushThatIsRefused) {
  auto texts = queue_of<std::string>(1);
  auto other = queue_of<std::string>(1);
  auto loan = texts.loan(1000);
  std::ranges::fill(*loan, 'x');
  EXPECT_FALSE(other.push(std::move(loan)));
  ASSERT_TRUE(loan);  // NOLINT
  auto second = texts.loan(10);
  EXPECT_TRUE(texts.push(std::move(loan)));
  EXPECT_FALSE(texts.push(std::move(loan)));  // NOLINT: empty
  texts.close();
  EXPECT_FALSE(texts.push(std::move(second)));
  EXPECT_TRUE(second);  // NOLINT
  EXPECT_EQ(texts.pop(), std::string(1000, 'x'));
}

TEST(Loan, PushWaitsForRoom) {
  auto texts = queue_of<std::string>(1);
  auto loan = texts.loan(1000);
  std::ranges::fill(*loan, 'x');
  texts.push("first");
  test::Blocked waiting([&] { EXPECT_TRUE(texts.push(std::move(loan))); });
  EXPECT_EQ(texts.pop(), "first");
  EXPECT_EQ(texts.pop(), std::string(1000, 'x'));
}

TEST(Loan, IsEmptyWhereThereIsNone) {
  auto texts = Queue<std::string>::create({.capacity = 1, .max_item_bytes = 1000}).value();
  EXPECT_FALSE(texts.loan(1001));
  EXPECT_TRUE(texts.loan(1000));
  EXPECT_FALSE(queue_of<std::vector<double>>().loan(SIZE_MAX));
  texts.push("full");
  EXPECT_FALSE(texts.try_loan(10));
  {
    std::optional<bool> held;
    test::Blocked waiting([&] { held = static_cast<bool>(texts.loan(10)); });
    EXPECT_EQ(texts.pop(), "full");
    waiting.join();
    EXPECT_EQ(held, true);
  }
  texts.close();
  EXPECT_FALSE(texts.loan(10));
  EXPECT_FALSE(texts.try_loan(10));
}

TEST(Borrow, HoldsTheMemoryUntilItEnds) {
  auto texts = queue_of<std::string>();
  texts.push(std::string(1000, 'x'));
  texts.push(std::string(1000, 'y'));
  auto first = texts.borrow();
  auto second = texts.try_borrow();
  EXPECT_EQ(texts.approx_size(), 0u);
  EXPECT_EQ(QueueBlocks(texts).owned_after_recovery(), 2u);
  for (int i = 0; i < 20; ++i) {
    texts.push(std::string(1000, 'z'));
    EXPECT_EQ(texts.pop(), std::string(1000, 'z'));
  }
  EXPECT_EQ(std::string((*first).begin(), (*first).end()), std::string(1000, 'x'));
  first = std::move(second);
  EXPECT_FALSE(second);  // NOLINT
  EXPECT_EQ((*first)[0], 'y');
  EXPECT_EQ(QueueBlocks(texts).owned(), 1u);
}

TEST(Borrow, IsEmptyWhenClosedAndDrained) {
  auto texts = queue_of<std::string>();
  EXPECT_FALSE(texts.try_borrow());
  test::Blocked waiting([&] { EXPECT_FALSE(texts.borrow()); });
  texts.close();
}

TEST(Borrow, SkipsWhatCannotBe) {
  auto numbers = queue_of<std::vector<std::uint64_t>>();
  numbers.push({1});
  numbers.push({2});
  QueueBlocks(numbers).slot(0)[1] = 7;
  EXPECT_THAT(*numbers.borrow(), ElementsAre(2));
  EXPECT_EQ(numbers.stats().undecodable, 1u);
}

TEST(Borrow, OutlivesThreadAndHandle) {
  std::optional<Borrow<std::string>> kept;
  {
    auto texts = queue_of<std::string>();
    std::optional<Loan<std::string>> loan;
    std::thread([&] { loan = texts.loan(1000); }).join();
    (void)QueueBlocks(texts).owned_after_recovery();
    std::ranges::fill(**loan, 'x');
    std::thread([&] { texts.push(*std::move(loan)); }).join();
    std::thread([&] { kept = texts.borrow(); }).join();
    EXPECT_EQ(QueueBlocks(texts).owned_after_recovery(), 1u);
  }
  EXPECT_EQ(std::string((**kept).begin(), (**kept).end()), std::string(1000, 'x'));
}

// --- processes -------------------------------------------------------------------------------------------------------

TEST(Loan, BetweenProcesses) {
  auto there = queue_of<Frame>(2);
  auto back = queue_of<int>(2);
  Child reader([&] {
    while (const auto frame = there.borrow()) back.push(frame->id + std::to_integer<int>(frame->pixels[frame->id]));
  });
  for (int i = 0; i < 100; ++i) {
    auto frame = there.loan();
    frame->id = i;
    frame->pixels[i] = std::byte{5};
    ASSERT_TRUE(there.push(std::move(frame)));
    ASSERT_EQ(back.pop(), i + 5);
  }
  there.close();
  EXPECT_TRUE(reader.join().well());
}

TEST(Loan, OfTheDeadComesBack) {
  auto texts = queue_of<std::string>();
  texts.push(std::string(1000, 'x'));
  Child victim([&] {
    auto loan = texts.loan(5000);
    auto large = texts.loan(3 << 20);
    auto borrow = texts.borrow();
    ::pause();
  });
  while (QueueBlocks(texts).owned() != 3 || texts.approx_size() != 0) ::usleep(100);
  victim.stop();
  EXPECT_EQ(QueueBlocks(texts).owned_after_recovery(), 3u) << "stopped is not dead";
  victim.kill_but_not_reap();
  EXPECT_EQ(QueueBlocks(texts).owned_after_recovery(), 0u);
}

TEST(Loan, OfTheDeadComesBackToWhoWaits) {
  const detail::WaitTuning& before = detail::wait_tuning();
  const auto slice_min = before.slice_min_ns.load(), slice_max = before.slice_max_ns.load();
  detail::wait_tuning().slice_min_ns = detail::wait_tuning().slice_max_ns = 1'000'000;
  auto texts = queue_of<std::string>();
  Child([&] { (void)new Loan<std::string>(texts.loan(5000)); }).join();
  EXPECT_EQ(QueueBlocks(texts).owned(), 1u);
  while (QueueBlocks(texts).owned() != 0) (void)texts.try_pop_for(20ms);
  detail::wait_tuning().slice_min_ns = slice_min;
  detail::wait_tuning().slice_max_ns = slice_max;
}

// Nobody sweeps of its own accord: it is the want of memory that does.
TEST(Loan, OfTheDeadComesBackBeforeMemoryEnds) {
  auto texts = queue_of<std::string>();
  for (int i = 0; i < 100; ++i) Child([&] { (void)new Loan<std::string>(texts.loan(1 << 20)); }).join();
  std::vector<Loan<std::string>> loans;
  for (int i = 0; i < 64; ++i) loans.push_back(texts.loan(1 << 20));
  EXPECT_LT(QueueBlocks(texts).owned(), 100u);
}

TEST(Loan, AForkedChildHasNoneOfItsParents) {
  auto texts = queue_of<std::string>();
  texts.push(std::string(1000, 'x'));
  texts.push("in its slot");
  auto loan = texts.loan(1000);
  auto borrow = texts.borrow();
  auto small = texts.borrow();
  Child child([&] {
    if (loan || borrow || small || texts.push(std::move(loan))) return 1;
    loan = texts.loan(10);  // the parent's is not given back
    borrow = {std::move(borrow)};
    return loan ? 0 : 2;
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(QueueBlocks(texts).owned_after_recovery(), 2u);
  EXPECT_TRUE(loan && borrow && small);
}

}  // namespace
}  // namespace warren
