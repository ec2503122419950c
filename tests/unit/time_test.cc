#include <gtest/gtest.h>
#include <warren/ipc/time.h>

#include <chrono>
#include <limits>

namespace warren {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;
using Clock = std::chrono::steady_clock;

TEST(Timeout, KeepsWhatNanosecondsCanExpress) {
  EXPECT_EQ(Timeout(1500ms).ns(), 1500ms);
  EXPECT_EQ(Timeout(Seconds(0.25)).ns(), 250ms);
  EXPECT_EQ(Timeout(1ns).ns(), 1ns);
  EXPECT_FALSE(Timeout(std::chrono::hours(24 * 365 * 200)).forever());
}

TEST(Timeout, TheLargestOfAnyDurationIsForever) {
  EXPECT_TRUE(Timeout(kForever).forever());
  EXPECT_TRUE(Timeout(std::chrono::seconds::max()).forever());
  EXPECT_TRUE(Timeout(std::chrono::hours::max()).forever());
  EXPECT_TRUE(Timeout(Seconds::max()).forever());
  EXPECT_TRUE(Timeout(Seconds(std::numeric_limits<double>::infinity())).forever());
}

TEST(Timeout, ZeroNegativeAndNanMeanNow) {
  EXPECT_EQ(Timeout(0s).ns(), 0ns);
  EXPECT_EQ(Timeout(-1s).ns(), 0ns);
  EXPECT_EQ(Timeout(std::chrono::hours::min()).ns(), 0ns);
  EXPECT_EQ(Timeout(Seconds(-std::numeric_limits<double>::infinity())).ns(), 0ns);
  EXPECT_EQ(Timeout(Seconds(std::numeric_limits<double>::quiet_NaN())).ns(), 0ns);
  EXPECT_EQ(Timeout(std::chrono::duration<double, std::pico>(0.5)).ns(), 0ns);
}

TEST(Timeout, IsAConstant) {
  static_assert(Timeout(std::chrono::seconds::max()).forever());
  static_assert(Timeout(2s).ns() == 2'000'000'000ns);
}

TEST(Deadline, AfterSaturates) {
  EXPECT_TRUE(Deadline::after(kForever).forever());
  EXPECT_TRUE(Deadline::after(kForever - 1ns).forever());
  EXPECT_FALSE(Deadline::after(kForever).expired());
  EXPECT_FALSE(Deadline::after(1h).forever());
}

TEST(Deadline, ExpiresAtItsTime) {
  const Clock::time_point now = Clock::now();
  EXPECT_TRUE(Deadline(now).expired());
  EXPECT_TRUE(Deadline(Clock::time_point::min()).expired());
  EXPECT_TRUE(Deadline::after(-1s).expired());
  EXPECT_FALSE(Deadline(now + 1h).expired());
  EXPECT_EQ(Deadline(now).time(), now);
}

TEST(Deadline, TakesSteadyTimesOfAnyUnit) {
  using Coarse = std::chrono::time_point<Clock, std::chrono::hours>;
  EXPECT_TRUE(Deadline(Coarse::max()).forever());
  EXPECT_TRUE(Deadline(Coarse::min()).expired());
  using Real = std::chrono::time_point<Clock, Seconds>;
  EXPECT_EQ(Deadline(Real(Seconds(1.5))).time().time_since_epoch(), 1500ms);
  EXPECT_TRUE(Deadline(Real(Seconds(std::numeric_limits<double>::quiet_NaN()))).expired());
}

TEST(Deadline, RemainingIsNeverNegative) {
  EXPECT_TRUE(Deadline::never().remaining().forever());
  EXPECT_EQ(Deadline(Clock::time_point::min()).remaining().ns(), 0ns);
  const Timeout left = Deadline::after(1h).remaining();
  EXPECT_GT(left.ns(), 0ns);
  EXPECT_LE(left.ns(), 1h);
}

}  // namespace
}  // namespace warren
