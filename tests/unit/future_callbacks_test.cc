// on_done(), then(), apply_async().
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <filesystem>
#include <future>
#include <latch>
#include <set>

#include "support/pool_world.h"

namespace warren::test {
// A type of a user's whose codec throws here, not in a worker.
struct ThrowsAsItIsRead {
  int value = 0;
};
}  // namespace warren::test

template <>
struct warren::Codec<warren::test::ThrowsAsItIsRead> {
  static void encode(Writer& w, const warren::test::ThrowsAsItIsRead& x) { w.put(x.value); }
  static absl::StatusOr<warren::test::ThrowsAsItIsRead> decode(Reader&) { throw std::runtime_error("unreadable"); }
};

namespace warren::test {
namespace {

using ::testing::ElementsAre;

class FutureCallbacks : public WithMarks {
 protected:
  Pool pool = make_pool(1);
};

TEST_F(FutureCallbacks, GetTheResultInThisProcessWithAnyCaptures) {
  std::vector<int> got;
  const auto unique = std::make_unique<int>(1);
  Future<int> future = pool.submit([](int x) { return x * 2; }, 21);
  future.on_done([&, held = std::make_unique<int>(1)](absl::StatusOr<int> r) { got.push_back(*r + *held); });
  EXPECT_EQ(future.get().value(), 42);
  EXPECT_THAT(got, ElementsAre(43)) << "get() returns after the callbacks ran";
  EXPECT_EQ(future.get().value(), 42) << "the result is still there";
}

TEST_F(FutureCallbacks, RunInOrderOfRegistration) {
  std::vector<int> order;
  Future<void> future = pool.submit([] { marks->pass(0); });
  for (int i = 0; i < 10; ++i) future.on_done([&order, i](const absl::Status&) { order.push_back(i); });
  marks->open(0);
  future.wait();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(FutureCallbacks, OfADoneTaskRunAtOnceHere) {
  Future<int> future = pool.submit([] { return 1; });
  future.wait();
  std::thread::id where;
  future.on_done([&](absl::StatusOr<int>) { where = std::this_thread::get_id(); });
  EXPECT_EQ(where, std::this_thread::get_id());
}

// One that nobody can see end, at first: as where there is no memory.
struct UnseenAtFirst final : detail::LocalTask<int> {
  void give(int value) { set(value); }
  [[nodiscard]] bool running() const override { return false; }
  [[nodiscard]] double progress() const noexcept override { return 0; }
  bool cancel() override { return false; }
  bool kill() override { return false; }
  [[nodiscard]] TaskId id() const noexcept override { return {}; }
  void be_seen() override {
    if (failures-- > 0) throw std::bad_alloc();
    LocalTask::be_seen();
  }

  int failures = 2;
};

TEST_F(FutureCallbacks, OneThatCouldNotBeRegisteredCostsTheNextNothing) {
  const auto task = std::make_shared<UnseenAtFirst>();
  int refused = 0, told = 0;
  EXPECT_THROW(task->on_done([&](detail::TaskCore&) { ++refused; }), std::bad_alloc);
  EXPECT_THROW(task->watch(&refused, [&](detail::TaskCore&) { ++refused; }), std::bad_alloc);
  EXPECT_FALSE(task->wait(Deadline::after(1ms)));
  task->on_done([&](detail::TaskCore&) { ++told; });
  task->watch(&told, [&](detail::TaskCore&) { ++told; });
  task->give(1);
  EXPECT_TRUE(task->wait(Deadline::after(kPromptly)));
  EXPECT_EQ(told, 2);
  EXPECT_EQ(refused, 0);
}

TEST_F(FutureCallbacks, RunForDroppedFutures) {
  std::promise<int> told;
  pool.submit([] { return marks->pass(0), 7; }).on_done([&](absl::StatusOr<int> r) { told.set_value(*r); });
  marks->open(0);
  EXPECT_EQ(told.get_future().get(), 7);
}

TEST_F(FutureCallbacks, GetFailuresOfEveryKind) {
  std::vector<absl::StatusCode> codes;
  const auto note = [&](const absl::Status& status) { codes.push_back(status.code()); };
  Future<void> threw = pool.submit([] { throw 1; });
  threw.on_done(note);
  threw.wait();
  Future<void> died = pool.submit([] { die(Death::kKilled); });
  died.on_done(note);
  died.wait();
  Future<void> killed = pool.submit([] { ++marks->count, marks->pass(0); });
  killed.on_done(note);
  Future<void> cancelled = pool.submit([] {});
  cancelled.on_done(note);
  ASSERT_TRUE(marks->await_count(1));
  EXPECT_TRUE(cancelled.cancel());
  cancelled.wait();
  EXPECT_TRUE(killed.kill());
  killed.wait();
  pool.close();
  Future<void> refused = pool.submit([] {});
  refused.on_done(note);
  using enum absl::StatusCode;
  EXPECT_THAT(codes, ElementsAre(kUnknown, kAborted, kCancelled, kCancelled, kFailedPrecondition));
}

TEST_F(FutureCallbacks, OneThatThrowsIsContained) {
  int after = 0;
  Future<int> future = pool.submit([] { return marks->pass(0), 1; });
  testing::internal::CaptureStderr();
  future.on_done([](absl::StatusOr<int>) { throw std::runtime_error("my fault"); });
  future.on_done([](absl::StatusOr<int>) { throw 1; });
  future.on_done([&](absl::StatusOr<int>) { ++after; });
  marks->open(0);
  EXPECT_EQ(future.get().value(), 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("threw: my fault"));
  EXPECT_EQ(after, 1);
}

TEST_F(FutureCallbacks, MayGetTheirOwnFutureAndOthers) {
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

TEST_F(FutureCallbacks, AtOnceMayGetTheirOwnFuture) {
  Future<int> future = pool.submit([] { return 1; });
  future.wait();
  int own = 0;
  future.on_done([&](absl::StatusOr<int>) { own = future.get().value(); });
  EXPECT_EQ(own, 1);
}

TEST_F(FutureCallbacks, MaySubmit) {
  std::promise<int> told;
  pool.submit([] { return marks->pass(0), 1; }).on_done([&](absl::StatusOr<int>) {
    pool.submit([] { return 2; }).on_done([&](absl::StatusOr<int> r) { told.set_value(*r); });
  });
  marks->open(0);
  EXPECT_EQ(told.get_future().get(), 2);
}

TEST_F(FutureCallbacks, OneThatTakesLongHoldsNoSlot) {
  Pool small = make_pool(1, 2);
  std::latch in(1), go(1);
  Future<int> future = small.submit([] { return 1; });
  future.on_done([&](absl::StatusOr<int>) { in.count_down(), go.wait(); });
  in.wait();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(small.apply([](int x) { return x; }, i).value(), i);
  EXPECT_FALSE(future.wait_for(10ms)) << "its callback has not run";
  EXPECT_EQ(future.get_for(1ms).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(future.ready());
  go.count_down();
  EXPECT_EQ(future.get().value(), 1);
}

TEST_F(FutureCallbacks, JoinReturnsAfterThem) {
  std::atomic<int> ran = 0;
  for (int i = 0; i < 100; ++i) {
    pool.submit([](int x) { return x; }, i).on_done([&](absl::StatusOr<int>) {
      std::this_thread::sleep_for(1ms);
      ++ran;
    });
  }
  pool.close();
  EXPECT_TRUE(pool.join().ok());
  EXPECT_EQ(ran, 100);
}

TEST_F(FutureCallbacks, OfALostPoolRunToo) {
  std::promise<absl::StatusCode> told;
  const pid_t supervisor = supervisor_of(pool);
  pool.submit([] { ++marks->count, marks->pass(0); }).on_done([&](const absl::Status& s) { told.set_value(s.code()); });
  ASSERT_TRUE(marks->await_count(1));
  ::kill(supervisor, SIGKILL);
  EXPECT_EQ(told.get_future().get(), absl::StatusCode::kUnavailable);
}

// --- the end of things, inside a callback ----------------------------------------------------------------------------

TEST_F(FutureCallbacks, MayDropTheFutureAndThePool) {
  std::promise<void> told;
  {
    std::optional<Pool> own = make_pool(1);
    auto future = std::make_shared<Future<void>>(own->submit([] { marks->pass(0); }));
    future->on_done([&told, future, pool = std::make_shared<Pool>(std::move(*own))](const absl::Status&) mutable {
      future.reset();
      pool.reset();  // joins
      told.set_value();
    });
  }
  marks->open(0);
  EXPECT_EQ(told.get_future().wait_for(kPromptly), std::future_status::ready);
}

TEST_F(FutureCallbacks, MayCloseJoinAndTerminateThePool) {
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
  Pool second = make_pool(1);
  Future<void> terminates = second.submit([] {});
  terminates.on_done([&](const absl::Status&) { second.terminate(), joined = second.join(); });
  ASSERT_TRUE(terminates.wait_for(kPromptly));
  EXPECT_TRUE(joined.ok()) << joined;
}

TEST_F(FutureCallbacks, AnothersCallbacksHaveRunAfterAJoinInOne) {
  std::promise<bool> told;
  std::atomic<bool> began = false, ran = false;
  pool.submit([] { return marks->pass(0); }).on_done([&](const absl::Status&) {
    {
      Pool other = make_pool(1);
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

TEST_F(FutureCallbacks, LeaveNoThread) {
  const auto threads = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}); };
  const auto before = threads();
  {
    Pool own = make_pool(1);
    own.submit([] {}).on_done([](const absl::Status&) {});
  }
  EXPECT_EQ(threads(), before);
}

TEST_F(FutureCallbacks, InAForkedChildAreAtOnceAndRefused) {
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

TEST_F(FutureCallbacks, AChildThatComesOutOfOneRunsNoMore) {
  Future<void> future = pool.submit([] { marks->pass(0); });
  pid_t child = -1;
  future.on_done([&](const absl::Status&) { child = ::fork(); });
  future.on_done([](const absl::Status&) { ++marks->count; });
  marks->open(0);
  ASSERT_TRUE(future.wait_for(kPromptly));
  ASSERT_GT(child, 0);
  int status = -1;
  const bool ended = eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }, kPromptly);
  if (!ended) ::kill(child, SIGKILL), ::waitpid(child, &status, 0);
  EXPECT_TRUE(ended) << "it goes on as a thread for callbacks";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(marks->count, 1u);
}

// --- then ------------------------------------------------------------------------------------------------------------

TEST_F(FutureCallbacks, ThenMakesAnotherResult) {
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

TEST_F(FutureCallbacks, ThenPassesFailuresThrough) {
  bool called = false;
  const absl::Status status =
      pool.submit([]() -> int { throw std::runtime_error("no"); }).then([&](int) { called = true; }).get();
  EXPECT_EQ(task_error(status).value().what, "no");
  EXPECT_FALSE(called);
}

TEST_F(FutureCallbacks, ThenFailsAsTasksDo) {
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

TEST_F(FutureCallbacks, AResultWhoseDecodingThrowsIsAFailureToWhoFollows) {
  const auto throws = [] { return marks->pass(0), ThrowsAsItIsRead{}; };
  absl::Status told;
  bool called = false;
  const Future<void> next = pool.submit(throws)
                                .on_done([&](const absl::StatusOr<ThrowsAsItIsRead>& r) { told = r.status(); })
                                .then([&](const ThrowsAsItIsRead&) { called = true; });
  marks->open(0);
  ASSERT_TRUE(next.wait_for(kPromptly)) << "it never ends";
  EXPECT_EQ(task_error(next.get()).value().what, "unreadable");
  EXPECT_EQ(told, next.get());
  EXPECT_FALSE(called);
}

TEST_F(FutureCallbacks, ThenCancelsTheTask) {
  const Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  ASSERT_TRUE(marks->await_count(1));
  Future<int> second = pool.submit([] { return 1; }).then([](int x) { return x; });
  EXPECT_TRUE(second.cancel());
  EXPECT_EQ(second.get().status().code(), absl::StatusCode::kCancelled);
  marks->open(0);
}

TEST_F(FutureCallbacks, ThenOfAMoveOnlyResultIsGotOnce) {
  Future<std::unique_ptr<int>> future =
      pool.submit([] { return 3; }).then([](int x) { return std::make_unique<int>(x); });
  EXPECT_EQ(*future.get().value(), 3);
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FutureCallbacks, ThenMayBeAwaitedInACallback) {
  std::promise<int> told;
  pool.submit([] { return 1; }).on_done([&](absl::StatusOr<int>) {
    told.set_value(pool.submit([] { return 2; }).then([](int x) { return 2 * x; }).get().value());
  });
  auto future = told.get_future();
  ASSERT_EQ(future.wait_for(kPromptly), std::future_status::ready);
  EXPECT_EQ(future.get(), 4);
}

TEST_F(FutureCallbacks, OneMayWaitForWhatACallbackBehindItMakes) {
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

// --- apply_async -----------------------------------------------------------------------------------------------------

TEST_F(FutureCallbacks, ApplyAsyncCallsOneOfTheTwo) {
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

// --- many ------------------------------------------------------------------------------------------------------------

TEST_F(FutureCallbacks, OfManyTasksAllRunOnce) {
  Pool two = make_pool(2, 512);
  constexpr std::size_t kTasks = 20'000;
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

TEST_F(FutureCallbacks, SurviveDyingWorkers) {
  Pool two = make_pool(2);
  std::atomic<int> ran = 0, died = 0;
  for (int i = 0; i < 200; ++i) {
    two.submit([](int x) { return x % 10 == 0 ? die(Death::kKilled) : void(); }, i).on_done([&](const absl::Status& s) {
      ++ran;
      died += !s.ok();
    });
  }
  two.close();
  EXPECT_TRUE(two.join().ok());
  EXPECT_EQ(ran, 200);
  EXPECT_EQ(died, 20);
}

}  // namespace
}  // namespace warren::test
