// on_done(), then() and apply_async, of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "support/each_pool.h"

namespace warren::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

int twice(int x) { return 2 * x; }

// --- on_done ---------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(CallbacksRunInOrderBeforeGetReturns) {
  auto pool = this->make(1);
  std::vector<int> order;
  Future<int> future = pool.submit([] { return marks->pass(0), 7; });
  for (int i = 0; i < 10; ++i) future.on_done([&order, i](absl::StatusOr<int> r) { order.push_back(i * *r); });
  marks->open(0);
  EXPECT_EQ(future.get().value(), 7);
  EXPECT_THAT(order, ElementsAre(0, 7, 14, 21, 28, 35, 42, 49, 56, 63));
  std::thread::id where;
  future.on_done([&](absl::StatusOr<int>) { where = std::this_thread::get_id(); });
  EXPECT_EQ(where, std::this_thread::get_id()) << "of a done task at once, here";
}

TEST_OF_EACH_POOL(ACallbackThatThrowsIsContained) {
  auto pool = this->make(1);
  int after = 0;
  testing::internal::CaptureStderr();
  Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  future.on_done([](absl::StatusOr<int>) { throw std::runtime_error("my fault"); });
  future.on_done([](absl::StatusOr<int>) { throw 1; });
  future.on_done([&](absl::StatusOr<int>) { ++after; });
  marks->open(0);
  EXPECT_EQ(future.get().value(), 1);
  EXPECT_EQ(pool.apply(twice, 1).value(), 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("threw: my fault"));
  EXPECT_EQ(after, 1);
}

TEST_OF_EACH_POOL(CallbacksMayUseThePool) {
  auto pool = this->make(1);
  std::promise<int> told;
  pool.submit([] { return marks->pass(0), 20; }).then(twice).on_done([&](absl::StatusOr<int> r) {
    told.set_value(*r + pool.apply(twice, 1).value());
  });
  marks->open(0);
  EXPECT_EQ(told.get_future().get(), 42);
}

TEST_OF_EACH_POOL(JoinReturnsAfterTheCallbacks) {
  auto pool = this->make(2);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 50; ++i) {
    pool.submit(twice, i).on_done([&](absl::StatusOr<int>) { std::this_thread::sleep_for(1ms), ++ran; });
  }
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(ran, 50);
}

TEST_OF_EACH_POOL(CallbacksGetTheResultInThisProcessWithAnyCaptures) {
  auto pool = this->make(1);
  std::vector<int> got;
  Future<int> future = pool.submit([](int x) { return x * 2; }, 21);
  future.on_done([&, held = std::make_unique<int>(1)](absl::StatusOr<int> r) { got.push_back(*r + *held); });
  EXPECT_EQ(future.get().value(), 42);
  EXPECT_THAT(got, ElementsAre(43)) << "get() returns after the callbacks ran";
  EXPECT_EQ(future.get().value(), 42) << "the result is still there";
}

TEST_OF_EACH_POOL(CallbacksRunForDroppedFutures) {
  auto pool = this->make(1);
  std::promise<int> told;
  pool.submit([] { return marks->pass(0), 7; }).on_done([&](absl::StatusOr<int> r) { told.set_value(*r); });
  marks->open(0);
  EXPECT_EQ(told.get_future().get(), 7);
}

TEST_OF_EACH_POOL(CallbacksMayGetTheirOwnFutureAndOthers) {
  auto pool = this->make(1);
  Future<int> first = pool.submit([] { return marks->pass(0), 1; });
  Future<int> second = pool.submit([] { return 2; });
  int own = 0, other = 0;
  second.on_done([](absl::StatusOr<int>) {});
  first.on_done([&](absl::StatusOr<int>) {
    own = first.get().value();
    other = second.get().value();
    first.on_done([&](absl::StatusOr<int> again) { own += *again; });
  });
  marks->open(0);
  ASSERT_TRUE(first.wait_for(kPromptly));
  EXPECT_EQ(own, 2);
  EXPECT_EQ(other, 2);
}

TEST_OF_EACH_POOL(CallbacksAtOnceMayGetTheirOwnFuture) {
  auto pool = this->make(1);
  Future<int> future = pool.submit([] { return 1; });
  future.wait();
  int own = 0;
  future.on_done([&](absl::StatusOr<int>) { own = future.get().value(); });
  EXPECT_EQ(own, 1);
}

TEST_OF_EACH_POOL(CallbacksMayDropTheFutureAndThePool) {
  std::promise<void> told;
  {
    std::optional<P> own = this->make(1);
    auto future = std::make_shared<Future<void>>(own->submit([] { marks->pass(0); }));
    future->on_done([&told, future, pool = std::make_shared<P>(std::move(*own))](const absl::Status&) mutable {
      future.reset();
      pool.reset();  // joins
      told.set_value();
    });
  }
  marks->open(0);
  EXPECT_EQ(told.get_future().wait_for(kPromptly), std::future_status::ready);
}

TEST_OF_EACH_POOL(CallbacksMayCloseJoinAndTerminateThePool) {
  auto pool = this->make(1);
  absl::Status joined = absl::UnknownError("");
  std::vector<Future<void>> others;
  Future<void> future = pool.submit([] { marks->pass(0); });
  for (int i = 0; i < 10; ++i) {
    others.push_back(pool.submit([] {}));
    others.back().on_done([](const absl::Status&) { ++marks->count; });
  }
  future.on_done([&](const absl::Status&) {
    pool.close();
    joined = pool.join();
  });
  marks->open(0);
  ASSERT_TRUE(future.wait_for(kPromptly)) << "it joins itself";
  EXPECT_TRUE(joined.ok()) << joined;
  for (const Future<void>& other : others) EXPECT_TRUE(other.get().ok());
  EXPECT_EQ(marks->count, 10u);
  auto second = this->make(1);
  Future<void> terminates = second.submit([] {});
  terminates.on_done([&](const absl::Status&) { second.terminate(), joined = second.join(); });
  ASSERT_TRUE(terminates.wait_for(kPromptly));
  EXPECT_TRUE(joined.ok()) << joined;
}

TEST_OF_EACH_POOL(CallbacksOfAnotherPoolHaveRunAfterAJoinInOne) {
  auto pool = this->make(1);
  std::promise<bool> told;
  std::atomic<bool> began = false, ran = false;
  pool.submit([] { return marks->pass(0); }).on_done([&](const absl::Status&) {
    {
      auto other = this->make(1);
      other.submit([] {}).on_done([&](const absl::Status&) {
        began = true;
        std::this_thread::sleep_for(100ms);
        ran = true;
      });
      EXPECT_TRUE(eventually([&] { return began.load(); }, kPromptly));
    }
    told.set_value(ran);
  });
  marks->open(0);
  auto whole = told.get_future();
  ASSERT_EQ(whole.wait_for(kPromptly), std::future_status::ready);
  EXPECT_TRUE(whole.get());
}

TEST_OF_EACH_POOL(CallbacksInAForkedChildAreAtOnceAndRefused) {
  auto pool = this->make(1);
  Future<void> future = pool.submit([] { marks->pass(0); });
  future.on_done([](const absl::Status&) { ++marks->count; });
  {
    Child child([&] {
      bool told = false;
      future.on_done([&](const absl::Status& s) { told = absl::IsFailedPrecondition(s); });
      EXPECT_TRUE(told);
      EXPECT_FALSE(future.get().ok());
      { const Future<void> dropped = std::move(future); }
    });
    const auto ended = ended_within(child, kPromptly);
    ASSERT_TRUE(ended.has_value()) << "it hangs";
    EXPECT_TRUE(ended->well());
  }
  marks->open(0);
  EXPECT_TRUE(future.get().ok());
  EXPECT_EQ(marks->count, 1u);
}

// --- then ------------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ThenMakesAnotherResult) {
  auto pool = this->make(1);
  const std::string prefix = "got ";
  Future<std::string> text =
      pool.submit([] { return marks->pass(0), 20; }).then([](int x) { return 2 * x; }).then([&](int x) {
        return prefix + std::to_string(x);
      });
  EXPECT_FALSE(text.ready());
  EXPECT_TRUE(text.valid());
  marks->open(0);
  EXPECT_EQ(text.get().value(), "got 40");
  EXPECT_EQ(text.get().value(), "got 40");
  EXPECT_TRUE(text.successful());
  EXPECT_EQ(pool.submit([] {}).then([] { return 1; }).get().value(), 1);
  EXPECT_TRUE(pool.submit([] { return 1; }).then([](int) {}).get().ok());
}

TEST_OF_EACH_POOL(ThenPassesFailuresThrough) {
  auto pool = this->make(1);
  bool called = false;
  const absl::Status status =
      pool.submit([]() -> int { throw std::runtime_error("no"); }).then([&](int) { called = true; }).get();
  EXPECT_EQ(task_error(status).value().what, "no");
  EXPECT_FALSE(called);
}

TEST_OF_EACH_POOL(ThenFailsAsTasksDo) {
  auto pool = this->make(1);
  const auto one = [] { return 1; };
  const absl::Status threw = pool.submit(one).then([](int) { throw std::runtime_error("here"); }).get();
  EXPECT_EQ(threw.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(task_error(threw).value().what, "here");
  EXPECT_EQ(pool.submit(one).then([](int) { return absl::NotFoundError("gone"); }).get().code(),
            absl::StatusCode::kNotFound);
  const Future<int> flat = pool.submit(one).then([](int x) -> absl::StatusOr<int> { return x + 1; });
  EXPECT_EQ(flat.get().value(), 2);
  EXPECT_EQ(Future<int>().then([](int) {}).get().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_OF_EACH_POOL(ThenCancelsTheTask) {
  auto pool = this->make(1);
  const Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  Future<int> second = pool.submit([] { return 1; }).then([](int x) { return x; });
  EXPECT_TRUE(second.cancel());
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kCancelled);
  marks->open(0);
}

TEST_OF_EACH_POOL(ThenOfAMoveOnlyResultIsGotOnce) {
  auto pool = this->make(1);
  Future<std::unique_ptr<int>> future =
      pool.submit([] { return 3; }).then([](int x) { return std::make_unique<int>(x); });
  EXPECT_EQ(*future.get().value(), 3);
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_OF_EACH_POOL(ThenMayBeAwaitedInACallback) {
  auto pool = this->make(1);
  std::promise<int> told;
  pool.submit([] { return 1; }).on_done([&](absl::StatusOr<int>) {
    told.set_value(pool.submit([] { return 2; }).then([](int x) { return 2 * x; }).get().value());
  });
  auto future = told.get_future();
  ASSERT_EQ(future.wait_for(kPromptly), std::future_status::ready);
  EXPECT_EQ(future.get(), 4);
}

TEST_OF_EACH_POOL(OneMayWaitForWhatACallbackBehindItMakes) {
  auto pool = this->make(1);
  Future<int> first = pool.submit([] { return marks->pass(0), 1; });
  std::promise<void> told;
  std::vector<int> order;
  Future<int> last;
  first.on_done([&](absl::StatusOr<int>) {
    order.push_back(last.get().value());
    told.set_value();
  });
  first.on_done([&](absl::StatusOr<int>) { order.push_back(1); });
  last = std::move(first).then([](int x) { return x + 1; }).then([](int x) { return x + 1; });
  marks->open(0);
  ASSERT_EQ(told.get_future().wait_for(kPromptly), std::future_status::ready) << "it waits for itself";
  EXPECT_THAT(order, ElementsAre(1, 3));
  EXPECT_TRUE(last.wait_for(kPromptly));
}

// --- apply_async, and many -------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ApplyAsyncCallsOneOfTheTwo) {
  auto pool = this->make(1);
  std::vector<int> values;
  std::vector<std::string> errors;
  const auto risky = [](int x) { return x < 0 ? throw std::invalid_argument("negative") : x * 2; };
  const Callbacks<int> both{.callback = [&](int r) { values.push_back(r); },
                            .error_callback = [&](const absl::Status& s) { errors.push_back(task_error(s)->what); }};
  pool.apply_async(both, risky, 21).wait();
  pool.apply_async(both, risky, -1).wait();
  pool.apply_async({}, risky, -1).wait();
  int voids = 0;
  pool.apply_async({.callback = [&] { ++voids; }}, [] {}).wait();
  EXPECT_THAT(values, ElementsAre(42));
  EXPECT_THAT(errors, ElementsAre("negative"));
  EXPECT_EQ(voids, 1);
}

TEST_OF_EACH_POOL(CallbacksOfManyTasksAllRunOnce) {
  auto two = this->make(2, 512);
  constexpr std::size_t kTasks = 5'000;
  std::vector<std::atomic<int>> ran(kTasks);
  for (std::size_t i = 0; i < kTasks; ++i) {
    two.submit([](std::size_t x) { return x; }, i).on_done([&ran, i](absl::StatusOr<std::size_t> r) {
      ran[i] += r.ok() && *r == i ? 1 : 100;
    });
  }
  two.close();
  EXPECT_TRUE(two.join().ok());
  EXPECT_TRUE(std::ranges::all_of(ran, [](const auto& times) { return times == 1; }));
}

}  // namespace
}  // namespace warren::test
