// on_done() and then() of what only processes do. All else: pool_verbs_callbacks_test.cc.
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

TEST_F(FutureCallbacks, OfALostPoolRunToo) {
  std::promise<absl::StatusCode> told;
  const pid_t supervisor = supervisor_of(pool);
  pool.submit([] { ++marks->count, marks->pass(0); }).on_done([&](const absl::Status& s) { told.set_value(s.code()); });
  ASSERT_TRUE(marks->await_count(1));
  ::kill(supervisor, SIGKILL);
  EXPECT_EQ(told.get_future().get(), absl::StatusCode::kUnavailable);
}

// --- the end of things, inside a callback ----------------------------------------------------------------------------

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

// --- many ------------------------------------------------------------------------------------------------------------

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
