#include <warren/pool/future.h>

#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <fstream>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class FutureTest : public WithMarks {
 protected:
  Pool pool = make_pool(1);
};

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(FutureTest, WithoutATaskSaysSo) {
  const Future<int> none;
  EXPECT_FALSE(none.valid());
  EXPECT_FALSE(none.ready());
  EXPECT_FALSE(none.running());
  EXPECT_FALSE(none.successful());
  EXPECT_FALSE(none.error().has_value());
  EXPECT_EQ(none.id(), TaskId{});
  none.wait();
  EXPECT_TRUE(none.wait_for(1ms));
  EXPECT_EQ(none.get_for(1ms).status().code(), absl::StatusCode::kFailedPrecondition);
}

// --- dropped ---------------------------------------------------------------------------------------------------------

TEST_F(FutureTest, ForgottenTasksTakeBoundedMemory) {
  Pool small = make_pool(2, 64);
  constexpr std::uint32_t kTasks = 200'000;
  for (std::uint32_t i = 0; i < 1000; ++i) small.submit([] { ++marks->count; });
  [[maybe_unused]] const std::size_t before = resident_bytes();
  for (std::uint32_t i = 1000; i < kTasks; ++i) small.submit([] { ++marks->count; });
#if !defined(__SANITIZE_ADDRESS__)  // which keeps what was freed
  EXPECT_LT(resident_bytes(), before + (std::size_t{4} << 20));
#endif
  small.close();
  EXPECT_TRUE(small.join().ok());
  EXPECT_EQ(marks->count, kTasks);
}

TEST_F(FutureTest, ForgottenLargeResultsTakeBoundedMemory) {
  Pool small = make_pool(2, 8);
  for (int i = 0; i < 300; ++i)
    small.submit([](std::string s) { return ++marks->count, s + s; }, std::string(2 << 20, 'x'));
  ASSERT_TRUE(marks->await_count(300));
  EXPECT_EQ(small.apply([] { return 1; }).value(), 1);
}

// --- the pool's end --------------------------------------------------------------------------------------------------

TEST_F(FutureTest, OfATerminatedPoolIsCancelled) {
  std::optional<Pool> own = make_pool(1);
  const Future<int> done = own->submit([] { return 1; });
  done.wait();
  const Future<void> running = own->submit([] { ++marks->count, marks->pass(0); });
  const Future<void> pending = own->submit([] {});
  ASSERT_TRUE(marks->await_count(1));
  own->terminate();
  EXPECT_EQ(running.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled);
  own.reset();
  EXPECT_EQ(pending.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(pending.error().value().kind, TaskError::Kind::kCancelled);
  EXPECT_EQ(done.get().value(), 1);
}

}  // namespace
}  // namespace warren::test
