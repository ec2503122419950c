// What every test of the every-instruction harness asserts and prints.
#pragma once
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "support/kill_sweep.h"
#include "support/stepper.h"

namespace warren::test {

// Sums up what a program covered, and prints it after its last test.
class Total : public testing::Environment {
 public:
  void TearDown() override {
    if (sum_.kills + sum_.pauses != 0) std::cout << sum_ << std::endl;
  }
  void add(const Coverage& coverage) {
    sum_.add(coverage);
    sum_.name = "all of " + std::to_string(++sweeps_) + " sweeps";
  }
  static Total& instance() {
    static Total* const total = [] {
      auto* const made = new Total;
      testing::AddGlobalTestEnvironment(made);
      return made;
    }();
    return *total;
  }

 private:
  Coverage sum_;
  std::size_t sweeps_ = 0;
};
[[maybe_unused]] inline Total& total = Total::instance();

// A suite of sweeps, over cases that have a name().
template <class Case>
class SweepTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
};
inline constexpr auto kCaseName = [](const auto& c) { return c.param.name(); };

// No fault, and every window was hit: a sweep that never kills where it hurts shows nothing.
inline void expect_survived(const Coverage& coverage, const std::vector<std::string>& windows) {
  std::cout << coverage << std::endl;
  total.add(coverage);
  testing::Test::RecordProperty("instructions", static_cast<int>(coverage.instructions));
  testing::Test::RecordProperty("kills", static_cast<int>(coverage.kills));
  testing::Test::RecordProperty("buried", static_cast<int>(coverage.buried));
  for (const auto& [window, count] : coverage.windows) testing::Test::RecordProperty(window, static_cast<int>(count));
  EXPECT_TRUE(coverage.clean()) << coverage.complaints();
  for (const std::string& window : windows) {
    EXPECT_TRUE(coverage.windows.contains(window)) << "no kill in the window: " << window;
  }
}

}  // namespace warren::test
