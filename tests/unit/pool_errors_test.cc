// How a task that failed in another process tells why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <new>
#include <stdexcept>

#include "support/pool_world.h"

namespace warren::test {

// Its codec fails or throws on one side or the other.
struct Stubborn {
  enum class When : int { kNever, kFailsToWrite, kThrowsInWriting, kFailsToRead, kThrowsInReading };
  When when = When::kNever;
};

}  // namespace warren::test

template <>
struct warren::Codec<warren::test::Stubborn> {
  using When = warren::test::Stubborn::When;
  static void encode(Writer& w, const warren::test::Stubborn& s) {
    w.put(s.when);
    if (s.when == When::kFailsToWrite) w.fail(absl::InvalidArgumentError("stubborn to write"));
    if (s.when == When::kThrowsInWriting) throw std::runtime_error("stubborn writer");
  }
  static absl::StatusOr<warren::test::Stubborn> decode(Reader& r) {
    const auto when = r.get<When>();
    if (!when.ok()) return when.status();
    if (*when == When::kFailsToRead) return r.fail(absl::DataLossError("stubborn to read"));
    if (*when == When::kThrowsInReading) throw std::runtime_error("stubborn reader");
    return warren::test::Stubborn{*when};
  }
};

namespace warren::test {
namespace {

using ::testing::HasSubstr;
using When = Stubborn::When;

absl::Status status_of(absl::Status status) { return status; }
template <class R>
absl::Status status_of(const absl::StatusOr<R>& result) {
  return result.status();
}

class PoolErrors : public WithMarks {
 protected:
  // What a task of the only worker failed with.
  template <class F, class... A>
  TaskError error_of(F f, A... a) {
    const auto future = pool.submit(f, std::move(a)...);
    status = status_of(future.get());
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(future.successful());
    EXPECT_EQ(future.error().has_value(), task_error(status).has_value());
    EXPECT_TRUE(task_error(status).has_value()) << status;
    return task_error(status).value_or(TaskError{});
  }

  Pool pool = make_pool(1);
  const pid_t worker = pool.apply([] { return ::getpid(); }).value();
  absl::Status status;
};

TEST_F(PoolErrors, AnExceptionCarriesTypeTextWorkerAttemptAndHost) {
  const TaskError error = error_of([] { throw std::invalid_argument("negative"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(error.kind, TaskError::Kind::kThrew);
  EXPECT_EQ(error.type, "std::invalid_argument");
  EXPECT_EQ(error.what, "negative");
  EXPECT_EQ(error.worker, worker);
  EXPECT_EQ(error.attempt, 1u);
  EXPECT_EQ(error.signal, 0);
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  EXPECT_EQ(error.host, host.data());
  EXPECT_EQ(std::string(status.message()),
            "std::invalid_argument: negative (in worker " + std::to_string(worker) + ", attempt 1)");
}

// what() is noexcept, so the process ends in it; the future is settled all the same.
const char* thrown() { throw 1; }
class ThrowingWhat : public std::exception {
 public:
  const char* what() const noexcept override { return thrown(); }
};

TEST_F(PoolErrors, AThrowingWhatIsADeath) {
  const TaskError error = error_of([] { throw ThrowingWhat(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(error.signal, SIGABRT);
  EXPECT_NE(pool.apply([] { return ::getpid(); }).value(), worker);
}

TEST_F(PoolErrors, NoMemoryIsAnError) {
  EXPECT_EQ(error_of([] { throw std::bad_alloc(); }).type, "std::bad_alloc");
#if !defined(__SANITIZE_ADDRESS__)  // which ends the process instead
  const auto asks_for = [](std::size_t bytes) { return std::vector<char>(bytes).size(); };
  EXPECT_EQ(error_of(asks_for, std::size_t{1} << 60).type, "std::bad_alloc");
#endif
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), worker);
}

TEST_F(PoolErrors, ABadStatusOrAccessFailsWithTheStatusInside) {
  const TaskError error = error_of([] { return absl::StatusOr<int>(absl::NotFoundError("no such")).value(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()), "no such");
  EXPECT_EQ(error.kind, TaskError::Kind::kThrew);
  EXPECT_EQ(error.worker, worker);
}

TEST_F(PoolErrors, WorkersOutliveExceptions) {
  for (int i = 0; i < 200; ++i) (void)error_of([] { throw 1; });
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), worker);
}

// --- bytes that make no value ----------------------------------------------------------------------------------------

TEST_F(PoolErrors, AnArgumentThatCannotBeReadIsDataLossOfThatTask) {
  const auto takes = [](Stubborn) {};
  const TaskError error = error_of(takes, Stubborn{When::kFailsToRead});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(error.kind, TaskError::Kind::kUndecodable);
  EXPECT_THAT(error.what, HasSubstr("stubborn to read"));
  EXPECT_EQ(error_of(takes, Stubborn{When::kThrowsInReading}).what, "stubborn reader");
  EXPECT_EQ(pool.apply([] { return ::getpid(); }).value(), worker);
}

TEST_F(PoolErrors, AResultThatCannotBeWrittenFailsItsTask) {
  const auto gives = [](When when) { return Stubborn{when}; };
  EXPECT_EQ(pool.apply(gives, When::kFailsToWrite).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error_of(gives, When::kThrowsInWriting).what, "stubborn writer");
}

TEST_F(PoolErrors, AResultThatCannotBeReadIsAnError) {
  const auto gives = [](When when) { return Stubborn{when}; };
  EXPECT_EQ(pool.apply(gives, When::kFailsToRead).status().code(), absl::StatusCode::kDataLoss);
}

// The slot of a task that was not to be is free again: many more than fit may fail, and the pool still ends.
TEST_F(PoolErrors, AnArgumentThatCannotBeWrittenFailsItsFutureAndLeavesNothing) {
  Pool small = make_pool(1, 2);
  const auto takes = [](Stubborn) {};
  for (int i = 0; i < 100; ++i) {
    const absl::Status failed = small.submit(takes, Stubborn{When::kFailsToWrite}).get();
    ASSERT_EQ(failed.code(), absl::StatusCode::kInvalidArgument) << failed;
    const absl::Status threw = small.submit(takes, Stubborn{When::kThrowsInWriting}).get();
    ASSERT_EQ(threw.code(), absl::StatusCode::kUnknown) << threw;
    EXPECT_EQ(task_error(threw).value().what, "stubborn writer");
    EXPECT_EQ(task_error(threw).value().worker, 0) << "it ran nowhere";
  }
  EXPECT_EQ(small.map(takes, {Stubborn{When::kThrowsInWriting}}).code(), absl::StatusCode::kUnknown);
  EXPECT_TRUE(small.apply(takes, Stubborn{}).ok());
  small.close();
  EXPECT_TRUE(small.join_for(kPromptly).ok());
}

TEST_F(PoolErrors, AnItemThatCannotBeReadFailsItsChunk) {
  const std::vector<Stubborn> items{{When::kNever}, {When::kFailsToRead}, {When::kNever}};
  const auto same = [](Stubborn s) { return s.when; };
  EXPECT_EQ(pool.map({.chunksize = 1}, same, items).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(pool.map({.chunksize = 3}, same, items).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace warren::test
